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


class Pack:
    """Adapters trained or used together: the rows of one tensor, whose parts the layers carry once they are laid on.

    `host` holds the models by the first word of their layers' names.
    """

    def __init__(self, host: nn.ModuleDict, arms: Sequence[Adapter]) -> None:
        self.arms = tuple(arms)
        self.rank = max((down.shape[0] for arm in arms for down, _ in arm.weights.values()), default=1)
        self.shapes = {name: (down.shape[1], up.shape[0]) for arm in arms for name, (down, up) in arm.weights.items()}
        device = next(host["unet"].parameters()).device
        self.weights: Float[Tensor, "v p"] = torch.stack([self.flatten(arm.weights) for arm in arms]).to(device)
        self.scale = torch.tensor([arm.variant.scale for arm in arms], device=device)[:, None, None]
        self.parts = self._parts()
        self._layers = attach(host, self.shapes)

    def _parts(self) -> list[Tensor]:
        """A and B of every layer for all arms, in the memory of `weights`, each as the leaf of a gradient."""
        r, v, parts = self.rank, len(self.arms), []
        sizes = [r * size for shape in self.shapes.values() for size in shape]
        own = iter(self.weights.split(sizes, dim=1))
        for into, out in self.shapes.values():
            parts += [next(own).view(v, r, into), next(own).view(v, out, r)]
        return [part.detach().requires_grad_() for part in parts]

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

    def begin(self) -> None:
        """Give every arm the weights that it began with."""
        self.weights.copy_(torch.stack([self.flatten(arm.weights) for arm in self.arms]))

    def gradient_of(self, loss: Float[Tensor, ""]) -> Float[Tensor, "v p"]:
        """The gradient of a loss with respect to `weights`."""
        return torch.cat([part.flatten(1) for part in torch.autograd.grad(loss, self.parts)], dim=1)

    def lay(self) -> None:
        """Put the adapters onto the layers."""
        for layer, down, up in zip(self._layers, self.parts[::2], self.parts[1::2], strict=True):
            layer.down, layer.up, layer.scale = down, up, self.scale

    def lift(self) -> None:
        """Take them off again: the host is the base model."""
        for layer in self._layers:
            layer.lift()

    def adapters(self) -> list[Adapter]:
        """The adapters as they stand, on the CPU, without padding."""
        rows = self.weights.cpu()
        return [Adapter(arm.variant, self.unflatten(arm, row)) for arm, row in zip(self.arms, rows, strict=True)]
