"""What moves one variant's weights: AdamW, schedule, clipping and loss scale, and what a checkpoint keeps of them."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.optimization import get_scheduler
from torch import Tensor, nn

from caplora.study import Training, Variant


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


class Learner:
    """One variant in training: its weights, and everything that decides how they move."""

    def __init__(self, variant: Variant, flat: nn.Parameter, settings: Training, precision: str) -> None:
        self.variant, self.flat, self.settings = variant, flat, settings
        self.history, self.device = History(), flat.device.type
        rate = settings.learning_rate
        self.before = flat.detach().clone()  # the weights before the last step: those whose loss is known
        self.optimizer = torch.optim.AdamW(
            [flat], lr=rate, weight_decay=settings.weight_decay, fused=self.device in ("cpu", "cuda")
        )
        self.optimizer.param_groups[0]["initial_lr"] = rate
        self.scaler = torch.amp.GradScaler(self.device, enabled=precision == "fp16")
        self._begin_schedule(0)

    def _begin_schedule(self, updates: int) -> None:
        self.updates = updates
        self.schedule = get_scheduler(
            self.settings.lr_scheduler,
            self.optimizer,
            step_rules=self.settings.lr_step_rules,
            num_warmup_steps=self.settings.lr_warmup_steps,
            num_training_steps=self.settings.steps,
            num_cycles=self.settings.lr_num_cycles,
            power=self.settings.lr_power,
            last_epoch=updates - 1,
        )

    def step(self) -> None:
        """Move the weights by their gradient, clipped; an fp16 gradient that overflowed moves nothing.

        Raises FloatingPointError for a gradient that is not finite otherwise, or at any scale.
        """
        scale = self.scaler.get_scale()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.flat, self.settings.max_grad_norm)
        if not self.scaler.is_enabled() and not torch.isfinite(norm):
            raise FloatingPointError(f"the gradient of {self.variant.name} is {norm.item()}")
        self.before.copy_(self.flat.detach())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.is_enabled() and self.scaler.get_scale() < 1:
            raise FloatingPointError(f"the gradient of {self.variant.name} overflows fp16 at every scale")
        if self.scaler.get_scale() >= scale:
            self.schedule.step()
            self.updates += 1
        self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Everything that training changes, on the CPU."""
        state = {"flat": self.flat.detach(), "before": self.before}
        state["losses"] = torch.tensor(self.history.losses, dtype=torch.float64)
        moments = self.optimizer.state_dict()["state"].get(0, {})
        state |= {f"adamw.{key}": value for key, value in moments.items()}
        state["updates"] = torch.tensor(self.updates)
        if self.scaler.is_enabled():
            kept = self.scaler.state_dict()
            state["scale"] = torch.tensor([kept["scale"], kept["_growth_tracker"]], dtype=torch.float64)
        return {key: value.cpu().clone() for key, value in state.items()}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take up what `state` and `facts` gave."""
        self.flat.copy_(state["flat"])
        self.before.copy_(state["before"])
        moments = {key.removeprefix("adamw."): value for key, value in state.items() if key.startswith("adamw.")}
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": {0: moments} if moments else {}, "param_groups": groups})
        self._begin_schedule(int(state["updates"]))
        if "scale" in state:
            scale, tracker = state["scale"].tolist()
            self.scaler.load_state_dict(self.scaler.state_dict() | {"scale": scale, "_growth_tracker": int(tracker)})
        self.history = History.of(state["losses"], facts)

    @torch.no_grad()
    def stop(self, why: str) -> None:
        """Go on no more, with the last weights that gave a finite loss."""
        self.flat.copy_(self.before)
        self.history.stopped = why
