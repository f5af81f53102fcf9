"""LoRA for a pack of variants: ΔW = scale·B·A on attention, many adapters over one copy of the base.

The models of a pack see V·B rows, variant by variant; each target layer adds to every variant's rows what that
variant's adapter says. Ranks are padded with zeros to the largest, and a layer that a variant does not target is all
padding. One adapter is a pack of one.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caplora.seeds import generator_of
from caplora.settings import TARGETS, Training, Variant

TEXT_TARGETS = r"self_attn\.(q|k|v|out)_proj$"  # every projection of the text encoder, as diffusers' script has it


@dataclass(frozen=True)
class Adapter:
    """The trained weights of one variant: layer → (A of shape (r, in), B of shape (out, r)); ΔW = scale·B·A.

    A layer is named from the pipeline: `unet.mid_block…to_q`, `text_encoder.encoder…q_proj`. Other people's adapters
    may have convolutions: A (r, in, k, k) and B (out, r, 1, 1).
    """

    variant: Variant
    weights: dict[str, tuple[Float[Tensor, "r i *k"], Float[Tensor, "o r *ones"]]]

    def delta(self, layer: str) -> Float[Tensor, "o ik"]:
        """What the adapter adds to the weight of `layer`, in float64, a convolution's kernel flat."""
        down, up = self.weights[layer]
        return self.variant.scale * (up.double().flatten(1) @ down.double().flatten(1))

    def parameters(self) -> int:
        """How many weights it has."""
        return sum(down.numel() + up.numel() for down, up in self.weights.values())


def rescaled(adapter: Adapter, factor: float) -> Adapter:
    """The adapter with ΔW multiplied by `factor`: what a LoRA scale other than 1 uses."""
    if factor == 1:
        return adapter
    return Adapter(adapter.variant, {layer: (down, factor * up) for layer, (down, up) in adapter.weights.items()})


NOTHING = Adapter(Variant(rank=1, alpha=1), {})  # as an arm of a pack, the baseline: its rows pass unchanged


class PackedLinear(nn.Module):
    """A frozen linear layer and the adapters of a pack; without adapters it is the layer alone."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down: Tensor | None = None  # (V, r, in)
        self.up: Tensor | None = None  # (V, out, r), times the scale

    def forward(self, x: Float[Tensor, "vb *tokens i"]) -> Float[Tensor, "vb *tokens o"]:
        y = self.base(x)
        if self.down is None or self.up is None:
            return y
        rows = x.reshape(len(self.down), -1, x.shape[-1])  # (V, B·tokens, in)
        if not torch.is_autocast_enabled(x.device.type):
            rows = rows.to(self.down.dtype)
        low = rows @ self.down.mT
        if y.dtype == low.dtype:
            return torch.baddbmm(y.view(len(rows), -1, y.shape[-1]), low, self.up.mT).view(y.shape)
        return y + (low @ self.up.mT).reshape(y.shape).to(y.dtype)


def linear_layers(model: nn.Module, expression: str) -> dict[str, nn.Linear]:
    """The linear layers whose name matches the regular expression, in the model's order."""
    modules = dict(model.named_modules())
    wrapped = {f"{name}.base" for name, module in modules.items() if isinstance(module, PackedLinear)}
    found = {
        name: module.base if isinstance(module, PackedLinear) else module
        for name, module in modules.items()
        if isinstance(module, nn.Linear | PackedLinear) and name not in wrapped and re.search(expression, name)
    }
    if not found:
        raise ValueError(f"no linear layer of the {type(model).__name__} matches {expression!r}")
    return found


def target_layers(host: nn.ModuleDict, settings: Training) -> dict[str, nn.Linear]:
    """The layers of `host` (`unet` and, where it is trained, `text_encoder`) that `settings` targets, by full name."""
    expressions = {"unet": TARGETS.get(settings.targets, settings.targets)}
    if settings.train_text_encoder:
        expressions["text_encoder"] = TEXT_TARGETS
    return {
        f"{part}.{name}": layer
        for part, expression in expressions.items()
        for name, layer in linear_layers(host[part], expression).items()
    }


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


def padded(x: Tensor, rank: int, dim: int) -> Tensor:
    """`x` with zeros appended along `dim` up to `rank`."""
    shape = list(x.shape)
    shape[dim] = rank - shape[dim]
    return torch.cat([x, x.new_zeros(shape)], dim) if shape[dim] else x


