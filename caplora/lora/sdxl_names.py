"""The layers of SDXL's UNet as its authors name them and as diffusers does.

Files of SDXL adapters have the authors' names (`input_blocks.4.1.…`), as kohya's scripts write them. Both UNets have
three blocks a level: two layers and what changes the size.
"""

import re

LAYERS = 3  # of a level, in the authors' count
RESNET = {  # within a residual block
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
OUTSIDE = {  # of the blocks
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.2": "conv_out",
}
MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}


def is_sdxl_name(name: str) -> bool:
    """Whether a layer of a UNet is called as SDXL's authors call it."""
    return bool(re.match(r"(input|middle|output)_blocks?\.|time_embed\.|label_emb\.|out\.", name))


def pipeline_name(name: str) -> str:
    """`input_blocks.4.1.transformer_blocks.0.attn1.to_q` → `down_blocks.1.attentions.0.transformer_blocks.0…`.

    Raises ValueError for a name that is no layer of SDXL's UNet.
    """
    if name in OUTSIDE:
        return OUTSIDE[name]
    found = re.fullmatch(r"(input|middle|output)_blocks?\.(\d+)\.(?:(\d+)\.)?(.+)", name)
    if not found:
        raise ValueError(f"{name} is no layer of SDXL")
    side, number, inner, rest = found.groups()
    if side == "middle":
        place = f"mid_block.{MIDDLE.get(number, number)}"
        rest = f"{inner}.{rest}" if inner else rest
        return f"{place}.{RESNET.get(rest, rest)}"
    level, layer = divmod(int(number) - (side == "input"), LAYERS)
    way = "down" if side == "input" else "up"
    if rest == "op":
        return f"{way}_blocks.{level}.downsamplers.0.conv"
    if rest == "conv" and inner in ("1", "2"):
        return f"{way}_blocks.{level}.upsamplers.0.conv"
    kind = "attentions" if inner == "1" else "resnets"
    return f"{way}_blocks.{level}.{kind}.{layer}.{RESNET.get(rest, rest)}"


def authors_name(name: str) -> str:
    """The way back: the authors' name of a layer that is named as in a pipeline; ValueError for one it lacks."""
    outside = {ours: theirs for theirs, ours in OUTSIDE.items()}
    if name in outside:
        return outside[name]
    resnet = {ours: theirs for theirs, ours in RESNET.items()}
    if found := re.fullmatch(r"mid_block\.(\w+\.\d)\.(.+)", name):
        number = {ours: theirs for theirs, ours in MIDDLE.items()}[found[1]]
        return f"middle_block.{number}.{resnet.get(found[2], found[2])}"
    found = re.fullmatch(r"(down|up)_blocks\.(\d)\.(attentions|resnets|downsamplers|upsamplers)\.(\d)\.(.+)", name)
    if not found:
        raise ValueError(f"{name} is no layer of SDXL")
    way, level, kind, layer, rest = found.groups()
    if kind == "downsamplers":
        return f"input_blocks.{LAYERS * (int(level) + 1)}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{LAYERS * int(level) + 2}.2.conv"
    place = LAYERS * int(level) + int(layer) + (way == "down")
    inner = 1 if kind == "attentions" else 0
    return f"{'input' if way == 'down' else 'output'}_blocks.{place}.{inner}.{resnet.get(rest, rest)}"
