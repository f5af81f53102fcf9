"""AdamW for a whole pack: a variant is a row of one tensor, with its own rate, clipping, loss scale and end.

A step reads nothing back from the device: what differs between variants are vectors, and what happens to one of them
(an overflow, the end) is a mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from diffusers.optimization import get_scheduler
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from caplora.study import Training

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Loshchilov and Hutter 2019; torch's defaults
FIRST_SCALE, LONGEST = (
    2.0**16,
    2000,
)  # of the loss in fp16, and steps without overflow until it doubles; torch's defaults
RUNNING, LOSS, GRADIENT, OVERFLOW, BEFORE = range(5)  # why a variant goes on no more; BEFORE: in an earlier session


@dataclass
class State:
    """Everything that training changes; a row is a variant's."""

    weights: Float[Tensor, "v p"]
    before: Float[Tensor, "v p"]  # the weights before the last step: those whose loss is known
    mean: Float[Tensor, "v p"]  # of the gradient, running
    square: Float[Tensor, "v p"]  # of its elements, running
    updates: Int[Tensor, " v"]  # steps that moved the weights
    scale: Float[Tensor, " v"]  # of the loss, so that a gradient in fp16 does not vanish; else 1
    calm: Int[Tensor, " v"]  # steps since an overflow or since the scale grew
    cause: Int[Tensor, " v"]  # RUNNING, or why it goes on no more
    since: Int[Tensor, " v"]  # the step at which it ended
    value: Float[Tensor, " v"]  # the loss or the norm that ended it
    losses: Float[Tensor, "v steps"]
    number: Int[Tensor, " one"]  # steps done

    @classmethod
    def of(cls, weights: Float[Tensor, "v p"], steps: int, scale: float) -> "State":
        """The state before the first step; `weights` themselves will move."""
        v, device = len(weights), weights.device
        updates, calm, cause, since = (torch.zeros(v, dtype=torch.long, device=device) for _ in range(4))
        return cls(
            weights, weights.clone(), torch.zeros_like(weights), torch.zeros_like(weights), updates,
            torch.full((v,), scale, device=device), calm, cause, since, torch.zeros(v, device=device),
            torch.zeros(v, steps, device=device), torch.zeros(1, dtype=torch.long, device=device),
        )  # fmt: skip

    def tensors(self) -> list[Tensor]:
        """All of them."""
        return [getattr(self, field.name) for field in fields(self)]


def rates(settings: Training) -> list[float]:
    """The learning rate of every step, as diffusers' schedulers have it."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=settings.learning_rate)
    schedule = get_scheduler(
        settings.lr_scheduler,
        optimizer,
        step_rules=settings.lr_step_rules,
        num_warmup_steps=settings.lr_warmup_steps,
        num_training_steps=settings.steps,
        num_cycles=settings.lr_num_cycles,
        power=settings.lr_power,
    )
    found = []
    for _ in range(settings.steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


class Optimizer:
    """AdamW over the rows of `weights`, each as its settings say; with `fp16` each has a scale of its loss too."""

    def __init__(self, weights: Float[Tensor, "v p"], settings: Sequence[Training], fp16: bool) -> None:
        self.fp16, self.max_norm = fp16, settings[0].max_grad_norm
        self.state = State.of(weights, settings[0].steps, FIRST_SCALE if fp16 else 1.0)
        rate = torch.tensor([rates(own) for own in settings], dtype=torch.float64)  # (v, steps), as all below
        update = torch.arange(1, rate.shape[1] + 1, dtype=torch.float64).expand_as(rate)
        decay = 1 - rate * torch.tensor([own.weight_decay for own in settings])[:, None]
        size, root = rate / (1 - BETA_1**update), (1 - BETA_2**update).sqrt()
        self.table = torch.stack([decay, size, root]).float().to(weights.device)
        self.rows = torch.arange(len(weights), device=weights.device)

    @torch.no_grad()
    def step(self, losses: Float[Tensor, " v"], gradient: Float[Tensor, "v p"]) -> Int[Tensor, " v"]:
        """Move every variant by the gradient of its scaled loss, or end it; why each has ended.

        One whose loss is not finite goes back to the weights before the last step. A gradient that is not finite ends
        a variant at its present weights; in fp16 it moves nothing and halves the scale, and ends the variant below 1.
        """
        s = self.state
        s.number += 1
        s.losses.scatter_(1, (s.number - 1).expand(len(losses), 1), losses[:, None])
        norm = torch.linalg.vector_norm(gradient, dim=1) / s.scale
        running, known, fits = s.cause == RUNNING, losses.isfinite(), norm.isfinite()
        moves, overflows = running & known & fits, running & known & ~fits
        factor = (self.max_norm / (norm + 1e-6)).clamp(max=1) / s.scale
        bursts = self.rescale(moves, overflows)
        torch.where((running & ~known)[:, None], s.before, s.weights, out=s.weights)
        torch.where((moves | overflows)[:, None], s.weights, s.before, out=s.before)
        self.move(torch.where(moves[:, None], gradient, 0.0).mul_(torch.where(moves, factor, 0.0)[:, None]), moves)
        self.end(running & ~known, LOSS, losses)
        self.end(bursts, OVERFLOW if self.fp16 else GRADIENT, norm)
        return s.cause

    def move(self, gradient: Float[Tensor, "v p"], moves: Bool[Tensor, " v"]) -> None:
        """AdamW (Loshchilov and Hutter 2019, algorithm 2) where `moves`; elsewhere the gradient is 0."""
        s = self.state
        decay, size, root = self.table[:, self.rows, s.updates.clamp(max=self.table.shape[2] - 1), None]  # (v, 1) each
        own = moves[:, None]
        s.mean.lerp_(gradient, (1 - BETA_1) * own)
        s.square.lerp_(gradient.square(), (1 - BETA_2) * own)
        towards = s.square.sqrt().add_(EPSILON * root)  # times 1 / root, which stands in the size
        torch.div(s.mean, towards, out=towards)
        s.weights.mul_(torch.where(own, decay, 1.0)).addcmul_(towards, size * root * own, value=-1)
        s.updates += moves

    def rescale(self, moves: Bool[Tensor, " v"], overflows: Bool[Tensor, " v"]) -> Bool[Tensor, " v"]:
        """Halve the scale of those whose gradient overflows, double it after long calm; whose gradient is past help."""
        if not self.fp16:
            return overflows
        s = self.state
        s.calm.copy_(torch.where(overflows, 0, s.calm + moves))
        grows = s.calm == LONGEST
        s.scale.mul_(torch.where(overflows, 0.5, torch.where(grows, 2.0, 1.0)))
        s.calm.mul_(~grows)
        return overflows & (s.scale < 1)

    def end(self, whom: Bool[Tensor, " v"], cause: int, value: Float[Tensor, " v"]) -> None:
        """Note why and when some variants go on no more."""
        s = self.state
        s.cause.copy_(torch.where(whom, cause, s.cause))
        s.since.copy_(torch.where(whom, s.number, s.since))
        s.value.copy_(torch.where(whom, value, s.value))
