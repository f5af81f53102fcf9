"""The names of a layer: in a pipeline, and in the files of diffusers, kohya and peft."""

import re
from pathlib import Path

from caplora.lora.other_kinds import refusal
from caplora.lora.sdxl_names import is_sdxl_name, pipeline_name

WORDS = (  # of layers' names that hold an underscore; between words kohya writes one for each dot
    r"(?:down|up|mid|transformer|input|middle|output)_blocks?|text_model|self_attn|(?:proj|conv)_(?:in|out)"
    r"|conv_shortcut|time_emb_proj|time_embedding|add_embedding|linear_[12]|to_(?:q|k|v|out)|(?:q|k|v|out)_proj"
    r"|(?:in|emb|out)_layers|skip_connection|(?:time|label)_emb(?:ed)?|text_projection"
)
BARE = "base_model.model."  # before every key of a file of peft's own
UNET = r"(?:(?:down|up)_blocks\.\d|mid_block|conv_in|conv_out|(?:time|add)_embedding)(?:\.|$)"  # how its layers begin
PART = r"(?:(?P<part>unet|text_encoder(?:_2)?|base_model\.model)\.)?"  # none: of a UNet that was saved by itself
ATTENTION = r"proj_(?:in|out)|transformer_blocks\.\d{1,2}\.(?:attn[12]\.to_(?:q|k|v|out\.0)|ff\.net\.(?:0\.proj|2))"
RESNET = r"conv[12]|conv_shortcut|time_emb_proj"
CLIP = r"encoder\.layers\.\d{1,2}\.(?:self_attn\.(?:q|k|v|out)_proj|mlp\.fc[12])|text_projection"
LAYERS = {  # that a LoRA can change, as pipelines of the three families call them; how many there are differs
    "unet": r"conv_(?:in|out)|(?:time|add)_embedding\.linear_[12]|(?:(?:down|up)_blocks\.\d|mid_block)\."
    rf"(?:attentions\.\d\.(?:{ATTENTION})|resnets\.\d\.(?:{RESNET})|(?:down|up)samplers\.0\.conv)",
    "text_encoder": CLIP,
    "text_encoder_2": CLIP,
}
KEYS = (  # of a tensor, in the forms that people's files have
    r"lora_(?P<part>unet|te[12]?)_(?P<layer>\w+)\.(?P<role>lora_(?:down|mid|up)\.weight|alpha)",
    PART + r"(?P<layer>.+?)\.(?P<role>lora_A|lora_B|lora_down|lora_up)(?:\.\w+)?\.weight",  # of peft; with its name
    PART + r"(?P<layer>.+?)(?:\.processor)?\.(?P<last>to_\w+?)_lora\.(?P<role>down|up)\.weight",  # diffusers ≤ 0.22
    PART + r"(?P<layer>.+?)\.lora(?:_linear_layer)?\.(?P<role>down|up)\.weight",  # diffusers, from 0.19 on
    PART + r"(?P<layer>.+?)\.(?P<role>alpha)",
)
ROLES = {
    "lora_down.weight": "down", "lora_A": "down", "lora_down": "down", "down": "down",
    "lora_up.weight": "up", "lora_B": "up", "lora_up": "up", "up": "up",
    "lora_mid.weight": "mid", "alpha": "alpha",
}  # fmt: skip
PARTS = {"te": "text_encoder", "te1": "text_encoder", "te2": "text_encoder_2"}
TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}  # as diffusers 0.18 called them


def published(layer: str) -> str:
    """A layer's name in files: a text encoder's start with `text_model`, whatever transformers calls them now."""
    part, _, name = layer.partition(".")
    whole = part == "unet" or name.startswith(("text_model.", "text_projection"))
    return layer if whole else f"{part}.text_model.{name}"


def in_memory(part: str, name: str) -> str:
    """A layer's name in a pipeline, from its name in a file, written with dots or with underscores."""
    if "." not in name:
        name = ".".join(re.findall(rf"(?:{WORDS})(?=_|$)|[a-zA-Z0-9]+", name))
    if part == "unet" and is_sdxl_name(name):
        name = pipeline_name(name)
    name = re.sub(r"\bto_out$", "to_out.0", name)
    return f"{part}.{name if part == 'unet' else name.removeprefix('text_model.')}"


def layer_and_role(key: str, path: Path) -> tuple[str, str]:
    """Which layer of the pipeline a tensor belongs to, and whether it is its `down`, `mid`, `up` or `alpha`.

    Raises ValueError naming the file and what it is for a tensor of anything else.
    """
    for pattern in KEYS:
        if found := re.fullmatch(pattern, key):
            said = found.groupdict()
            name, last = said["layer"], said.get("last")
            part = PARTS.get(said["part"] or "unet", said["part"] or "unet")
            if part == BARE.removesuffix("."):
                part = part_of(name, path)
            if last:
                name += f".{last if part == 'unet' else TEXT.get(last, last)}"
            try:
                layer = in_memory(part, name)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            if re.fullmatch(LAYERS[part], layer.removeprefix(f"{part}.")):
                return layer, ROLES[said["role"]]
    raise ValueError(f"{path}: {refusal(key)}")


def part_of(name: str, path: Path) -> str:
    """Which part of a pipeline a layer of peft's own file belongs to; the second text encoder is told by its folder."""
    if re.match(UNET, name) or is_sdxl_name(name):
        return "unet"
    return "text_encoder_2" if path.resolve().parent.name == "text_encoder_2" else "text_encoder"
