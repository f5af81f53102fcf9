"""Several adapters on one copy of the base model, trained or used together.

Ranks are padded with zeros to the largest, and a layer that a variant does not target is all padding. One adapter is a
pack of one.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caplora.lora.adapter import Adapter
from caplora.lora.layers import attach


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
