"""Several adapters → one that changes the weights by their weighted sum, exactly."""

from collections.abc import Sequence

import torch
from torch import Tensor

from caplora.lora.adapter import Adapter, of_dimensions, refuse_strength
from caplora.lora.formats import told_family
from caplora.study import Variant


def blend(adapters: Sequence[Adapter], weights: Sequence[float]) -> Adapter:
    """The adapter whose ΔW is Σ weight·ΔW of `adapters`: their ranks are put side by side, so that nothing is lost.

    Ranks, layers and scales may differ; a weight may be negative. The scale is 1: weights and scales are in B. Raises
    ValueError for adapters of different families, or of different sizes of a layer, and for a weight that is not
    finite.
    """
    if len(adapters) != len(weights) or not adapters:
        raise ValueError(f"each adapter of a blend needs a weight, got {len(adapters)} adapters and {list(weights)}")
    for weight in weights:
        refuse_strength("the weight of an adapter in a blend", weight)
    families = {family.name for adapter in adapters if (family := told_family(adapter))}
    if len(families) > 1:
        raise ValueError(f"adapters for {' and '.join(sorted(families))} fit no common base model: blend those of one")
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for adapter, weight in zip(adapters, weights, strict=True):
        for layer, (down, up) in adapter.weights.items():
            parts.setdefault(layer, []).append((down.float(), weight * adapter.variant.scale * up.float()))
    blended = {layer: _side_by_side(layer, pairs) for layer, pairs in parts.items()}
    rank = max((down.shape[0] for down, _ in blended.values()), default=1)
    return Adapter(Variant(rank=rank, alpha=rank), blended)


def _side_by_side(layer: str, pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """A layer of several adapters as one; a 1 × 1 convolution is stored by some as a matrix, and is the same layer."""
    ndim = max(matrix.ndim for pair in pairs for matrix in pair)
    pairs = [(of_dimensions(down, ndim), of_dimensions(up, ndim)) for down, up in pairs]
    sizes = {(down.shape[1:], up.shape[0]) for down, up in pairs}
    if len(sizes) > 1:
        said = " and ".join(sorted(f"{tuple(into)} → {out}" for into, out in sizes))
        raise ValueError(f"{layer} is {said} in the adapters: they were trained on different base models")
    return torch.cat([down for down, _ in pairs]), torch.cat([up for _, up in pairs], dim=1)
