"""What the arms still lack → batches to draw; arms that lack the same samples draw them together."""

import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from caplora.lora import Adapter
from caplora.models import Pipeline, even_packs, out_of_memory_names
from caplora.sampling.arms import Arm
from caplora.sampling.drawing import Denoiser, wear
from caplora.sampling.finishing import Drawn, Finisher, Job
from caplora.sampling.prompts import Texts, texts_of_arms
from caplora.sampling.samples import Wanted, lacking
from caplora.study import Sampling


def plan_jobs(arms: Sequence[Arm], settings: Sampling) -> list[Job]:
    """What the arms lack, as jobs of at most `batch_size` pictures; arms that lack the same draw it together."""
    lack: dict[Wanted, list[Arm]] = {}
    for arm in arms:
        for wanted in lacking(arm.folder, arm.wanted):
            lack.setdefault(wanted, []).append(arm)
    groups: dict[tuple[Path, ...], tuple[list[Arm], list[Wanted]]] = {}
    for wanted, own in lack.items():
        groups.setdefault(tuple(arm.folder for arm in own), (own, []))[1].append(wanted)
    jobs = []
    for own, missing in groups.values():
        for together in even_packs(own, settings.batch_size):
            size = settings.batch_size // len(together)
            jobs += [Job(together, tuple(missing[i : i + size])) for i in range(0, len(missing), size)]
    return jobs


class Drawing:
    """Arms that draw job after job together: what is the same in every job is made once. `texts` are of any arms."""

    def __init__(self, pipeline: Pipeline, adapters: Sequence[Adapter], settings: Sampling, texts: Texts) -> None:
        self.pipeline, self.texts, self.arms = pipeline, texts, len(adapters)
        self.denoiser = Denoiser(pipeline, self.arms, settings, records=True)
        self._worn = wear(pipeline, adapters)
        self._read_alike = all(layer.startswith("unet.") for adapter in adapters for layer in adapter.weights)

    def latents(self, wanted: Sequence[Wanted], steps: int | None = None) -> Float[Tensor, "a n c h w"]:
        """What each arm draws; the pipeline is the base model again after it."""
        asked, noises = self.denoiser.asked([w.prompt for w in wanted]), [w.noise for w in wanted]
        alike = self.texts(asked)[None] if self._read_alike else None
        try:
            self._worn.lay()
            texts = texts_of_arms(self.pipeline, self.arms, asked) if alike is None else alike
            return self.denoiser.latents(texts, noises, steps)
        finally:
            self._worn.lift()


def sample(pipeline: Pipeline, jobs: Sequence[Job], settings: Sampling) -> Iterator[list[Drawn]]:
    """Draw the jobs of a plan, yielding each once its pictures are on disk; the pipeline is the base model then.

    One that does not fit into the memory of the device is halved; a single picture that does not raises
    torch.OutOfMemoryError.
    """
    with Finisher(pipeline) as finisher:
        for job, latents in drawn_jobs(jobs, settings, Texts(pipeline), finisher):
            yield from finisher.add(job, latents)
        yield from finisher.rest()


def drawn_jobs(
    jobs: Sequence[Job], settings: Sampling, texts: Texts, finisher: Finisher
) -> Iterator[tuple[Job, Tensor]]:
    """Jobs and what their arms drew, (arms, samples, c, h, w); one that does not fit comes as halves."""
    for _, alike in groupby(jobs, key=lambda job: [arm.folder for arm in job.arms]):
        run = list(alike)
        drawing = Drawing(texts.pipeline, [arm.adapter for arm in run[0].arms], settings, texts)
        for job in run:
            latents = latents_that_fit(drawing, job, finisher)
            if latents is None:
                yield from drawn_jobs(halves(job), settings, texts, finisher)
            else:
                yield job, latents


def latents_that_fit(drawing: Drawing, job: Job, finisher: Finisher) -> Tensor | None:
    """What the arms of a job draw, or None where it does not fit; a single picture that does not fit raises."""
    while True:
        try:
            return drawing.latents(job.wanted)
        except torch.OutOfMemoryError:
            waited = finisher.wait()  # what was decoded meanwhile may have had its room
            if not waited and len(job.arms) * len(job.wanted) == 1:
                way_out = "lower images.resolution (sampling.batch_size is 1 by now)"
                with out_of_memory_names("a single picture", way_out):
                    raise
        torch.cuda.empty_cache()  # only here, for an exception that is being handled keeps what did not fit
        if not waited:
            return None


def batch_seconds(pipeline: Pipeline, job: Job, settings: Sampling) -> float:
    """How long a job takes to draw, from its first denoising steps, which are measured and not kept."""
    drawing, spent = Drawing(pipeline, [arm.adapter for arm in job.arms], settings, Texts(pipeline)), []
    with Finisher(pipeline) as finisher:
        for steps in (1, 1, 3):  # the first warms up
            began = time.monotonic()
            finisher.decoded(drawing.latents(job.wanted, steps).flatten(0, 1))
            spent.append(time.monotonic() - began)
    step = max(0.0, (spent[2] - spent[1]) / 2)
    return spent[1] + (settings.num_inference_steps - 1) * step


def picture_seconds(pipeline: Pipeline, arm: Arm, settings: Sampling) -> float:
    """How long one of a batch of the arm's pictures takes to draw, whether or not they are drawn."""
    job = Job((arm,), arm.wanted[: settings.batch_size])
    return batch_seconds(pipeline, job, settings) / pictures_in([job])


def pictures_in(jobs: Sequence[Job]) -> int:
    """How many pictures some jobs draw."""
    return sum(len(job.arms) * len(job.wanted) for job in jobs)


def halves(job: Job) -> list[Job]:
    """A job as two: fewer samples if there are several, else fewer arms."""
    if len(job.wanted) > 1:
        return [Job(job.arms, half) for half in even_packs(job.wanted, -(-len(job.wanted) // 2))]
    return [Job(half, job.wanted) for half in even_packs(job.arms, -(-len(job.arms) // 2))]
