"""Latents → pictures on disk. On a card that goes on beside the drawing of the next batch, on a stream of its own."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.models import Pipeline
from caplora.sampling.arms import Arm
from caplora.sampling.drawing import decode
from caplora.sampling.samples import Wanted, save_sample

AT_ONCE = 8  # pictures that are decoded together


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


class Finisher:
    """Decodes what jobs drew and writes it, in their order; within `with`, at whose end all that was added is done.

    On a card one thread decodes while the next job is drawn. On a CPU that would take the cores that the drawing needs,
    so a job is done when it is added. Pictures are written by threads either way.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.at_once = pipeline, AT_ONCE
        self.beside = pipeline.device.type == "cuda"
        self._stream = torch.cuda.Stream(pipeline.device) if self.beside else None
        self._decoder, self._writers = ThreadPoolExecutor(1), ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        self._begun: deque[Future[list[Drawn]]] = deque()

    def __enter__(self) -> "Finisher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._decoder.shutdown()
        self._writers.shutdown()

    def add(self, job: Job, latents: Float[Tensor, "a n c h w"]) -> Iterator[list[Drawn]]:
        """Finish what a job drew; yields the jobs that are on disk by now and were not yielded."""
        if not self.beside:
            yield self._finish(job, latents)
            return
        drawn = torch.cuda.current_stream().record_event() if self._stream else None
        self._begun.append(self._decoder.submit(self._finish, job, latents, drawn))
        if len(self._begun) > 1:  # the one before was decoded while this one was drawn
            yield self._begun.popleft().result()

    def rest(self) -> Iterator[list[Drawn]]:
        """The jobs that were not yielded, each once it is on disk."""
        while self._begun:
            yield self._begun.popleft().result()

    def wait(self) -> bool:
        """Wait for what is being decoded; whether there was anything."""
        running = [future for future in self._begun if not future.done()]
        for future in running:
            future.exception()  # is raised where the job is yielded
        return bool(running)

    def _finish(self, job: Job, latents: Tensor, drawn: "torch.cuda.Event | None" = None) -> list[Drawn]:
        with torch.cuda.stream(self._stream):
            if self._stream and drawn:
                self._stream.wait_event(drawn)
            images, flags = self.decoded(latents.flatten(0, 1))
        count = len(job.wanted)
        places = [(arm, wanted) for arm in job.arms for wanted in job.wanted]
        writing = [
            self._writers.submit(save_sample, image, flag, arm.folder, wanted, dict(arm.made))
            for (arm, wanted), image, flag in zip(places, images, flags, strict=True)
        ]
        for future in writing:
            future.result()
        return [Drawn(wanted, tuple(images[i::count])) for i, wanted in enumerate(job.wanted)]

    def decoded(self, latents: Float[Tensor, "n c h w"]) -> tuple[list[Image.Image], list[str]]:
        """Pictures and flags as of `decode`, so many at a time as fit into memory."""
        try:
            parts = [decode(self.pipeline, own) for own in latents.split(self.at_once)]
        except torch.OutOfMemoryError:
            if self.at_once == 1:
                raise
        else:
            return [image for images, _ in parts for image in images], [flag for _, flags in parts for flag in flags]
        self.at_once //= 2  # here, because an exception that is being handled keeps what did not fit
        torch.cuda.empty_cache()
        return self.decoded(latents)
