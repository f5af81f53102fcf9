"""What happened to each variant so far, and how it is learned from a device that is not to be waited for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from caplora.study import Variant
from caplora.training.optimizer import BEFORE, LOSS, OVERFLOW, RUNNING, State


@dataclass
class History:
    """What happened to one variant so far."""

    losses: list[float] = field(default_factory=list)  # of each step
    validation: dict[int, float] = field(default_factory=dict)  # step → loss on the held-out images
    stopped: str | None = None
    seconds: float = 0.0

    def best(self) -> int | None:
        """The step with the lowest loss on the held-out images."""
        finite = {step: loss for step, loss in self.validation.items() if math.isfinite(loss)}
        return min(finite, key=lambda step: finite[step], default=None)

    def facts(self) -> dict[str, Any]:
        """The history as a manifest keeps it, the losses aside."""
        validation = {str(step): loss for step, loss in self.validation.items()}
        return {"validation": validation, "stopped": self.stopped, "seconds": self.seconds}

    @staticmethod
    def of(losses: Tensor, facts: dict[str, Any]) -> "History":
        """The history that a checkpoint holds."""
        validation = {int(step): loss for step, loss in facts["validation"].items()}
        return History(losses.tolist(), validation, facts["stopped"], facts["seconds"])

    def learn(self, name: str, losses: list[float], cause: int, since: int, value: float) -> list[tuple[int, float]]:
        """Take in what a report says of a variant; the (step, loss) that are new."""
        if cause not in (RUNNING, BEFORE) and self.stopped is None:
            self.stopped = why(name, cause, since, value)
        known = len(self.losses)
        if cause != BEFORE:
            self.losses += losses[known : len(losses) if cause == RUNNING else since - 1]
        return list(enumerate(self.losses[known:], known + 1))


def why(name: str, cause: int, since: int, value: float) -> str:
    """Why a variant goes on no more, and the way out."""
    advice = f"at step {since}: lower its learning_rate"
    if cause == LOSS:
        return f"the loss of {name} is {value} {advice}; its weights of step {max(since - 2, 0)} are kept"
    what = "overflows fp16 at every scale" if cause == OVERFLOW else f"is {value}"
    return f"the gradient of {name} {what} {advice}; its weights of step {since - 1} are kept"


class Report:
    """What the device knew of the variants at a step, on its way to the host; asking for it makes nobody wait."""

    def __init__(self, state: State, number: int) -> None:
        told = torch.cat([torch.stack([state.cause, state.since, state.value], 1), state.losses[:, :number]], 1)
        self.told, self.event = told, None
        if told.is_cuda:
            self.told = torch.empty(told.shape, dtype=told.dtype, pin_memory=True).copy_(told, non_blocking=True)
            self.event = torch.cuda.Event()
            self.event.record()

    def read(self, variants: Sequence[Variant], histories: Sequence[History]) -> list[tuple[int, str, float]]:
        """Wait until it has come and take it into the histories; the (step, variant, loss) that are new."""
        if self.event is not None:
            self.event.synchronize()
        new = []
        for variant, history, row in zip(variants, histories, self.told.tolist(), strict=True):
            cause, since, value, *losses = row
            found = history.learn(variant.name, losses, int(cause), int(since), value)
            new += [(step, variant.name, loss) for step, loss in found]
        return new
