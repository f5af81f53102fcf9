"""An adapter → the tensors and metadata of a file, as diffusers and as kohya have them; alpha is right in both.

diffusers: `unet.<layer>.lora_A.weight`, the scale folded into B, so that a reader who takes alpha for the rank is
right. kohya: `lora_unet_<layer>.lora_down.weight`, `.lora_up.weight` and `.alpha`, which ComfyUI, A1111 and Forge
read; of SDXL with its authors' names of layers, and `lora_te1_` and `lora_te2_` for its text encoders. For
rank-stabilised LoRA kohya's alpha is alpha·√rank, because every reader divides by the rank.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

from caplora.lora.adapter import Adapter
from caplora.lora.layer_names import published
from caplora.lora.sdxl_names import authors_name
from caplora.models import SD1, SD2, SDXL, Family

DIFFUSERS = "pytorch_lora_weights.safetensors"


def diffusers_state(adapter: Adapter) -> dict[str, Tensor]:
    """The adapter under diffusers' names, the scale folded into B."""
    state = {}
    for layer, (down, up) in adapter.weights.items():
        state[f"{published(layer)}.lora_A.weight"] = down.float().contiguous()
        state[f"{published(layer)}.lora_B.weight"] = (up.float() * adapter.variant.scale).contiguous()
    return state


def kohya_state(adapter: Adapter) -> dict[str, Tensor]:
    """The adapter under kohya's names, with one alpha per layer: what divided by the layer's rank is the scale."""
    state, family = {}, family_of_adapter(adapter)
    for layer, (down, up) in adapter.weights.items():
        key = kohya_key(layer, family)
        state[f"{key}.lora_down.weight"] = down.float().contiguous()
        state[f"{key}.lora_up.weight"] = up.float().contiguous()
        state[f"{key}.alpha"] = torch.tensor(adapter.variant.scale * down.shape[0], dtype=torch.float32)
    return state


def kohya_key(layer: str, family: Family) -> str:
    """What kohya's scripts call a layer in a file."""
    part, _, name = published(layer).partition(".")
    prefix = {"unet": "lora_unet", "text_encoder": "lora_te1" if family == SDXL else "lora_te"}.get(part, "lora_te2")
    name = authors_name(name) if part == "unet" and family == SDXL else name
    return f"{prefix}_{name.replace('.', '_')}"


def family_of_adapter(adapter: Adapter) -> Family:
    """The family of base models that an adapter fits; one that does not tell counts as Stable Diffusion 1."""
    return told_family(adapter) or SD1


def told_family(adapter: Adapter) -> Family | None:
    """The family that an adapter is told to fit by the width of the texts that its cross-attention reads.

    Of an adapter without, only SDXL can be told, by its second text encoder or by several transformer blocks in a row.
    """
    widths = {down.shape[1] for name, (down, _) in adapter.weights.items() if re.search(r"attn2\.to_[kv]$", name)}
    deep = any(re.match(r"text_encoder_2\.|unet.*transformer_blocks\.[1-9]", name) for name in adapter.weights)
    if 2048 in widths or deep:
        return SDXL
    return next((family for width, family in {768: SD1, 1024: SD2}.items() if width in widths), None)


FORMS = {"diffusers": diffusers_state, "kohya": kohya_state}


def kohya_metadata(
    adapter: Adapter, title: str, resolution: int, base: str, family: Family | None = None
) -> dict[str, str]:
    """What kohya's tools and model browsers show of a file; all strings. `family` is told by the adapter if it is None.

    The strings are those of kohya's sd-scripts and of sai_model_spec 1.0.0.
    """
    alpha, family = adapter.variant.scale * adapter.variant.rank, family or family_of_adapter(adapter)
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(adapter.variant.rank),
        "ss_network_alpha": f"{alpha:g}",
        "ss_output_name": title,
        "ss_sd_model_name": base,
        "ss_base_model_version": family.version,
        "ss_resolution": f"({resolution}, {resolution})",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{family.architecture}/lora",
        "modelspec.implementation": "https://github.com/huggingface/diffusers",
        "modelspec.title": title,
        "modelspec.resolution": f"{resolution}x{resolution}",
    }


def tag_frequency(captions: Iterable[str], folder: str) -> str:
    """How often each comma-separated part of the captions stands, as kohya's metadata has it."""
    counts = Counter(tag.strip() for caption in captions for tag in caption.split(",") if tag.strip())
    return json.dumps({folder: dict(counts.most_common())}, ensure_ascii=False)
