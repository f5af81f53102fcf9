"""Measures of pictures → flags, each with its reason, and clusters of near-duplicates.

A flag asks a person to look again. A picture is taken out only where the study sets a limit's `refuse`. A person
overrules both by name: `images.accept`, `images.refuse`. This file does not know files or pixels.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from caplora.images.measuring import Measure
from caplora.study import Curation, Limit


@dataclass(frozen=True)
class Rule:
    """What a flag's limit applies to: a measure, the side on which it is exceeded, and the words for the reason."""

    column: str  # of Measure
    side: Literal["below", "above", "beyond"]  # beyond: further from 0, to either side
    noun: str
    unit: str = ""
    placed: bool = False  # whether it is measured on the face where there is one


RULES = {
    "small": Rule("enlarged", "above", "enlargement to the resolution", " ×"),
    "blurry": Rule("sharpness", "below", "sharpness", placed=True),
    "dark": Rule("brightness", "below", "brightness", placed=True),
    "bright": Rule("brightness", "above", "brightness", placed=True),
    "clipped": Rule("clipped", "above", "share of black and white pixels", placed=True),
    "flat": Rule("contrast", "below", "contrast", placed=True),
    "cast": Rule("cast", "above", "colour cast", placed=True),
    "side_lit": Rule("light_x", "beyond", "light from the right", placed=True),
    "no_face": Rule("faces", "below", "number of faces"),
    "many_faces": Rule("faces", "above", "number of faces"),
    "small_face": Rule("face_share", "below", "the face's share"),
    "cut_face": Rule("face_cut", "above", "share of the face outside the square"),
    "rolled": Rule("roll", "beyond", "roll", "°"),
    "turned": Rule("yaw", "beyond", "yaw", "°"),
    "other_person": Rule("likeness", "below", "likeness to the folder's person"),
}  # `duplicate` is not among them, because it takes two pictures


@dataclass(frozen=True)
class Flag:
    """One reason to look at a picture again, or to refuse it."""

    word: str  # a field of Curation
    reason: str  # e.g. sharpness 12 is below 40 (images.curation.blurry)
    refuses: bool = False


def flags(measure: Measure, curation: Curation) -> tuple[Flag, ...]:
    """A flag for each limit that a picture exceeds by itself, in the order of RULES; and for another's face."""
    found = tuple(flag for word, rule in RULES.items() if (flag := _flag(word, rule, measure, curation)))
    known = any(flag.word == "other_person" for flag in found) or curation.other_person.flag is None
    if known or measure.person in (None, 1):
        return found
    says = f"the face is that of person {measure.person} of the folder (images.faces.encoder.same)"
    return (*found, Flag("other_person", says))


class Looks:
    """The perceptual hashes of pictures, in hexadecimal, and which of them is nearest to another."""

    def __init__(self) -> None:
        self._sources: list[Path] = []
        self._words = array("Q")

    def add(self, source: Path, look: str) -> None:
        """Remember how a picture looks."""
        self._sources.append(source)
        self._words.append(int(look, 16))

    def nearest(self, look: str) -> tuple[Path, int] | None:
        """The picture that looks most like a hash, the first of several, and in how many bits it differs, 0 … 64."""
        if not self._sources:
            return None
        bits = np.bitwise_count(np.frombuffer(self._words, np.uint64) ^ np.uint64(int(look, 16)))
        return self._sources[int(bits.argmin())], int(bits.min())


def duplicates(look: str, earlier: Looks, curation: Curation) -> tuple[Flag, ...]:
    """The flag of a picture that looks nearly like an earlier one, naming the nearest; none if it looks like no other.

    `look` is a perceptual hash in hexadecimal.
    """
    if (found := earlier.nearest(look)) is None:
        return ()
    (nearest, bits), limit = found, curation.duplicate
    reached = _reached(limit, lambda bound: bits <= bound)
    if reached is None:
        return ()
    bound, refuses = reached
    says = f"near-duplicate of {nearest.as_posix()}: {bits} of 64 bits differ, at most {bound:g}"
    return (Flag("duplicate", f"{says} (images.curation.duplicate)", refuses),)


def clusters(looks: Sequence[str], curation: Curation) -> Int64[np.ndarray, " n"]:
    """The number of each picture's cluster, counted from 1 in the order of the pictures; 0 if it looks like no other.

    Two pictures are in one cluster if a chain of near-duplicates joins them (`images.curation.duplicate`).
    """
    bound = curation.duplicate.flag
    if bound is None or not looks:
        return np.zeros(len(looks), np.int64)
    words = np.array([int(look, 16) for look in looks], np.uint64)
    near = [np.flatnonzero(np.bitwise_count(words ^ word) <= bound) for word in words]  # itself among them
    ends = np.cumsum([0, *map(len, near)])
    pairs = csr_array((np.ones(ends[-1], bool), np.concatenate(near), ends), (len(words), len(words)))
    labels = connected_components(pairs, directed=False)[1]
    sizes = np.bincount(labels)
    joined = [label for label in dict.fromkeys(labels.tolist()) if sizes[label] > 1]
    numbers = {label: number for number, label in enumerate(joined, 1)}
    return np.array([numbers.get(label, 0) for label in labels.tolist()], np.int64)


def _flag(word: str, rule: Rule, measure: Measure, curation: Curation) -> Flag | None:
    value: float | None = getattr(measure, rule.column)
    if value is None:
        return None
    reached = _reached(getattr(curation, word), lambda bound: _exceeds(value, rule.side, bound))
    if reached is None:
        return None
    bound, refuses = reached
    sign = "±" if rule.side == "beyond" else ""
    where = f" on the {measure.measured_on}" if rule.placed else ""
    says = f"{rule.noun} {_number(value, bound)}{rule.unit} is {rule.side} {sign}{bound:g}{rule.unit}{where}"
    return Flag(word, f"{says} (images.curation.{word})", refuses)


def _reached(limit: Limit, exceeded: Callable[[float], bool]) -> tuple[float, bool] | None:
    """The bound that is exceeded, and whether it refuses the picture; None if no bound is exceeded."""
    if limit.refuse is not None and exceeded(limit.refuse):
        return limit.refuse, True
    return (limit.flag, False) if limit.flag is not None and exceeded(limit.flag) else None


def _exceeds(value: float, side: str, bound: float) -> bool:
    if side == "below":
        return value < bound
    return (abs(value) if side == "beyond" else value) > bound


def _number(value: float, bound: float) -> str:
    """The value with three digits, or with six where three would make it look like the bound."""
    short = f"{value:.3g}"
    return (short if float(short) != bound else f"{value:.6g}").replace("-", "−")
