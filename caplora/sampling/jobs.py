"""What the arms still lack → batches to draw; arms that lack the same samples draw them together."""

import json
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
from caplora.sampling.samples import UNDER_WAY, Wanted, lacking
from caplora.study import Sampling, counted, read_text, refuse_full_disk, write_text

CHANNELS, TEXTS = 3, 4096  # bytes of a pixel, and of what a picture says of itself


def plan_jobs(arms: Sequence[Arm], settings: Sampling) -> list[Job]:
    """What the arms lack, as jobs of at most `batch_size` pictures; arms that lack the same draw it together.

    A job that was interrupted while its pictures were written comes first and whole: in another batch the last bits of
    a picture are others.
    """
    jobs = under_way(arms)
    begun = {(arm.folder, wanted) for job in jobs for arm in job.arms for wanted in job.wanted}
    lack: dict[Wanted, list[Arm]] = {}
    for arm in arms:
        for wanted in lacking(arm.folder, arm.wanted):
            if (arm.folder, wanted) not in begun:
                lack.setdefault(wanted, []).append(arm)
    groups: dict[tuple[Path, ...], tuple[list[Arm], list[Wanted]]] = {}
    for wanted, own in lack.items():
        groups.setdefault(tuple(arm.folder for arm in own), (own, []))[1].append(wanted)
    for own, missing in groups.values():
        for together in even_packs(own, settings.batch_size):
            size = settings.batch_size // len(together)
            jobs += [Job(together, tuple(missing[i : i + size])) for i in range(0, len(missing), size)]
    return jobs


def under_way(arms: Sequence[Arm]) -> list[Job]:
    """The jobs of which an earlier process has written some pictures and not all, where they are still wanted."""
    by_name = {arm.folder.name: arm for arm in arms}
    found = []
    for path in (arm.folder / UNDER_WAY for arm in arms):
        for said in json.loads(read_text(path)) if path.is_file() else []:
            own = [by_name[name] for name in said["arms"] if name in by_name]
            wanted = [w for w in (own[0].wanted if own else ()) if w.file_name in said["samples"]]
            known = len(own) == len(said["arms"]) and len(wanted) == len(said["samples"])
            asked = known and all({*wanted} <= {*arm.wanted} for arm in own)
            if asked and any(lacking(arm.folder, wanted) for arm in own):
                found.append(Job(tuple(own), tuple(wanted)))
    return found


def note(jobs: Sequence[Job]) -> None:
    """Write down jobs of one first arm whose pictures are about to be written: `under_way` finds them."""
    said = [{"arms": [a.folder.name for a in j.arms], "samples": [w.file_name for w in j.wanted]} for j in jobs]
    write_text(jobs[0].arms[0].folder / UNDER_WAY, json.dumps(said) + "\n")


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
    torch.OutOfMemoryError. Raises DiskError where the disk has no room for all of them.
    """
    refuse_no_room(pipeline, jobs)
    begun: list[Job] = []  # and not yet yielded
    with Finisher(pipeline) as finisher:
        for job, latents in drawn_jobs(jobs, settings, Texts(pipeline), finisher):
            begun.append(job)
            note([own for own in begun if own.arms[0].folder == job.arms[0].folder])
            for drawn in finisher.add(job, latents):
                begun.pop(0)
                yield drawn
        yield from finisher.rest()
    for folder in {job.arms[0].folder for job in jobs}:
        (folder / UNDER_WAY).unlink(missing_ok=True)


def bytes_each(pipeline: Pipeline, folder: Path) -> int:
    """The most bytes that a picture will take of the disk, by those that lie there, else by its pixels."""
    there = [path.stat().st_size for path in folder.glob("*.png")]
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    return max(there, default=CHANNELS * side**2 + TEXTS)


def refuse_no_room(pipeline: Pipeline, jobs: Sequence[Job]) -> None:
    """Raise DiskError (ENOSPC) where the pictures of the jobs will not fit on the disk."""
    if jobs:
        folder, count = jobs[0].arms[0].folder, pictures_in(jobs)
        needed, way_out = count * bytes_each(pipeline, folder), "ask for fewer prompts or seeds, or fewer variants"
        refuse_full_disk(folder.parent, needed, f"drawing {counted(count, 'picture')}", way_out)


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