class Pack(nn.Module):
    """Adapters trained or used together: one flat parameter per adapter, laid onto the layers before each pass.

    `host` holds the models by the first word of their layers' names.
    """

    def __init__(self, host: nn.ModuleDict, arms: Sequence[Adapter]) -> None:
        super().__init__()
        self.arms = tuple(arms)
        self.rank = max((down.shape[0] for arm in arms for down, _ in arm.weights.values()), default=1)
        self.shapes = {name: (down.shape[1], up.shape[0]) for arm in arms for name, (down, up) in arm.weights.items()}
        device = next(host["unet"].parameters()).device
        self.flat = nn.ParameterList([nn.Parameter(self.flatten(arm.weights).to(device)) for arm in arms])
        self.scales = [arm.variant.scale for arm in arms]
        self._layers = attach(host, self.shapes)

    def flatten(self, weights: Mapping[str, tuple[Tensor, Tensor]]) -> Float[Tensor, " p"]:
        """Weights of some layers, layer → (A, B), as one vector with this pack's padding."""
        parts = [torch.zeros(0)]
        for name, (into, out) in self.shapes.items():
            down, up = weights.get(name, (torch.zeros(0, into), torch.zeros(out, 0)))
            parts += [padded(down.float(), self.rank, 0).reshape(-1), padded(up.float(), self.rank, 1).reshape(-1)]
        return torch.cat(parts)

    def unflatten(self, arm: Adapter, flat: Float[Tensor, " p"]) -> dict[str, tuple[Tensor, Tensor]]:
        """The layers of `arm` in such a vector, without padding."""
        weights, start, r = {}, 0, self.rank
        for name, (into, out) in self.shapes.items():
            middle, end = start + r * into, start + r * (into + out)
            if name in arm.weights:
                own = arm.weights[name][0].shape[0]
                down, up = flat[start:middle].view(r, into), flat[middle:end].view(out, r)
                weights[name] = (down[:own].clone(), up[:, :own].clone())
            start = end
        return weights

    @torch.no_grad()
    def begin(self) -> None:
        """Give every arm the weights that it began with."""
        for flat, arm in zip(self.flat, self.arms, strict=True):
            flat.copy_(self.flatten(arm.weights))

    def lay(self) -> None:
        """Put the present weights onto the layers."""
        both = torch.stack(list(self.flat))  # (V, P)
        scale = both.new_tensor(self.scales)[:, None, None]
        r, v = self.rank, len(self.arms)
        sizes = [r * size for shape in self.shapes.values() for size in shape]
        parts = iter(both.split(sizes, dim=1))  # one node in the graph, where slices would each make a whole gradient
        for layer, (into, out) in zip(self._layers, self.shapes.values(), strict=True):
            layer.down = next(parts).view(v, r, into)
            layer.up = next(parts).view(v, out, r) * scale

    def lift(self) -> None:
        """Take the weights off again: the host is the base model."""
        for layer in self._layers:
            layer.down = layer.up = None

    def adapters(self) -> list[Adapter]:
        """The adapters as they stand, on the CPU, without padding."""
        pairs = zip(self.arms, self.flat, strict=True)
        return [Adapter(arm.variant, self.unflatten(arm, flat.detach().cpu())) for arm, flat in pairs]


def attach(host: nn.Module, shapes: Mapping[str, tuple[int, int]]) -> list[PackedLinear]:
    """Wrap the named linear layers so that they can carry adapters; what earlier packs laid is lifted.

    Raises ValueError naming a layer that is not there, not linear or of another (in, out) size.
    """
    for module in host.modules():
        if isinstance(module, PackedLinear):
            module.down = module.up = None
    wrapped = []
    for name, shape in shapes.items():
        parent, _, child = name.rpartition(".")
        layer = _layer_at(host, name)
        base = layer.base if isinstance(layer, PackedLinear) else layer
        if not isinstance(base, nn.Linear) or (base.in_features, base.out_features) != shape:
            raise ValueError(
                f"the adapter has weights for {name} of {shape[0]} → {shape[1]}, and the base model has"
                f" {base or 'no such layer'} there: was it trained on another base model?"
            )
        if not isinstance(layer, PackedLinear):
            layer = PackedLinear(base)
            setattr(host.get_submodule(parent), child, layer)
        wrapped.append(layer)
    return wrapped


def _layer_at(host: nn.Module, name: str) -> nn.Module | None:
    try:
        return host.get_submodule(name)
    except AttributeError:
        return None
