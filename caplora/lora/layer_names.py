"""The names of a layer: in a pipeline, and in the files of diffusers, kohya and peft."""

import re
from pathlib import Path

PREFIXES = {"unet": "lora_unet", "text_encoder": "lora_te"}
WORDS = (  # of layers' names that hold an underscore; between words kohya writes one for each dot
    r"(?:down|up|mid|transformer)_blocks?|text_model|self_attn|(?:proj|conv)_(?:in|out)|conv_shortcut|time_emb_proj"
    r"|time_embedding|linear_[12]|to_(?:q|k|v|out)|(?:q|k|v|out)_proj"
)
KEYS = (  # of a tensor, in the forms that people's files have
    r"lora_(?P<part>unet|te1?)_(?P<layer>\w+)\.(?P<role>lora_down\.weight|lora_up\.weight|alpha)",
    r"(?P<part>unet|text_encoder)\.(?P<layer>.+?)\.(?P<role>lora_A|lora_B|lora\.down|lora\.up)(\.default)?\.weight",
    r"(?P<part>unet|text_encoder)\.(?P<layer>.+?)\.processor\.(?P<last>to_\w+?)_lora\.(?P<role>down|up)\.weight",
    r"(?P<part>unet|text_encoder)\.(?P<layer>.+?)\.(?P<role>alpha)",
    r"(?P<part>base_model\.model)\.(?P<layer>.+?)\.(?P<role>lora_A|lora_B)\.weight",  # peft's own, of a UNet
)
ROLES = {"lora_down.weight": "down", "lora_A": "down", "lora.down": "down", "down": "down", "alpha": "alpha"}


def published(layer: str) -> str:
    """A layer's name in files: the text encoder's start with `text_model`, whatever transformers calls them now."""
    part, _, name = layer.partition(".")
    return f"{part}.text_model.{name}" if part == "text_encoder" and not name.startswith("text_model.") else layer


def in_memory(part: str, name: str) -> str:
    """A layer's name in a pipeline, from its name in a file, written with dots or with underscores.

    Raises ValueError for a name of SDXL's UNet as its authors have it.
    """
    if re.match(r"(input|middle|output)_block", name):
        raise ValueError(f"{name} is a layer of SDXL, which is not read")
    if "." not in name:
        name = ".".join(re.findall(rf"(?:{WORDS})(?=_|$)|[a-zA-Z0-9]+", name))
    name = re.sub(r"\bto_out$", "to_out.0", name)
    return f"{part}.{name.removeprefix('text_model.') if part == 'text_encoder' else name}"


def layer_and_role(key: str, path: Path) -> tuple[str, str]:
    """Which layer of the pipeline a tensor belongs to, and whether it is its `down`, `up` or `alpha`."""
    for pattern in KEYS:
        if found := re.fullmatch(pattern, key):
            said = found.groupdict()
            part = "text_encoder" if said["part"].startswith("te") else "unet"
            name = f"{said['layer']}.{said['last']}" if "last" in said else said["layer"]
            return in_memory(part, name), ROLES.get(said["role"], "up")
    raise ValueError(f"{path}: {key!r} is no part of a LoRA (DoRA, LoHa, LoKr and SDXL files are not read)")
