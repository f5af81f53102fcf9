"""Adapters ↔ files that load everywhere: the diffusers form and the kohya form, alpha right in both.

diffusers: `unet.<layer>.lora_A.weight`, alpha folded into B, so every reader's "alpha = rank" is true.
kohya: `lora_unet_<layer>.lora_down.weight`, `.lora_up.weight` and `.alpha`, which ComfyUI, A1111 and Forge read.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from caplora.files import replacing, write_text
from caplora.lora import Adapter
from caplora.study import Study, Variant

DIFFUSERS = "pytorch_lora_weights.safetensors"


def diffusers_state(adapter: Adapter) -> dict[str, Tensor]:
    """The adapter under diffusers' names, α / r folded into B."""
    state = {}
    for layer, (down, up) in adapter.weights.items():
        state[f"unet.{layer}.lora_A.weight"] = down.float().contiguous()
        state[f"unet.{layer}.lora_B.weight"] = (up.float() * adapter.variant.scale).contiguous()
    return state


def kohya_state(adapter: Adapter) -> dict[str, Tensor]:
    """The adapter under kohya's names, with one alpha per layer."""
    state = {}
    for layer, (down, up) in adapter.weights.items():
        key = "lora_unet_" + layer.replace(".", "_")
        state[f"{key}.lora_down.weight"] = down.float().contiguous()
        state[f"{key}.lora_up.weight"] = up.float().contiguous()
        state[f"{key}.alpha"] = torch.tensor(float(adapter.variant.alpha))
    return state


def kohya_metadata(adapter: Adapter, title: str, resolution: int, base: str) -> dict[str, str]:
    """What kohya's tools and model browsers show of a file; all strings."""
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(adapter.variant.rank),
        "ss_network_alpha": f"{adapter.variant.alpha:g}",
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


def write_weights(state: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """A safetensors file with its metadata."""
    with replacing(path) as part:
        save_file(state, part, metadata=metadata)


def weights_file(study: Study, variant: Variant) -> Path:
    """The kohya-form file of a variant, named so that it can lie among other people's."""
    return study.adapter(variant) / f"{study.name}_{variant.name}.safetensors"


def write_adapter(study: Study, adapter: Adapter, losses: list[float], seconds: float) -> dict:
    """Write both forms, `losses.csv` and, last, `settings.json`; what settings.json says.

    Both files are read again and compared: `largest_error` is the largest |ΔW_file − ΔW| of any weight.
    """
    folder, kohya = study.adapter(adapter.variant), weights_file(study, adapter.variant)
    metadata = {"format": "pt"} | kohya_metadata(adapter, kohya.stem, study.images.resolution, study.base.path)
    write_weights(diffusers_state(adapter), folder / DIFFUSERS, {"format": "pt"})
    write_weights(kohya_state(adapter), kohya, metadata)
    rows = "".join(f"{i + 1},{loss:.8g}\n" for i, loss in enumerate(losses))
    write_text(folder / "losses.csv", "step,loss\n" + rows)
    record = {
        "variant": adapter.variant.model_dump(),
        "trained_parameters": sum(a.numel() + b.numel() for a, b in adapter.weights.values()),
        "layers": len(adapter.weights),
        "steps": len(losses),
        "seconds": round(seconds, 1),
        "training": study.training.model_dump(),
        "base": study.base.model_dump(),
        "largest_error": max(largest_error(adapter, folder / DIFFUSERS), largest_error(adapter, kohya)),
        "sha256": {path.name: file_hash(path) for path in (folder / DIFFUSERS, kohya)},
    }
    write_text(folder / "settings.json", json.dumps(record, indent=2) + "\n")
    return record


def deltas_of(path: Path) -> dict[str, Tensor]:
    """Layer → ΔW = (alpha / rank)·B·A in float64, read from either form by its own rules.

    Layers of a kohya file keep their underscored names. A file of another kind raises ValueError.
    """
    state = load_file(path)
    deltas = {}
    for key, down in state.items():
        if key.endswith(".lora_A.weight"):
            layer = key.removeprefix("unet.").removesuffix(".lora_A.weight")
            deltas[layer] = state[key.replace("lora_A", "lora_B")].double() @ down.double()
        elif key.endswith(".lora_down.weight"):
            stem = key.removesuffix(".lora_down.weight")
            scale = float(state[f"{stem}.alpha"]) / down.shape[0]
            deltas[stem.removeprefix("lora_unet_")] = scale * (state[f"{stem}.lora_up.weight"].double() @ down.double())
    if not deltas:
        raise ValueError(f"{path} holds no LoRA in diffusers or kohya form (first key: {next(iter(state), None)!r})")
    return deltas


def largest_error(adapter: Adapter, path: Path) -> float:
    """The largest difference between what the file adds to any weight and what the adapter adds."""
    kept = {layer.replace(".", "_"): delta for layer, delta in deltas_of(path).items()}
    return max(float((kept[layer.replace(".", "_")] - adapter.delta(layer)).abs().max()) for layer in adapter.weights)


def read_adapter(path: Path, layers: list[str]) -> Adapter:
    """The adapter in a kohya-form file, for the UNet whose target layers are `layers`.

    Raises ValueError naming the layer that the file lacks.
    """
    state = load_file(path)
    weights = {}
    for layer in layers:
        key = "lora_unet_" + layer.replace(".", "_")
        if f"{key}.lora_down.weight" not in state:
            raise ValueError(f"{path} has no weights for layer {layer}; was it trained on another base model?")
        weights[layer] = (state[f"{key}.lora_down.weight"], state[f"{key}.lora_up.weight"])
    alpha = float(state[f"{key}.alpha"])
    return Adapter(Variant(rank=weights[layers[0]][0].shape[0], alpha=alpha), weights)


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
