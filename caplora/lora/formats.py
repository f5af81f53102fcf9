"""An adapter → the tensors and metadata of a file, as diffusers and as kohya have them; alpha is right in both.

diffusers: `unet.<layer>.lora_A.weight`, the scale folded into B, so that a reader who takes alpha for the rank is
right. kohya: `lora_unet_<layer>.lora_down.weight`, `.lora_up.weight` and `.alpha`, which ComfyUI, A1111 and Forge
read. For rank-stabilised LoRA its alpha is alpha·√rank, because every reader divides by the rank.
"""

import json
from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

from caplora.lora.adapter import Adapter
from caplora.lora.layer_names import PREFIXES, published

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
    state = {}
    for layer, (down, up) in adapter.weights.items():
        part, _, name = published(layer).partition(".")
        key = f"{PREFIXES[part]}_{name.replace('.', '_')}"
        state[f"{key}.lora_down.weight"] = down.float().contiguous()
        state[f"{key}.lora_up.weight"] = up.float().contiguous()
        state[f"{key}.alpha"] = torch.tensor(adapter.variant.scale * down.shape[0], dtype=torch.float32)
    return state


FORMS = {"diffusers": diffusers_state, "kohya": kohya_state}


def kohya_metadata(adapter: Adapter, title: str, resolution: int, base: str) -> dict[str, str]:
    """What kohya's tools and model browsers show of a file; all strings."""
    alpha = adapter.variant.scale * adapter.variant.rank
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(adapter.variant.rank),
        "ss_network_alpha": f"{alpha:g}",
        "ss_output_name": title,
        "ss_sd_model_name": base,
        "ss_base_model_version": "sd_v1",
        "ss_resolution": f"({resolution}, {resolution})",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.implementation": "https://github.com/huggingface/diffusers",
        "modelspec.title": title,
        "modelspec.resolution": f"{resolution}x{resolution}",
    }


def tag_frequency(captions: Iterable[str], folder: str) -> str:
    """How often each comma-separated part of the captions stands, as kohya's metadata has it."""
    counts = Counter(tag.strip() for caption in captions for tag in caption.split(",") if tag.strip())
    return json.dumps({folder: dict(counts.most_common())}, ensure_ascii=False)
