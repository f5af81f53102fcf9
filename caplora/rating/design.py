"""Samples → which pairs a rater is shown, in which order and on which sides.

All raters see the same pairs, so that they can be compared; order and sides are each rater's own. Among the pairs are
some a second time with the sides changed, a picture beside itself, and a picture of another prompt: they measure the
rater, and count in nothing else.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np

from caplora.sampling import Sample
from caplora.study import BASELINE, file_hash

PAIRS = 50  # about: whole prompts, each with as many seeds as the others
REPEATS, SAME, SHUFFLED = 5, 2, 3  # at most
QUESTIONS = {"words": "Which fits the words better?", "person": "Which is more this person?"}
PAIR, REPEAT, ITSELF, OTHER_PROMPT = "pair", "repeat", "same", "shuffled prompt"  # kinds
SECONDS = 5  # that an answer takes, about

Pair = tuple[Sample, Sample]


class RatingError(ValueError):
    """Pictures or answers that cannot be compared; the message names them and the way out."""


@dataclass(frozen=True)
class Comparison:
    """Two pictures beside each other below some words."""

    kind: str
    left: Sample
    right: Sample
    prompt: str  # the words; one of a shuffled prompt was drawn for others

    @property
    def pictures(self) -> tuple[str, str]:
        """What the pictures are called, so that nobody who rates can read their arm from it."""
        return picture_id(self.left), picture_id(self.right)

    def expected(self, question: str) -> str:
        """What a careful rater answers; empty where nobody knows."""
        if self.kind == ITSELF:
            return "equal"
        if self.kind != OTHER_PROMPT or question != "words":
            return ""
        return "left" if self.left.prompt == self.prompt else "right"


def picture_id(sample: Sample) -> str:
    """Sixteen characters that change when the picture does."""
    return _hash(sample.path, sample.path.stat().st_mtime_ns)


@lru_cache(maxsize=2048)
def _hash(path: Path, changed: int) -> str:
    """The hash of a file; `changed` is part of the key, so that a changed file is read again."""
    return file_hash(path)[:16]


def pairs_of(arms: Mapping[str, Sequence[Sample]], split: str = "test", most: int = PAIRS) -> list[Pair]:
    """The pairs that raters compare: two arms' pictures of one prompt and seed, about `most` of them.

    Every prompt has as many seeds as the others; of more prompts than `most`, some are drawn. Of more than two arms
    each pair takes its turn. Raises RatingError where fewer than two prompts are there.
    """
    cells = [_cells(samples, split) for samples in arms.values()]
    shared = [cell for cell in cells[0] if all(cell in other for other in cells)] if cells else []
    prompts = list(dict.fromkeys(prompt for prompt, _ in shared))
    if len(arms) < 2 or len(prompts) < 2:
        raise RatingError(
            f"a comparison needs 2 arms and 2 {split} prompts that both have drawn, got {list(arms)} and"
            f" {len(prompts)} prompts: draw them first (notebook 03)"
        )
    rng = np.random.default_rng(0)
    kept = sorted(rng.permutation(len(prompts))[:most])
    each = max(1, round(most / len(kept)))
    chosen = [cell for turn, i in enumerate(kept) for cell in _turned(shared, prompts[i], turn)[:each]]
    turns = list(combinations(cells, 2))
    order = rng.permutation(len(chosen))
    return [(a[cell], b[cell]) for cell, k in zip(chosen, order, strict=True) for a, b in [turns[k % len(turns)]]]


def _cells(samples: Sequence[Sample], split: str) -> dict[tuple[str, int], Sample]:
    """(prompt, seed) → the sample of one arm, of those that show something."""
    return {(s.prompt, s.seed): s for s in samples if s.split == split and not s.flag}


def _turned(cells: Sequence[tuple[str, int]], prompt: str, turn: int) -> list[tuple[str, int]]:
    """The cells of one prompt, beginning with another seed than the prompt before."""
    own = [cell for cell in cells if cell[0] == prompt]
    return own[turn % len(own) :] + own[: turn % len(own)]


def plan(pairs: Sequence[Pair], rater: str) -> list[Comparison]:
    """What a rater is shown, in order: a function of the pairs and of the rater's name.

    Each arm is as often left as right. A repeat comes in the second half, its first time in the first.
    """
    rng = np.random.default_rng(list(hashlib.sha256(rater.encode()).digest()))
    sides = rng.permutation(np.arange(len(pairs)) % 2)
    own = [_comparison(PAIR, pair, bool(side)) for pair, side in zip(pairs, sides, strict=True)]
    own = [own[i] for i in rng.permutation(len(own))]
    half = len(own) // 2
    again = [own[i] for i in rng.permutation(half)[: min(REPEATS, half)]]
    later = own[half:] + [_comparison(REPEAT, (c.right, c.left), False) for c in again]
    shown = own[:half] + [later[i] for i in rng.permutation(len(later))]
    for comparison in _attention(pairs, rng):
        shown.insert(int(rng.integers(2, len(shown))), comparison)
    return shown


def _comparison(kind: str, pair: Pair, turned: bool) -> Comparison:
    left, right = pair[::-1] if turned else pair
    return Comparison(kind, left, right, left.prompt)


def _attention(pairs: Sequence[Pair], rng: np.random.Generator) -> list[Comparison]:
    """A picture beside itself, and a picture beside one of its arm that was drawn for another prompt."""
    picked = [pairs[i][int(rng.integers(2))] for i in rng.permutation(len(pairs))]
    same = [Comparison(ITSELF, s, s, s.prompt) for s in picked[:SAME]]
    for sample in picked[SAME:]:
        others = [s for pair in pairs for s in pair if s.variant == sample.variant and s.prompt != sample.prompt]
        if others and len(same) < SAME + SHUFFLED:
            pair = (sample, others[int(rng.integers(len(others)))])
            left, right = pair if rng.integers(2) else pair[::-1]
            same.append(Comparison(OTHER_PROMPT, left, right, sample.prompt))
    return same


def plan_id(comparisons: Sequence[Comparison]) -> str:
    """Twelve characters that change with any picture, side or place of a plan."""
    said = [(c.kind, c.prompt, c.left.variant, c.right.variant, *c.pictures) for c in comparisons]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


def arms_in_order(arms: Sequence[str]) -> list[str]:
    """The baseline first: a preference is for the arm that comes later."""
    return sorted(dict.fromkeys(arms), key=lambda arm: (arm != BASELINE, arm))
