"""Inputs + a pack of variants → adapters: a generator of steps; the notebook owns the bar and the plot.

Each variant gets exactly the training that it would get alone, with its own optimizer, schedule, clipping and loss
scale. What a step draws is a function of (seed, step, sample): the same on any device, after any resume, in any pack
and for any number of processes.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.lora import Pack
from caplora.models import Pipeline, out_of_memory_names, precision_of
from caplora.study import Training
from caplora.training.checkpoints import Checkpoints, asked_to_stop, last_common
from caplora.training.draws import Draw, draw_micro_batch, draw_validation
from caplora.training.inputs import Inputs
from caplora.training.loss import Objective
from caplora.training.optimizer import Learner

VALIDATION_DRAWS = 4  # of each held-out image
SMALLER = "set training.gradient_checkpointing: true, or lower training.images_at_once or images.resolution"
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


def train(
    pipeline: Pipeline,
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
            with out_of_memory_names(f"a step of {len(pack.arms)} variants at once", SMALLER):
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
        pipeline: Pipeline,
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
        accumulated = self.settings.gradient_accumulation_steps
        whole = (self.draw(done * accumulated + number) for number in range(accumulated))
        for part in (part for drawn in whole for part in drawn.in_parts(len(losses), self.settings.images_at_once)):
            each = self.variant_losses(part) / accumulated
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
