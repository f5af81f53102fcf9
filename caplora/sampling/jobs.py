"""What the arms still lack → batches to draw; arms that lack the same samples draw them together."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from PIL import Image

from caplora.lora import Merged, Pack
from caplora.models import Pipeline, even_packs, out_of_memory_names
from caplora.sampling.arms import Arm
from caplora.sampling.drawing import decode, draw_batch, wear
from caplora.sampling.samples import Wanted, lacking, save_sample
from caplora.study import Sampling


@dataclass(frozen=True)
class Job:
    """Samples that some arms draw in one go."""

    arms: tuple[Arm, ...]
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class Drawn:
    """One wanted sample as the arms of a job drew it."""

    wanted: Wanted
    images: tuple[Image.Image, ...]  # one per arm


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


def sample(pipeline: Pipeline, jobs: Sequence[Job], settings: Sampling) -> Iterator[list[Drawn]]:
    """Draw the jobs of a plan, yielding each once its pictures are on disk.

    One that does not fit into the memory of the device is halved; a single picture that does not raises
    torch.OutOfMemoryError.
    """
    for _, alike in groupby(jobs, key=lambda job: [arm.folder for arm in job.arms]):
        run = list(alike)
        adapters = wear(pipeline, [arm.adapter for arm in run[0].arms])
        for job in run:
            yield from draw_job(pipeline, adapters, job, settings)


def draw_job(pipeline: Pipeline, adapters: Pack | Merged, job: Job, settings: Sampling) -> Iterator[list[Drawn]]:
    """Draw one job, in halves where it does not fit; the pipeline is the base model again when it yields."""
    arms = None
    try:
        arms = draw_arms(pipeline, adapters, job, settings)
    except torch.OutOfMemoryError:
        if len(job.arms) * len(job.wanted) == 1:
            with out_of_memory_names("a single picture", "lower images.resolution (sampling.batch_size is 1 by now)"):
                raise
    if arms is None:  # only here, for an exception that is being handled keeps what did not fit
        torch.cuda.empty_cache()
        yield from sample(pipeline, halves(job), settings)
        return
    for arm, (images, flags) in zip(job.arms, arms, strict=True):
        for wanted, image, flag in zip(job.wanted, images, flags, strict=True):
            save_sample(image, flag, arm.folder, wanted, dict(arm.made))
    pictures = zip(*(images for images, _ in arms), strict=True)
    yield [Drawn(wanted, images) for wanted, images in zip(job.wanted, pictures, strict=True)]


def batch_seconds(pipeline: Pipeline, job: Job, settings: Sampling) -> float:
    """How long a job takes to draw, from its first denoising steps, which are measured and not kept."""
    adapters, spent = wear(pipeline, [arm.adapter for arm in job.arms]), []
    for steps in (1, 1, 3):  # the first warms up
        began = time.monotonic()
        draw_arms(pipeline, adapters, job, settings.model_copy(update={"num_inference_steps": steps}))
        spent.append(time.monotonic() - began)
    step = max(0.0, (spent[2] - spent[1]) / 2)
    return spent[1] + (settings.num_inference_steps - 1) * step


def halves(job: Job) -> list[Job]:
    """A job as two: fewer samples if there are several, else fewer arms."""
    if len(job.wanted) > 1:
        return [Job(job.arms, half) for half in even_packs(job.wanted, -(-len(job.wanted) // 2))]
    return [Job(half, job.wanted) for half in even_packs(job.arms, -(-len(job.arms) // 2))]


def draw_arms(
    pipeline: Pipeline, adapters: Pack | Merged, job: Job, settings: Sampling
) -> list[tuple[list[Image.Image], list[str]]]:
    """What each arm of a job draws, in its order: pictures and flags as of `decode`."""
    prompts, noises = [w.prompt for w in job.wanted], [w.noise for w in job.wanted]
    try:
        adapters.lay()
        latents = draw_batch(pipeline, len(job.arms), prompts, noises, settings)
    finally:
        adapters.lift()
    return [decode(pipeline, arm) for arm in latents]
