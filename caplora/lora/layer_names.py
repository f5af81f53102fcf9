"""The names of a layer: in a pipeline, and in the files of diffusers, kohya and peft."""

import re
from pathlib import Path

from caplora.lora.sdxl_names import is_sdxl_name, pipeline_name

WORDS = (  # of layers' names that hold an underscore; between words kohya writes one for each dot
    r"(?:down|up|mid|transformer|input|middle|output)_blocks?|text_model|self_attn|(?:proj|conv)_(?:in|out)"
    r"|conv_shortcut|time_emb_proj|time_embedding|add_embedding|linear_[12]|to_(?:q|k|v|out)|(?:q|k|v|out)_proj"
    r"|(?:in|emb|out)_layers|skip_connection|(?:time|label)_emb(?:ed)?"
)
KEYS = (  # of a tensor, in the forms that people's files have
    r"lora_(?P<part>unet|te[12]?)_(?P<layer>\w+)\.(?P<role>lora_down\.weight|lora_up\.weight|alpha)",
    r"(?P<part>unet|text_encoder(?:_2)?)\.(?P<layer>.+?)\.(?P<role>lora_A|lora_B|lora\.down|lora\.up)(\.default)?\.weight",
    r"(?P<part>unet|text_encoder(?:_2)?)\.(?P<layer>.+?)\.processor\.(?P<last>to_\w+?)_lora\.(?P<role>down|up)\.weight",
    r"(?P<part>unet|text_encoder(?:_2)?)\.(?P<layer>.+?)\.(?P<role>alpha)",
    r"(?P<part>base_model\.model)\.(?P<layer>.+?)\.(?P<role>lora_A|lora_B)\.weight",  # peft's own, of a UNet
)
ROLES = {"lora_down.weight": "down", "lora_A": "down", "lora.down": "down", "down": "down", "alpha": "alpha"}
PARTS = {"te": "text_encoder", "te1": "text_encoder", "te2": "text_encoder_2", "base_model.model": "unet"}


def published(layer: str) -> str:
    """A layer's name in files: a text encoder's start with `text_model`, whatever transformers calls them now."""
    part, _, name = layer.partition(".")
    return f"{part}.text_model.{name}" if part != "unet" and not name.startswith("text_model.") else layer


def in_memory(part: str, name: str) -> str:
    """A layer's name in a pipeline, from its name in a file, written with dots or with underscores."""
    if "." not in name:
        name = ".".join(re.findall(rf"(?:{WORDS})(?=_|$)|[a-zA-Z0-9]+", name))
    if part == "unet" and is_sdxl_name(name):
        name = pipeline_name(name)
    name = re.sub(r"\bto_out$", "to_out.0", name)
    return f"{part}.{name if part == 'unet' else name.removeprefix('text_model.')}"


def layer_and_role(key: str, path: Path) -> tuple[str, str]:
    """Which layer of the pipeline a tensor belongs to, and whether it is its `down`, `up` or `alpha`."""
    for pattern in KEYS:
        if found := re.fullmatch(pattern, key):
            said = found.groupdict()
            part = PARTS.get(said["part"], said["part"])
            name = f"{said['layer']}.{said['last']}" if "last" in said else said["layer"]
            return in_memory(part, name), ROLES.get(said["role"], "up")
    raise ValueError(f"{path}: {key!r} is no part of a LoRA (DoRA, LoHa and LoKr files are not read)")
