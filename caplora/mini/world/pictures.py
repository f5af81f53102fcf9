"""Many pictures of the portrait world with their labels, painted in parallel and kept in one file."""

from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caplora.mini.world.styles import render
from caplora.mini.world.world import ATTRIBUTES, SIZE, draw_person, draw_scene, truth
from caplora.study import replacing


@dataclass(frozen=True)
class Pictures:
    """Pictures and what they show.

    `images` is (n, 128, 128, 3) in sRGB, `labels` (n, attributes) has indices into `ATTRIBUTES`, and `people` (n,) says
    which person it is.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    people: NDArray[np.int64]

    def attributes(self, i: int) -> dict[str, str]:
        """Attribute → value that picture `i` shows."""
        return {name: values[v] for (name, values), v in zip(ATTRIBUTES.items(), self.labels[i], strict=True)}

    def where(self, mask: NDArray[np.bool_]) -> "Pictures":
        """The pictures that `mask` (n,) selects."""
        return Pictures(self.images[mask], self.labels[mask], self.people[mask])

    def of_styles(self, styles: tuple[str, ...]) -> "Pictures":
        """The pictures drawn in one of `styles`."""
        wanted = [ATTRIBUTES["style"].index(s) for s in styles]
        return self.where(np.isin(self.labels[:, list(ATTRIBUTES).index("style")], wanted))


def paint_person(seed: int, number: int, each: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels of `each` pictures of person `number` in the world of this seed."""
    rng = np.random.default_rng((seed, number))
    person = draw_person(rng)
    images = np.empty((each, SIZE, SIZE, 3), np.uint8)
    labels = np.empty((each, len(ATTRIBUTES)), np.int64)
    for i in range(each):
        scene = draw_scene(rng)
        images[i] = render(person, scene, rng)
        seen = truth(person, scene)
        labels[i] = [values.index(seen[name]) for name, values in ATTRIBUTES.items()]
    return images, labels


def _paint_job(job: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return paint_person(*job)


def paint(path: Path, people: int, each: int, seed: int, processes: int = 2) -> Iterator[int]:
    """Paint `each` pictures of each of `people` persons into `path` (.npz); yields how many persons are done.

    A file that already has pictures of as many persons is kept.
    """
    if path.exists() and len(np.unique(read_pictures(path).people)) == people:
        yield people
        return
    images = np.empty((people, each, SIZE, SIZE, 3), np.uint8)
    labels = np.empty((people, each, len(ATTRIBUTES)), np.int64)
    with get_context("spawn").Pool(processes) as pool:
        jobs = ((seed, number, each) for number in range(people))
        for i, (images[i], labels[i]) in enumerate(pool.imap(_paint_job, jobs, chunksize=4)):
            yield i + 1
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(
            file,
            images=images.reshape(-1, SIZE, SIZE, 3),
            labels=labels.reshape(people * each, -1),
            people=np.repeat(np.arange(people), each),
        )


def read_pictures(path: Path) -> Pictures:
    """The pictures that `paint` wrote to `path`."""
    with np.load(path) as kept:
        return Pictures(kept["images"], kept["labels"], kept["people"])
