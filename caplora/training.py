"""Inputs + a pack of variants → adapters: a generator of steps; the notebook owns the bar and the plot.

Each variant gets exactly the training that it would get alone, with its own optimizer, schedule, clipping and loss
scale. What a step draws is a function of (seed, step, sample): the same on any device, after any resume, in any pack
and for any number of processes.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import StableDiffusionPipeline
from diffusers.optimization import get_scheduler
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from caplora.base import precision_of
from caplora.checkpoints import Checkpoints, asked_to_stop, last_common
from caplora.dataset import Inputs
from caplora.lora import Pack
from caplora.objective import Draw, Objective, draw_micro_batch, draw_validation
from caplora.settings import Training, Variant

VALIDATION_DRAWS = 4  # of each held-out image
VECTORS = ("flat", "before", "adamw.exp_avg", "adamw.exp_avg_sq")  # of a learner's state: one number per weight


@dataclass(frozen=True)
class Step:
    """One optimiser step of a pack; what it says of variants is by name."""

    number: int  # steps done
    losses: dict[str, float]  # of this step; not of a variant that has stopped
    validation: dict[str, float]  # loss on the held-out images, on steps that measure it
    stopped: dict[str, str]  # variants that go on no more, and why
    seconds: float  # spent training so far, earlier sessions included
    previews: dict[str, list[Image.Image]] = field(default_factory=dict)  # on steps that draw them


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


def train(
    pipeline: StableDiffusionPipeline,
    pack: Pack,
    inputs: Inputs,
    settings: Training,
    places: Sequence[Checkpoints],
    held_out: Inputs | None = None,
) -> Iterator[Step]:
    """Train every arm of `pack` on `inputs`, yielding after each optimiser step.

    `places` keeps the checkpoints of each arm: run again, training goes on from the last step that all of them have.
    SIGTERM ends it with KeyboardInterrupt, the step kept. `held_out` are images to validate on. A variant whose loss or
    gradient is no longer finite stops, with the last weights that gave a finite loss, and the others go on; it ends
    when none is left.
    """
    run = Run(pipeline, pack, inputs, settings, places)
    done = run.resume()
    began = time.monotonic() - run.learners[0].history.seconds
    with asked_to_stop() as asked:
        while done < settings.steps and run.active():
            run.optimise(done)
            done += 1
            due = settings.validation_steps and done % settings.validation_steps == 0
            validation = run.validate(held_out, done) if held_out is not None and due else {}
            seconds = run.clock(time.monotonic() - began)
            last, told = done == settings.steps or not run.active(), run.told(bool(asked))
            if done % settings.checkpointing_steps == 0 or last or told or run.best_at(done):
                run.keep(done)
            if told:
                raise KeyboardInterrupt(f"asked to stop at step {done} of {settings.steps}, which is kept")
            losses = {learner.variant.name: learner.history.losses[-1] for learner in run.active()}
            yield Step(done, losses, validation, run.stopped(), seconds)
    pack.lay()


class Run:
    """A pack in training."""

    def __init__(
        self,
        pipeline: StableDiffusionPipeline,
        pack: Pack,
        inputs: Inputs,
        settings: Training,
        places: Sequence[Checkpoints],
    ) -> None:
        precision = precision_of(pipeline.device, settings.mixed_precision)
        self.accelerator = Accelerator(cpu=pipeline.device.type == "cpu")
        self.autocast = {"device_type": pipeline.device.type, "enabled": precision != "no"}
        if precision != "no":
            self.autocast["dtype"] = torch.bfloat16 if precision == "bf16" else torch.float16
        processes = self.accelerator.num_processes
        if settings.batch_size % processes:
            raise ValueError(
                f"training.batch_size: {settings.batch_size} images cannot be shared by {processes} processes;"
                f" make it a multiple of {processes}"
            )
        self.pack, self.inputs, self.settings, self.places = pack, inputs, settings, places
        self.objective = Objective(pipeline, settings)
        self.own = [settings.of(arm.variant) for arm in pack.arms]
        self.learners = [
            Learner(arm.variant, flat, own, precision)
            for arm, flat, own in zip(pack.arms, pack.flat, self.own, strict=True)
        ]
        if settings.gradient_checkpointing:
            pipeline.unet.enable_gradient_checkpointing()
        else:
            pipeline.unet.disable_gradient_checkpointing()

    def active(self) -> list[Learner]:
        """The variants that go on."""
        return [learner for learner in self.learners if learner.history.stopped is None]

    def stopped(self) -> dict[str, str]:
        """The variants that do not, and why."""
        return {le.variant.name: le.history.stopped for le in self.learners if le.history.stopped is not None}

    def clock(self, seconds: float) -> float:
        """Note the time spent."""
        for learner in self.learners:
            learner.history.seconds = seconds
        return seconds

    def told(self, asked: bool) -> bool:
        """Whether any process was asked to stop; all of them then stop at the same step."""
        if self.accelerator.num_processes == 1:
            return asked
        flag = torch.tensor([float(asked)], device=self.pack.flat[0].device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)

    def resume(self) -> int:
        """Take up the last step that every variant has a checkpoint of, or begin; the number of steps done."""
        done = last_common(self.places)
        self.pack.begin()
        if done is None:
            self.keep(0)
            return 0
        for learner, place in zip(self.learners, self.places, strict=True):
            learner.restore(self.joined(learner, place.read(done)), place.manifest(done))
        return done

    def cut(self, learner: Learner, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A learner's state with its vectors by layer, without the pack's padding: it belongs to no pack."""
        arm = self.pack.arms[self.learners.index(learner)]
        parts = {}
        for key, value in state.items():
            if key not in VECTORS:
                parts[key] = value
                continue
            for layer, (down, up) in self.pack.unflatten(arm, value).items():
                parts |= {f"{key}/{layer}/A": down.contiguous(), f"{key}/{layer}/B": up.contiguous()}
        return parts

    def joined(self, learner: Learner, parts: dict[str, Tensor]) -> dict[str, Tensor]:
        """What `cut` took apart, in the vectors of this pack."""
        state = {key: value for key, value in parts.items() if "/" not in key}
        for key in {key.partition("/")[0] for key in parts if "/" in key}:
            layers = {name.split("/")[1] for name in parts if name.startswith(f"{key}/")}
            weights = {layer: (parts[f"{key}/{layer}/A"], parts[f"{key}/{layer}/B"]) for layer in layers}
            state[key] = self.pack.flatten(weights).to(learner.flat.device)
        return state

    def optimise(self, done: int) -> None:
        """One step of every variant that goes on."""
        losses = torch.zeros(len(self.learners), device=self.pack.flat[0].device)
        for part in range(self.settings.gradient_accumulation_steps):
            each = self.variant_losses(self.draw(done * self.settings.gradient_accumulation_steps + part))
            each = each / self.settings.gradient_accumulation_steps
            scaled = [le.scaler.scale(loss) for le, loss in zip(self.learners, each, strict=True)]
            torch.stack(scaled).sum().backward()
            losses += each.detach()
        losses = self.accelerator.reduce(losses, "sum")
        for learner, loss in zip(self.learners, losses.tolist(), strict=True):
            learner.flat.grad = self.accelerator.reduce(learner.flat.grad, "sum")
            if learner.history.stopped is None:
                self.move(learner, loss, done + 1)
            learner.flat.grad = None

    def move(self, learner: Learner, loss: float, number: int) -> None:
        """Step one variant, or stop it."""
        name, advice = learner.variant.name, f"at step {number}: lower its learning_rate"
        if not math.isfinite(loss):
            learner.stop(f"the loss of {name} is {loss} {advice}; its weights of step {max(number - 2, 0)} are kept")
            return
        try:
            learner.step()
            learner.history.losses.append(loss)
        except FloatingPointError as error:
            learner.before.copy_(learner.flat.detach())
            learner.stop(f"{error} {advice}; its weights of step {number - 1} are kept")

    def draw(self, number: int) -> Draw:
        """What the rows of a micro-batch see, variant by variant; those of one seed see the same, captions aside."""
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        drawn = {
            own.seed: draw_micro_batch(own, self.inputs, number, process, processes, self.objective.timesteps)
            for own in {own.seed: own for own in self.own}.values()
        }
        firsts = [self.inputs.first_text(arm.variant.captions) for arm in self.pack.arms]
        return Draw.concatenated([drawn[o.seed].captioned(first) for o, first in zip(self.own, firsts, strict=True)])

    def variant_losses(self, drawn: Draw) -> Float[Tensor, " v"]:
        """This process's part of each variant's loss: the weighted mean over the rows of a micro-batch."""
        self.pack.lay()
        with torch.autocast(**self.autocast):
            rows = self.objective.row_losses(self.inputs, drawn)
        weighted = rows * drawn.weights.to(rows.device)
        return weighted.view(len(self.learners), -1).sum(1) / self.settings.batch_size

    @torch.no_grad()
    def validate(self, held_out: Inputs, done: int) -> dict[str, float]:
        """The loss of every variant on the held-out images, at the same timesteps and noise every time.

        Whatever captions a variant is trained on, it is asked to denoise these by those of the ledger.
        """
        drawn = draw_validation(self.settings, held_out, VALIDATION_DRAWS, self.objective.timesteps)
        total, size = torch.zeros(len(self.learners)), self.settings.batch_size
        self.pack.lay()
        for start in range(0, len(drawn.t), size):
            rows = Draw(*(getattr(drawn, name)[start : start + size] for name in Draw.__annotations__))
            repeated = Draw.concatenated([rows] * len(self.learners))
            with torch.autocast(**self.autocast):
                losses = self.objective.row_losses(held_out, repeated)
            total += losses.view(len(self.learners), -1).sum(1).cpu()
        means = dict(zip(self.learners, (total / len(drawn.t)).tolist(), strict=True))
        for learner in self.active():
            learner.history.validation[done] = means[learner]
        return {learner.variant.name: means[learner] for learner in self.active()}

    def best_at(self, done: int) -> bool:
        """Whether some variant's best validation is at this step."""
        return any(learner.history.best() == done for learner in self.active())

    def keep(self, done: int) -> None:
        """Write the checkpoint of every variant; then remove all but the last and the best by validation."""
        if not self.accelerator.is_main_process:
            return
        names = [learner.variant.name for learner in self.learners]
        for learner, place in zip(self.learners, self.places, strict=True):
            place.write(done, self.cut(learner, learner.state()), learner.history.facts() | {"pack": names})
        for learner, place in zip(self.learners, self.places, strict=True):
            best = learner.history.best()
            place.keep_only([done] if best is None else [done, best])
