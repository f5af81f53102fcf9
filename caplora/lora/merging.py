"""Adapters ↔ whole models: merge one into its base, extract one from two models, resize one to a lower rank."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caplora.lora.adapter import Adapter, of_dimensions, refuse_strength
from caplora.lora.layer_names import in_memory
from caplora.lora.layers import PackedLinear
from caplora.models import Pipeline, parts_of
from caplora.study import Variant


class Merged:
    """A pipeline's weights with `strength`·ΔW added, computed in float64 and rounded once, to lay on and to lift again.

    Raises ValueError naming a layer that the pipeline lacks or has in another size, or a strength that is not finite.
    """

    def __init__(self, pipeline: Pipeline, adapter: Adapter, strength: float = 1.0) -> None:
        refuse_strength("the strength of an adapter", strength)
        self._weights: list[tuple[nn.Parameter, Tensor, Tensor]] = []  # of the model, its own, merged
        for layer in adapter.weights:
            weight, delta = weight_of(pipeline, layer), adapter.delta(layer)
            if delta.numel() != weight.numel():
                raise ValueError(
                    f"{layer} is {tuple(weight.shape)} in the model and {tuple(delta.shape)} in the adapter: was it"
                    " trained on another base model?"
                )
            own = weight.data.clone()
            changed = own.double().cpu() + strength * delta.reshape(weight.shape)
            self._weights.append((weight, own, changed.to(own)))

    def lay(self) -> None:
        """Put the merged weights into the model."""
        for weight, _, changed in self._weights:
            weight.data.copy_(changed)

    def lift(self) -> None:
        """Put the model's own weights back, to the bit."""
        for weight, own, _ in self._weights:
            weight.data.copy_(own)


def merge(pipeline: Pipeline, adapter: Adapter, strength: float = 1.0) -> None:
    """Add `strength`·ΔW to the pipeline's own weights, computed in float64 and rounded once.

    Raises ValueError naming a layer that the pipeline lacks or has in another size.
    """
    Merged(pipeline, adapter, strength).lay()


def weight_of(pipeline: Pipeline, layer: str) -> nn.Parameter:
    """The weight of a layer named as in adapters: `unet.mid_block…to_q`."""
    part, _, name = layer.partition(".")
    try:
        module = parts_of(pipeline)[part].get_submodule(name)
        return (module.base if isinstance(module, PackedLinear) else module).get_parameter("weight")
    except (AttributeError, KeyError):
        raise ValueError(f"the model has no layer {layer}: was the adapter trained on another base model?") from None


def truncated(delta: Float[Tensor, "o i"], rank: int) -> tuple[Float[Tensor, "r i"], Float[Tensor, "o r"], float]:
    """The A and B of rank `rank` whose product is nearest to ΔW (Eckart and Young 1936), and the share of it lost.

    The share is of the Frobenius norm, 0 … 1.
    """
    u, s, v = torch.linalg.svd(delta.double(), full_matrices=False)
    rank = min(rank, len(s))
    root = s[:rank].sqrt()
    lost = float(s[rank:].norm() / s.norm().clamp(min=torch.finfo(s.dtype).tiny))
    return (root[:, None] * v[:rank]).float().contiguous(), (u[:, :rank] * root).float().contiguous(), lost


def resize(adapter: Adapter, rank: int) -> tuple[Adapter, float]:
    """The adapter at a lower rank, its alpha equal to it, and the largest share that a layer has lost.

    Layers of a lower rank keep theirs. Raises ValueError for a rank that is not below the adapter's own.
    """
    own = max(down.shape[0] for down, _ in adapter.weights.values())
    if not 1 <= rank < own:
        raise ValueError(f"rank must be at least 1 and below the adapter's own, {own}, got {rank}")
    weights, losses = {}, []
    for layer, (old, _) in adapter.weights.items():
        down, up, lost = truncated(adapter.delta(layer), min(rank, old.shape[0]))
        weights[layer] = (down.view(-1, *old.shape[1:]), of_dimensions(up, old.ndim))
        losses.append(lost)
    return Adapter(Variant(rank=rank, alpha=rank), weights), max(losses)


def extract(
    base: Pipeline, tuned: Pipeline, rank: int, smallest: float = 1e-6
) -> Iterator[tuple[str, tuple[Tensor, Tensor], float]]:
    """The adapter that takes `base` to `tuned`, layer by layer: its name, (A, B) and the share lost.

    Layers, linear or 1 × 1, whose weights differ by no more than `smallest` are left out. The adapter's alpha is its
    rank, or the width of a layer that is narrower. Raises ValueError where the two are not of one shape or a weight is
    not finite, and for a rank that is above the width of every layer.
    """
    parts, widest = parts_of(tuned), _widest(base)
    if not 1 <= rank <= widest:
        raise ValueError(f"rank must be 1 to {widest}, the most that the widest layer of the base can use, got {rank}")
    for part, model in parts_of(base).items():
        after = dict(parts[part].named_modules())
        for name, module in model.named_modules():
            if not _is_a_matrix(module):
                continue
            if name not in after or after[name].weight.shape != module.weight.shape:
                raise ValueError(f"the tuned model has no {part}.{name} of shape {tuple(module.weight.shape)}")
            delta = after[name].weight.data.double() - module.weight.data.double()
            if not delta.isfinite().all():
                raise ValueError(f"{part}.{name} is NaN or infinite in one of the two models: nothing can be extracted")
            if delta.abs().max() > smallest:
                down, up, lost = truncated(delta.flatten(1).cpu(), rank)
                ndim = module.weight.ndim
                yield in_memory(part, name), (of_dimensions(down, ndim), of_dimensions(up, ndim)), lost


def left_out(base: Pipeline, tuned: Pipeline, smallest: float = 1e-6) -> int:
    """How many weights and biases differ that `extract` cannot hold: larger convolutions, norms, embeddings, biases."""
    count, parts = 0, parts_of(tuned)
    for part, model in parts_of(base).items():
        after = dict(parts[part].named_parameters())
        held = {f"{name}.weight" for name, module in model.named_modules() if _is_a_matrix(module)}
        for name, weight in model.named_parameters():
            count += name not in held and bool((after[name].data - weight.data).abs().max() > smallest)
    return count


def _widest(pipeline: Pipeline) -> int:
    """The highest rank that a change of any of its linear or 1 × 1 layers can have."""
    modules = (module for model in parts_of(pipeline).values() for module in model.modules())
    return max(min(module.get_parameter("weight").shape[:2]) for module in modules if _is_a_matrix(module))


def _is_a_matrix(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1))
