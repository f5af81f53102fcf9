"""Inputs + a pack of variants → adapters: a generator of steps; the notebook owns the bar and the plot.

Each variant gets exactly the training that it would get alone, with its own rate, clipping and loss scale. What a step
draws is a function of (seed, step, sample): the same on any device, after any resume, in any pack and for any number of
processes.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from accelerate import Accelerator
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.lora import Pack
from caplora.models import Pipeline, Recorded, out_of_memory_names, sent
from caplora.study import Training
from caplora.training.checkpoints import Checkpoints, asked_to_stop, last_common
from caplora.training.draws import Draw, draw_micro_batch, draw_validation
from caplora.training.history import History, Report
from caplora.training.inputs import Inputs
from caplora.training.loss import Objective
from caplora.training.optimizer import Optimizer
from caplora.training.states import kept_of, take_up

VALIDATION_DRAWS = 4  # of each held-out image
REPORTED = 10  # steps between reports of the losses: reading them makes the host wait for the device
SMALLER = "set training.gradient_checkpointing: true, or lower training.images_at_once or images.resolution"


@dataclass(frozen=True)
class Step:
    """One optimiser step of a pack; what it says of variants is by name."""

    number: int  # steps done
    losses: list[tuple[int, str, float]]  # (step, variant, loss) since the last report; empty between reports
    validation: dict[str, float]  # loss on the held-out images, on steps that measure it
    stopped: dict[str, str]  # variants that go on no more, and why, as of the last report
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
    began = time.monotonic() - run.histories[0].seconds
    with asked_to_stop() as asked:
        while done < settings.steps and run.active():
            with out_of_memory_names(f"a step of {len(pack.arms)} variants at once", SMALLER):
                run.optimise(done)
            done += 1
            due = settings.validation_steps and done % settings.validation_steps == 0
            last, told = done == settings.steps, run.told(bool(asked), done)
            kept = done % settings.checkpointing_steps == 0 or done in settings.kept_steps or last or told
            losses = run.news(done, wait=bool(kept or due))
            validation = run.validate(held_out, done) if held_out is not None and due else {}
            seconds = run.clock(time.monotonic() - began)
            if kept or not run.active() or run.best_at(done):
                run.keep(done)
            if told:
                raise KeyboardInterrupt(f"asked to stop at step {done} of {settings.steps}, which is kept")
            yield Step(done, losses, validation, run.stopped(), seconds)


class Run:
    """A pack in training. On a card its passes and its updates are recorded once and replayed."""

    def __init__(
        self,
        pipeline: Pipeline,
        pack: Pack,
        inputs: Inputs,
        settings: Training,
        places: Sequence[Checkpoints],
    ) -> None:
        self.device = pipeline.device
        self.accelerator = Accelerator(cpu=self.device.type == "cpu")
        processes = self.accelerator.num_processes
        if settings.batch_size % processes:
            raise ValueError(
                f"training.batch_size: {settings.batch_size} images cannot be shared by {processes} processes;"
                f" make it a multiple of {processes}"
            )
        self.pack, self.inputs, self.settings, self.places = pack, inputs, settings, places
        self.objective = Objective(pipeline, settings)
        self.variants = [arm.variant for arm in pack.arms]
        self.histories = [History() for _ in self.variants]
        self.own = [settings.of(variant) for variant in self.variants]
        self.chosen = [inputs.chosen(v.images, own.seed) for v, own in zip(self.variants, self.own, strict=True)]
        self.optimizer = Optimizer(pack.weights, self.own, fp16=pipeline.unet.dtype == torch.float16)
        self.gradient = torch.zeros_like(pack.weights)
        self.losses = torch.zeros(len(pack.arms), device=self.device)  # of a step, as far as it is passed
        self.recorded = {
            "pass": Recorded(self.accumulate, [self.gradient, self.losses], self.device),
            "update": Recorded(self.update, self.optimizer.state.tensors(), self.device),
        }
        self.report: Report | None = None
        pack.lay()
        if settings.gradient_checkpointing:
            pipeline.unet.enable_gradient_checkpointing()
        else:
            pipeline.unet.disable_gradient_checkpointing()

    def active(self) -> list[History]:
        """The variants that go on, as of the last report."""
        return [history for history in self.histories if history.stopped is None]

    def stopped(self) -> dict[str, str]:
        """The variants that do not, and why."""
        pairs = zip(self.variants, self.histories, strict=True)
        return {variant.name: history.stopped for variant, history in pairs if history.stopped is not None}

    def clock(self, seconds: float) -> float:
        """Note the time spent."""
        for history in self.histories:
            history.seconds = seconds
        return seconds

    def told(self, asked: bool, done: int) -> bool:
        """Whether any process was asked to stop; all of them then stop at the same step."""
        if self.accelerator.num_processes == 1:
            return asked
        if done % REPORTED:
            return False
        flag = torch.tensor([float(asked)], device=self.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)

    def news(self, done: int, wait: bool) -> list[tuple[int, str, float]]:
        """The losses that became known: a report is read a step after it was asked for, or at once to `wait`."""
        asked, self.report = self.report, None
        if wait or done % REPORTED == 0:
            self.report = Report(self.optimizer.state, done)
        if wait:
            asked, self.report = self.report, None
        return asked.read(self.variants, self.histories) if asked else []

    def resume(self) -> int:
        """Take up the last step that every variant has a checkpoint of, or begin; the number of steps done."""
        done = last_common(self.places)
        if done is None:
            self.pack.begin()
            self.keep(0)
            return 0
        for row, place in enumerate(self.places):
            self.histories[row] = take_up(self.pack, self.optimizer, row, place.read(done), place.manifest(done))
        return done

    def optimise(self, done: int) -> None:
        """One step of every variant that goes on."""
        accumulated = self.settings.gradient_accumulation_steps
        self.gradient.zero_()
        self.losses.zero_()
        whole = (self.draw(done * accumulated + number) for number in range(accumulated))
        for drawn in whole:
            for part in drawn.in_parts(len(self.own), self.settings.images_at_once):
                self.recorded["pass"](*sent(part.tensors(), self.device))
        if self.accelerator.num_processes > 1:
            for own in (self.losses, self.gradient):
                own.copy_(self.accelerator.reduce(own, "sum"))
        self.recorded["update"]()

    def accumulate(self, *drawn: Tensor) -> Float[Tensor, " v"]:
        """Pass some rows forward and backward and add up each variant's gradient and loss; the losses so far."""
        each = self.variant_losses(Draw(*drawn)) / self.settings.gradient_accumulation_steps
        self.gradient += self.pack.gradient_of((each * self.optimizer.state.scale).sum())
        self.losses += each.detach()
        return self.losses

    def update(self) -> Tensor:
        """Move the weights by what was added up."""
        return self.optimizer.step(self.losses, self.gradient)

    def draw(self, number: int) -> Draw:
        """What the rows of a micro-batch see, variant by variant: the same, captions aside, for those of one seed that
        have the same images.
        """
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        rows = list(zip(self.own, self.chosen, strict=True))
        keys = [(own.seed, len(chosen)) for own, chosen in rows]
        drawn = {
            key: draw_micro_batch(own, self.inputs, number, process, processes, self.objective.timesteps, chosen)
            for key, (own, chosen) in dict(zip(keys, rows, strict=True)).items()
        }
        firsts = [self.inputs.first_text(variant.captions) for variant in self.variants]
        return Draw.concatenated([drawn[key].captioned(first) for key, first in zip(keys, firsts, strict=True)])

    def variant_losses(self, drawn: Draw) -> Float[Tensor, " v"]:
        """This process's part of each variant's loss: the weighted mean over the rows of a micro-batch."""
        rows = self.objective.row_losses(self.inputs, drawn)
        weighted = rows * drawn.weights.to(rows.device)
        return weighted.view(len(self.own), -1).sum(1) / self.settings.batch_size

    @torch.no_grad()
    def validate(self, held_out: Inputs, done: int) -> dict[str, float]:
        """The loss of every variant on the held-out images, at the same timesteps and noise every time.

        Whatever captions a variant is trained on, it is asked to denoise these by those of the ledger.
        """
        drawn = draw_validation(self.settings, held_out, VALIDATION_DRAWS, self.objective.timesteps)
        total, size = torch.zeros(len(self.own), device=self.device), self.settings.batch_size
        if "validation" not in self.recorded:
            work = partial(self.held_out_losses, held_out)
            self.recorded["validation"] = Recorded(work, [], self.device)
        for rows in drawn.in_parts(1, size):
            repeated = Draw.concatenated([rows] * len(self.own))
            total += self.recorded["validation"](*sent(repeated.tensors(), self.device))
        found = {}
        for variant, history, mean in zip(self.variants, self.histories, (total / len(drawn.t)).tolist(), strict=True):
            if history.stopped is None:
                found[variant.name] = history.validation[done] = mean
        return found

    def held_out_losses(self, held_out: Inputs, *drawn: Tensor) -> Float[Tensor, " v"]:
        """The sum of each variant's losses on some rows of held-out images."""
        return self.objective.row_losses(held_out, Draw(*drawn)).view(len(self.own), -1).sum(1)

    def best_at(self, done: int) -> bool:
        """Whether some variant's best validation is at this step."""
        return any(history.best() == done for history in self.active())

    def keep(self, done: int) -> None:
        """Write the checkpoint of every variant; then remove all but the last, the best by validation, and `keep`'s."""
        if not self.accelerator.is_main_process:
            return
        names = [variant.name for variant in self.variants]
        for row, (history, place) in enumerate(zip(self.histories, self.places, strict=True)):
            place.write(done, kept_of(self.pack, self.optimizer, row, history), history.facts() | {"pack": names})
        for history, place in zip(self.histories, self.places, strict=True):
            best = history.best()
            place.keep_only([done, *self.settings.kept_steps, *([] if best is None else [best])])
