"""The weights of one variant, ΔW = scale·B·A layer by layer; a fresh one changes nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caplora.models import generator_of
from caplora.study import Variant


@dataclass(frozen=True)
class Adapter:
    """The trained weights of one variant: layer → (A of shape (r, in), B of shape (out, r)); ΔW = scale·B·A.

    A layer is named from the pipeline: `unet.mid_block…to_q`, `text_encoder.encoder…q_proj`. Other people's adapters
    may have convolutions: A (r, in, k, k) and B (out, r, 1, 1).
    """

    variant: Variant
    weights: dict[str, tuple[Float[Tensor, "r i *k"], Float[Tensor, "o r *ones"]]]
    notes: tuple[str, ...] = ()  # what its file leaves unclear, a sentence each

    def delta(self, layer: str) -> Float[Tensor, "o ik"]:
        """What the adapter adds to the weight of `layer`, in float64, a convolution's kernel flat."""
        down, up = self.weights[layer]
        return self.variant.scale * (up.double().flatten(1) @ down.double().flatten(1))

    def parameters(self) -> int:
        """How many weights it has."""
        return sum(down.numel() + up.numel() for down, up in self.weights.values())


def rescaled(adapter: Adapter, factor: float) -> Adapter:
    """The adapter with ΔW multiplied by `factor`: what a LoRA scale other than 1 uses; ValueError if not finite."""
    if factor == 1:
        return adapter
    refuse_strength("the scale of an adapter", factor)
    weights = {layer: (down, factor * up) for layer, (down, up) in adapter.weights.items()}
    return replace(adapter, weights=weights)


def refuse_strength(what: str, value: float) -> None:
    """Raise ValueError where what an adapter is multiplied by is NaN or infinite: it would make every weight that."""
    if not math.isfinite(value):
        raise ValueError(f"{what} must be a finite number, got {value}")


def of_dimensions(matrix: Tensor, ndim: int) -> Tensor:
    """A or B with as many dimensions as the kernel of its layer has: those that are missing are 1 long."""
    return matrix.reshape(*matrix.shape, *[1] * (ndim - matrix.ndim))


NOTHING = Adapter(Variant(rank=1, alpha=1), {})  # as an arm of a pack, the baseline: its rows pass unchanged


def fresh_adapter(layers: Mapping[str, nn.Linear], variant: Variant, seed: int) -> Adapter:
    """An adapter that changes nothing yet: A as peft draws it, U(−1/√in, 1/√in), and B zero.

    Row i of A is a function of the seed and the layer's name, the same for every rank: variants of one seed start
    from the same directions.
    """
    weights = {}
    for name, layer in layers.items():
        bound = 1 / math.sqrt(layer.in_features)
        down = torch.empty(variant.rank, layer.in_features)
        down.uniform_(-bound, bound, generator=generator_of("A", seed, name))
        weights[name] = (down, torch.zeros(layer.out_features, variant.rank))
    return Adapter(variant, weights)
