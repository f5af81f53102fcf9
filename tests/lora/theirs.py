"""Adapters as other programs write and read them: by peft and diffusers themselves, ΔW layer by layer in float64."""

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from caplora.lora.layer_names import in_memory
from tests.tiny import tiny_pipeline

PARTS = ("unet", "text_encoder", "text_encoder_2")


def learned(model: nn.Module, seed: int = 0) -> None:
    """Give every B of peft's layers in a model numbers, as after training."""
    g = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=g)


def peft_deltas(model: nn.Module, part: str = "unet", prefix: str = "") -> dict[str, Tensor]:
    """Layer, named as in our adapters → what peft's own layer adds to the weight, a convolution's kernel flat."""
    layers = {n: m for n, m in model.double().named_modules() if isinstance(m, LoraLayer)}
    return {
        in_memory(part, name.removeprefix(prefix)): layer.get_delta_weight(layer.active_adapters[0]).detach().flatten(1)
        for name, layer in layers.items()
    }


def diffusers_deltas(path: Path, pipeline: StableDiffusionPipeline | None = None) -> dict[str, Tensor]:
    """Layer → what diffusers adds to its weight once it has loaded a file."""
    pipeline = pipeline or tiny_pipeline()
    pipeline.load_lora_weights(path.parent, weight_name=path.name)
    models = {part: getattr(pipeline, part, None) for part in PARTS}
    return {k: v for part, model in models.items() if model for k, v in peft_deltas(model, part).items()}


def assert_same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], error: float = 1e-6) -> None:
    """The same layers, and as much added to each of their weights."""
    assert ours.keys() == theirs.keys() and theirs
    for layer, delta in theirs.items():
        assert delta.abs().max() > 1e-3, f"{layer} must show"
        torch.testing.assert_close(ours[layer], delta, rtol=0, atol=error * float(delta.abs().max()))
