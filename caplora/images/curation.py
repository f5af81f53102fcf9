"""What pictures measure → which deserve a second look: flags, each with its reason, and clusters of near-duplicates.

A flag asks a person to look; only a limit's `refuse` takes a picture out, and only the study sets one. A person
overrules both by name: `images.accept`, `images.refuse`. This file does not know files or pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64
from scipy.sparse.csgraph import connected_components

from caplora.images.measuring import Measure
from caplora.study import Curation, Limit


@dataclass(frozen=True)
class Rule:
    """What a flag's limit is a limit of."""

    column: str  # of Measure
    side: Literal["below", "above", "beyond"]  # where it is exceeded; beyond: on either side of 0
    noun: str
    unit: str = ""


RULES = {
    "small": Rule("enlarged", "above", "enlargement to the resolution", " ×"),
    "blurry": Rule("sharpness", "below", "sharpness"),
    "dark": Rule("brightness", "below", "brightness"),
    "bright": Rule("brightness", "above", "brightness"),
    "clipped": Rule("clipped", "above", "share of black and white pixels"),
    "flat": Rule("contrast", "below", "contrast"),
    "cast": Rule("cast", "above", "colour cast"),
    "side_lit": Rule("light_x", "beyond", "light from the right"),
    "no_face": Rule("faces", "below", "number of faces"),
    "many_faces": Rule("faces", "above", "number of faces"),
    "small_face": Rule("face_share", "below", "the face's share"),
    "rolled": Rule("roll", "beyond", "roll", "°"),
    "turned": Rule("yaw", "beyond", "yaw", "°"),
}  # and `duplicate`, which takes two pictures


@dataclass(frozen=True)
class Flag:
    """One reason to look at a picture again, or to refuse it."""

    word: str  # a field of Curation
    reason: str  # sharpness 12 is below 40 (images.curation.blurry)
    refuses: bool = False


def flags(measure: Measure, curation: Curation) -> tuple[Flag, ...]:
    """Every limit that a picture exceeds by itself, in the order of RULES."""
    found = (_flag(word, rule, getattr(measure, rule.column), curation) for word, rule in RULES.items())
    return tuple(flag for flag in found if flag)


def duplicates(look: str, earlier: Mapping[Path, str], curation: Curation) -> tuple[Flag, ...]:
    """The flag of a picture that is near to an earlier one, naming the nearest; hashes in hexadecimal."""
    if not earlier:
        return ()
    nearest = min(earlier, key=lambda path: distance(look, earlier[path]))
    bits, limit = distance(look, earlier[nearest]), curation.duplicate
    reached = _reached(limit, lambda bound: bits <= bound)
    if reached is None:
        return ()
    bound, refuses = reached
    says = f"near-duplicate of {nearest.as_posix()}: {bits} of 64 bits differ, at most {bound:g}"
    return (Flag("duplicate", f"{says} (images.curation.duplicate)", refuses),)


def distance(one: str, other: str) -> int:
    """Bits in which two perceptual hashes differ, 0 … 64."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def clusters(looks: Sequence[str], curation: Curation) -> Int64[np.ndarray, " n"]:
    """The cluster of each picture, from 1 in their order, 0 for one that is like no other.

    Two pictures are of one cluster if a chain of near-duplicates joins them (`images.curation.duplicate`).
    """
    bound = curation.duplicate.flag
    if bound is None or not looks:
        return np.zeros(len(looks), np.int64)
    words = np.array([int(look, 16) for look in looks], np.uint64)
    near = np.array([np.bitwise_count(words ^ word) <= bound for word in words])
    labels = connected_components(near, directed=False)[1]
    first = {label: i for i, label in reversed(list(enumerate(labels.tolist())))}
    joined = sorted((label for label in first if (labels == label).sum() > 1), key=first.__getitem__)
    numbers = {label: number for number, label in enumerate(joined, 1)}
    return np.array([numbers.get(label, 0) for label in labels.tolist()], np.int64)


def _flag(word: str, rule: Rule, value: float | None, curation: Curation) -> Flag | None:
    if value is None:
        return None
    reached = _reached(getattr(curation, word), lambda bound: _exceeds(value, rule.side, bound))
    if reached is None:
        return None
    bound, refuses = reached
    sign = "±" if rule.side == "beyond" else ""
    says = f"{rule.noun} {_number(value, bound)}{rule.unit} is {rule.side} {sign}{bound:g}{rule.unit}"
    return Flag(word, f"{says} (images.curation.{word})", refuses)


def _reached(limit: Limit, exceeded: Callable[[float], bool]) -> tuple[float, bool] | None:
    """The bound that is exceeded and whether it refuses; None if none is."""
    if limit.refuse is not None and exceeded(limit.refuse):
        return limit.refuse, True
    return (limit.flag, False) if limit.flag is not None and exceeded(limit.flag) else None


def _exceeds(value: float, side: str, bound: float) -> bool:
    if side == "below":
        return value < bound
    return (abs(value) if side == "beyond" else value) > bound


def _number(value: float, bound: float) -> str:
    """Three digits, or as many as tell it from the bound."""
    short = f"{value:.3g}"
    return (short if float(short) != bound else f"{value:.6g}").replace("-", "−")
