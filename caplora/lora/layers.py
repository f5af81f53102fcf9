"""Linear layers of the base model that carry the adapters of a pack, and which layers a study targets.

A model that carries a pack of V variants sees V·B rows, variant by variant; each layer adds to a variant's rows what
that variant's adapter says.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caplora.study import TARGETS, Training, Variant

TEXT_TARGETS = r"self_attn\.(q|k|v|out)_proj$"  # every projection of the text encoder, as diffusers' script has it


class PackedLinear(nn.Module):
    """A frozen linear layer and the adapters of a pack; without adapters it is the layer alone.

    What a pack lays on are views of its weights: when these move, the layer has moved, and nothing is assigned again.
    """

    down: Float[Tensor, "v r i"] | None
    up: Float[Tensor, "v o r"] | None
    scale: Float[Tensor, "v 1 1"] | None

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        for name in ("down", "up", "scale"):
            self.register_buffer(name, None, persistent=False)

    def forward(self, x: Float[Tensor, "vb *tokens i"]) -> Float[Tensor, "vb *tokens o"]:
        """The layer's own output plus each variant's scale·(x_v A_vᵀ) B_vᵀ; without adapters the layer's own alone."""
        y = self.base(x)
        if self.down is None or self.up is None or self.scale is None:
            return y
        down, up = self.down.to(x.dtype), (self.scale * self.up).to(x.dtype)
        rows = x.reshape(len(down), -1, x.shape[-1])  # (V, B·tokens, in)
        return torch.baddbmm(y.view(len(down), -1, y.shape[-1]), rows @ down.mT, up.mT).view(y.shape)

    def lift(self) -> None:
        """Take the adapters off."""
        self.down = self.up = self.scale = None


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
    """The layers that `settings` targets, of the UNet and, where they are trained, of the text encoders, by name."""
    expressions = {"unet": TARGETS.get(settings.targets, settings.targets)}
    if settings.train_text_encoder:
        expressions |= {part: TEXT_TARGETS for part in host if part != "unet"}
    return {
        f"{part}.{name}": layer
        for part, expression in expressions.items()
        for name, layer in linear_layers(host[part], expression).items()
    }


def refuse_rank(layers: Mapping[str, nn.Linear], variant: Variant) -> None:
    """Raise ValueError where a layer is narrower than a variant's rank: B·A has no rank above the width."""
    widths = {name: min(layer.in_features, layer.out_features) for name, layer in layers.items()}
    narrow = min(widths, key=lambda name: widths[name])
    if variant.rank > widths[narrow]:
        layer, few = layers[narrow], sum(width < variant.rank for width in widths.values())
        raise ValueError(
            f"{variant.name}: rank {variant.rank} is above what {narrow} can use ({layer.in_features} →"
            f" {layer.out_features}, so at most {widths[narrow]}; {few} of its {len(layers)} layers are too narrow):"
            f" give it a rank up to {widths[narrow]}, or other targets"
        )


def attach(host: nn.Module, shapes: Mapping[str, tuple[int, int]]) -> list[PackedLinear]:
    """Wrap the named linear layers so that they can carry adapters; what earlier packs laid is lifted.

    Raises ValueError naming a layer that is not there, not linear or of another (in, out) size.
    """
    for module in host.modules():
        if isinstance(module, PackedLinear):
            module.lift()
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


def all_linear(host: nn.Module, names: Iterable[str]) -> bool:
    """Whether each named layer is there and linear, so that it can carry a pack; adapters of others are merged."""
    return all(isinstance(_layer_at(host, name), nn.Linear | PackedLinear) for name in names)


def _layer_at(host: nn.Module, name: str) -> nn.Module | None:
    try:
        return host.get_submodule(name)
    except AttributeError:
        return None
