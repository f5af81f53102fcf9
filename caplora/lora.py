"""LoRA for a pack of variants: ΔW = (α / r)·B·A on the UNet's attention, many adapters over one copy of the base.

The UNet of a pack sees V·B images, variant by variant; each target layer adds to every variant's rows what that
variant's adapter says. Ranks are padded with zeros to the largest. One adapter is a pack of one.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor, nn

from caplora.study import Variant

TARGETS = r"attn[12]\.to_[qv]$"  # query and value, self- and cross-attention (Hu et al. 2021, section 4.2)


@dataclass(frozen=True)
class Adapter:
    """The trained weights of one variant: layer → (A of shape (r, in), B of shape (out, r)); ΔW = scale·B·A."""

    variant: Variant
    weights: dict[str, tuple[Float[Tensor, "r i"], Float[Tensor, "o r"]]]

    def delta(self, layer: str) -> Float[Tensor, "o i"]:
        """What the adapter adds to the weight of `layer`, in float64."""
        down, up = self.weights[layer]
        return self.variant.scale * (up.double() @ down.double())


class PackedLinear(nn.Module):
    """A frozen linear layer and the adapters of a pack; without adapters it is the layer alone."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down: Tensor | None = None  # (V, r, in)
        self.up: Tensor | None = None  # (V, out, r), scaled by α / r

    def forward(self, x: Float[Tensor, "vb *tokens i"]) -> Float[Tensor, "vb *tokens o"]:
        y = self.base(x)
        if self.down is None or self.up is None:
            return y
        rows = x.reshape(len(self.down), -1, x.shape[-1])  # (V, B·tokens, in)
        if not torch.is_autocast_enabled(x.device.type):
            rows = rows.to(self.down.dtype)
        delta = rows @ self.down.mT @ self.up.mT
        return y + delta.reshape(y.shape).to(y.dtype)


def target_layers(unet: UNet2DConditionModel, targets: str = TARGETS) -> dict[str, nn.Linear]:
    """The linear layers whose name matches the regular expression, in the model's order."""
    found = {}
    for name, module in unet.named_modules():
        if re.search(targets, name) and isinstance(module, nn.Linear | PackedLinear):
            found[name] = module.base if isinstance(module, PackedLinear) else module
    if not found:
        raise ValueError(f"no linear layer of the UNet matches {targets!r}")
    return found


def fresh_adapter(layers: dict[str, nn.Linear], variant: Variant, seed: int) -> Adapter:
    """An adapter that changes nothing yet: A as peft draws it, U(−1/√in, 1/√in), and B zero.

    Row i of A is the same for every rank, so variants of one seed start from the same directions.
    """
    weights = {}
    for i, (name, layer) in enumerate(layers.items()):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + i)
        bound = 1 / math.sqrt(layer.in_features)
        down = torch.empty(variant.rank, layer.in_features).uniform_(-bound, bound, generator=generator)
        weights[name] = (down, torch.zeros(layer.out_features, variant.rank))
    return Adapter(variant, weights)


def padded(x: Tensor, rank: int, dim: int) -> Tensor:
    """`x` with zeros appended along `dim` up to `rank`."""
    shape = list(x.shape)
    shape[dim] = rank - shape[dim]
    return torch.cat([x, x.new_zeros(shape)], dim) if shape[dim] else x


class Pack(nn.Module):
    """Adapters trained or used together: one flat parameter per adapter, laid onto the layers before each pass.

    An arm that is `None` is the baseline: its rows pass unchanged (to the bit: it adds zero).
    """

    def __init__(self, unet: UNet2DConditionModel, arms: Sequence[Adapter | None], targets: str = TARGETS) -> None:
        super().__init__()
        self.arms = tuple(arms)
        self.rank = max((arm.variant.rank for arm in arms if arm), default=1)
        layers = target_layers(unet, targets)
        self.shapes = {name: (layer.in_features, layer.out_features) for name, layer in layers.items()}
        device = next(unet.parameters()).device
        self.flat = nn.ParameterList([nn.Parameter(self._flatten(arm).to(device)) for arm in arms])
        self.scales = [arm.variant.scale if arm else 0.0 for arm in arms]
        self._layers = attach(unet, list(layers))

    def _flatten(self, arm: Adapter | None) -> Float[Tensor, " p"]:
        parts = []
        for name, (into, out) in self.shapes.items():
            down, up = arm.weights[name] if arm else (torch.zeros(1, into), torch.zeros(out, 1))
            parts += [padded(down, self.rank, 0).reshape(-1), padded(up, self.rank, 1).reshape(-1)]
        return torch.cat(parts).float()

    @torch.no_grad()
    def begin(self) -> None:
        """Give every arm the weights that it began with."""
        for flat, arm in zip(self.flat, self.arms, strict=True):
            flat.copy_(self._flatten(arm))

    def lay(self) -> None:
        """Put the present weights onto the UNet's layers."""
        both = torch.stack(list(self.flat))  # (V, P)
        scale = both.new_tensor(self.scales)[:, None, None]
        start, r, v = 0, self.rank, len(self.arms)
        for layer, (into, out) in zip(self._layers, self.shapes.values(), strict=True):
            middle, end = start + r * into, start + r * (into + out)
            layer.down = both[:, start:middle].view(v, r, into)
            layer.up = both[:, middle:end].view(v, out, r) * scale
            start = end

    def lift(self) -> None:
        """Take the weights off again: the UNet is the base model."""
        for layer in self._layers:
            layer.down = layer.up = None

    def adapters(self) -> list[Adapter | None]:
        """The adapters as they stand, on the CPU, without padding."""
        return [
            self._unflatten(arm, flat.detach().cpu()) if arm else None
            for arm, flat in zip(self.arms, self.flat, strict=True)
        ]

    def _unflatten(self, arm: Adapter, flat: Float[Tensor, " p"]) -> Adapter:
        weights, start, r = {}, 0, self.rank
        for name, (into, out) in self.shapes.items():
            middle, end = start + r * into, start + r * (into + out)
            down, up = flat[start:middle].view(r, into), flat[middle:end].view(out, r)
            weights[name] = (down[: arm.variant.rank].clone(), up[:, : arm.variant.rank].clone())
            start = end
        return Adapter(arm.variant, weights)

    def trained_parameters(self) -> list[int]:
        """How many weights each arm trains, padding not counted."""
        per_rank = sum(into + out for into, out in self.shapes.values())
        return [arm.variant.rank * per_rank if arm else 0 for arm in self.arms]


def attach(unet: UNet2DConditionModel, names: Sequence[str]) -> list[PackedLinear]:
    """Wrap the named linear layers so that they can carry adapters; layers wrapped before are reused, and lifted."""
    wrapped = []
    for name in names:
        parent, _, child = name.rpartition(".")
        layer = unet.get_submodule(name)
        if not isinstance(layer, PackedLinear):
            layer = PackedLinear(layer)
            setattr(unet.get_submodule(parent), child, layer)
        layer.down = layer.up = None
        wrapped.append(layer)
    return wrapped


def detach(unet: UNet2DConditionModel) -> None:
    """Give the UNet its own layers back."""
    for name, module in list(unet.named_modules()):
        if isinstance(module, PackedLinear):
            parent, _, child = name.rpartition(".")
            setattr(unet.get_submodule(parent), child, module.base)
