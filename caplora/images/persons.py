"""The faces of a folder → whose each one is: the folder's person, who is in most of its pictures, or another.

Faces are joined by average linkage of their cosines (Sokal and Michener 1958): two groups are one person if their faces
are alike on average. Chains, as near-duplicates form them, would make one of two persons who have two faces alike.
The mean cosine of two groups is the product of their mean embeddings, so that no table of all pairs is needed: ten
thousand faces take megabytes. This file does not know crops or limits.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64, UInt8
from PIL import Image

from caplora.images.average_linkage import groups, joined
from caplora.images.decoding import UnfitError, upright
from caplora.images.face_encoder import FaceEncoder
from caplora.images.faces import Detector, Face
from caplora.images.pinned import Absent
from caplora.study import Images

COPY = 0.95  # the mean cosine of faces in copies of one photograph, and in photographs of one burst


@dataclass(frozen=True, eq=False)
class Sighting:
    """One face of a picture: where it is, as it is laid on the encoder's pattern, and its embedding of unit length."""

    face: Face
    jpeg: bytes  # of the face on the pattern: to be looked at, and a tenth of its pixels
    embedding: Float[np.ndarray, " 128"]

    @classmethod
    def of(
        cls, face: Face, aligned: UInt8[np.ndarray, "112 112 3"], embedding: Float[np.ndarray, " 128"]
    ) -> "Sighting":
        """A face as it is laid on the pattern."""
        memory = io.BytesIO()
        Image.fromarray(aligned).save(memory, "JPEG", quality=90)
        return cls(face, memory.getvalue(), embedding)

    @property
    def aligned(self) -> UInt8[np.ndarray, "112 112 3"]:
        """The face on the pattern, nearly to the pixel."""
        return np.asarray(Image.open(io.BytesIO(self.jpeg)))


@dataclass(frozen=True)
class Persons:
    """The faces of each picture of a folder, and whose they are: `same` is the mean cosine that makes one person."""

    pictures: Mapping[Path, Sequence[Sighting]]  # by its path in the folder
    same: float

    @cached_property
    def faces(self) -> list[tuple[Path, Sighting]]:
        """All faces, in the order of the pictures, each with its picture."""
        return [(source, one) for source, found in self.pictures.items() for one in found]

    @cached_property
    def embeddings(self) -> Float[np.ndarray, "n d"]:
        """Their embeddings: the product of two is their cosine."""
        return np.array([one.embedding for _, one in self.faces]).reshape(len(self.faces), -1)

    @cached_property
    def numbers(self) -> Int64[np.ndarray, " n"]:
        """Whose each face is: 1 is who is in most pictures, then 2 and so on; copies of a picture count once.

        Among equals it is who has most copies, then who is seen first.
        """
        if len(self.faces) < 2:
            return np.ones(len(self.faces), np.int64)
        tree = joined(self.embeddings)
        labels, photographs = (groups(tree, cosine) for cosine in (self.same, COPY))
        seen = pd.DataFrame(
            {"label": labels, "photograph": photographs, "picture": [s.as_posix() for s, _ in self.faces]}
        )
        counts = seen.groupby("label", sort=False).nunique()
        counts["least"] = counts.min(axis=1)
        order = counts.sort_values(["least", "picture"], ascending=False, kind="stable").index
        return np.argsort(order.to_numpy())[labels] + 1

    @cached_property
    def likeness(self) -> Float[np.ndarray, " n"] | None:
        """The cosine of each face to the mean of the folder's person; None if nobody is in two pictures."""
        own = self.numbers == 1
        if len({source for (source, _), mine in zip(self.faces, own, strict=True) if mine}) < 2:
            return None
        means = self.embeddings @ self.embeddings[own].mean(0)
        return means / np.sqrt(max(float(means[own].mean()), 1e-12))  # |mean|² is the mean of all their cosines

    def of(self, source: Path) -> list[tuple[Face, int | None, float | None]]:
        """The faces of a picture, each with whose it is and its likeness: first the folder's person, then by size."""
        start, found = self._starts[source], []
        for k, one in enumerate(self.pictures[source], start):
            known = self.likeness is not None
            found.append((one.face, int(self.numbers[k]) if known else None, self._likeness(k)))
        first = max((f for f in found if f[1] == 1), key=lambda f: f[2] or 0.0, default=None)
        return sorted(found, key=lambda f: (f is not first, -f[0].box.area))

    @cached_property
    def _starts(self) -> dict[Path, int]:
        """Picture → the place of its first face among all."""
        counts = [len(found) for found in self.pictures.values()]
        return dict(zip(self.pictures, np.cumsum([0, *counts]).tolist(), strict=False))

    def _likeness(self, k: int) -> float | None:
        return None if self.likeness is None else float(self.likeness[k])


def sightings(
    paths: Iterable[Path], settings: Images, detector: Detector, encoder: FaceEncoder
) -> Iterator[tuple[Path, list[Sighting]]]:
    """Each picture that can be read, with its faces as the encoder sees them."""
    for path in paths:
        try:
            image = upright(path, settings)
        except UnfitError:
            continue
        faces = detector.faces(image)
        aligned = [encoder.aligned(image, face) for face in faces]
        yield path, [Sighting.of(f, a, encoder.embedding(a)) for f, a in zip(faces, aligned, strict=True)]


def faces_note(detector: Detector | Absent, persons: Persons | Absent | None = None) -> str:
    """What the reader is told: whether faces were looked for, and how many persons told apart, or why not."""
    if isinstance(detector, Absent):
        return f"faces were not looked for: {detector.reason}"
    return "faces were looked for" + (f"; {_persons_note(persons)}" if persons else "")


def _persons_note(persons: Persons | Absent) -> str:
    if isinstance(persons, Absent):
        return f"persons were not told apart: {persons.reason}"
    if persons.likeness is None:
        return f"persons were told apart: nobody is in two pictures ({len(persons.faces)} faces)"
    count, own = int(persons.numbers.max()), int((persons.numbers == 1).sum())
    return f"persons were told apart: {count} in {len(persons.faces)} faces, {own} of them the folder's person"
