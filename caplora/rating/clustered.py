"""The mean of answers that are clustered twice: those to one prompt resemble each other, and so do those of a rater."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from scipy.optimize import brentq

from caplora.statistics import LEVEL

Array = NDArray[np.floating]
Labels = NDArray[np.integer]
DRAWS = 11  # 2¹¹, of three mean squares
ROUNDING = 1e-12  # a variance below it is none


class Mean(NamedTuple):
    """A mean with its 95 % interval and the two-sided p of `null`."""

    mean: float
    low: float
    high: float
    p: float


class Part(NamedTuple):
    """What a source adds to the variance of an estimate, and its degrees of freedom: both 0 where none can be told."""

    variance: float
    freedom: float


NONE = Part(0.0, 0.0)


def two_way_interval(values: Array, prompts: Labels, raters: Labels, null: float = 0.5) -> Mean:
    """The mean of answers, (n,) in [0, 1], for other prompts and other raters: `Mean`.

    Prompts and raters are random and crossed, and need not be balanced. How the mean moves when a prompt or a rater is
    left out, and the interaction that both hold, give the variance (`tail`). By one rater it is for other prompts
    alone. Where nothing moves it, prompts count as if each were one answer.
    """
    mean = float(values.mean())
    parts = left_out(values, prompts), left_out(values, raters), _both(values, prompts, raters)
    if max(part.variance for part in parts) < ROUNDING:
        return _unmoved(mean, len(np.unique(prompts)), null)
    half = half_width(*parts)
    return Mean(mean, max(mean - half, 0.0), min(mean + half, 1.0), tail(*parts)(abs(mean - null)))


def half_width(prompts: Part, raters: Part, both: Part = NONE) -> float:
    """Half of the 95 % interval of an estimate: the distance whose `tail` is 5 %, or 0 where nothing spreads it."""
    high = 2 * float(np.sqrt(prompts.variance + raters.variance + both.variance))
    if high**2 < ROUNDING:
        return 0.0
    chance = tail(prompts, raters, both)
    while chance(high) > 1 - LEVEL:
        high *= 2
    return float(brentq(lambda half: chance(half) - (1 - LEVEL), 0, high, xtol=1e-9 * high))


def tail(prompts: Part, raters: Part, both: Part = NONE) -> Callable[[float], float]:
    """Distance → the chance that an estimate is further from the truth, if these parts spread it: a two-sided p.

    A generalised pivotal quantity (Weerahandi 1993; Hannig, Iyer and Patterson 2006): each part is its mean square by a
    draw of χ²/df, components below zero are zero, and the chance is the mean of the normal's over the draws. With one
    rater it is Student's t. It errs to the wide side where raters hardly differ, but unlike Satterthwaite's degrees of
    freedom it does not take three raters who differ for many (benchmarks/rating.py).
    """
    if not raters.freedom:
        return lambda distance: float(2 * stats.t.sf(distance / np.sqrt(prompts.variance), prompts.freedom))
    of_prompts, of_raters, of_both = (
        part.variance / _chi(place, part.freedom) for place, part in enumerate((prompts, raters, both))
    )
    variance = np.maximum(of_prompts - of_both, 0) + np.maximum(of_raters - of_both, 0) + of_both
    return lambda distance: float(special.erfc(distance / np.sqrt(2 * variance)).mean())


@lru_cache(maxsize=512)
def _chi(place: int, freedom: float) -> Array:
    """Draws of χ²/df, evenly spread over three dimensions, of which `place` is one; ones without freedom."""
    even = stats.qmc.Sobol(3, scramble=False).random_base2(DRAWS)[:, place] + 0.5 ** (
        DRAWS + 1
    )  # Sobol’ 1967, in (0, 1)
    return stats.chi2.ppf(even, freedom) / freedom if freedom else np.ones(len(even))


def jackknife(without: Array, whole: float, sizes: Labels) -> Part:
    """The part of clusters by how an estimate moves when each is left out, `without` (G,) (Efron and Stein 1981).

    Clusters of unlike `sizes` count as (Σn)²/Σn² of one size (Kish 1965), but at least as two.
    """
    count = len(without)
    if count < 2:
        return NONE
    alike = sizes.sum() ** 2 / (sizes**2).sum()
    return Part(float((count - 1) / count * ((without - whole) ** 2).sum()), max(float(alike) - 1, 1.0))


def left_out(values: Array, labels: Labels) -> Part:
    """The part of clusters in the variance of the mean of all values."""
    labels = np.unique(labels, return_inverse=True)[1]
    sums, sizes = np.bincount(labels, values), np.bincount(labels)
    if len(sums) < 2:
        return NONE
    return jackknife((values.sum() - sums) / (len(values) - sizes), float(values.mean()), sizes)


def _both(values: Array, prompts: Labels, raters: Labels) -> Part:
    """What is left in the cells of prompt and rater once each prompt and each rater has its level."""
    p, r = (np.unique(labels, return_inverse=True)[1] for labels in (prompts, raters))
    cells, cell = np.unique(np.stack([p, r]), axis=1, return_inverse=True)
    freedom = cells.shape[1] - (p.max() + 1) - (r.max() + 1) + 1
    if r.max() == 0 or freedom < 1:
        return NONE
    sizes = np.bincount(cell)
    means = np.bincount(cell, values) / sizes
    levels = np.concatenate([np.eye(p.max() + 1)[cells[0]], np.eye(r.max() + 1)[cells[1]]], axis=1)
    left = means - levels @ np.linalg.lstsq(levels, means, rcond=None)[0]
    return Part(float((left**2).sum() / freedom * ((sizes / len(values)) ** 2).sum()), float(freedom))


def _unmoved(mean: float, prompts: int, null: float) -> Mean:
    """Where no prompt and no rater moves the mean: Clopper and Pearson's limit for as many prompts like these.

    With a share of 0.025^(1/P) of prompts like these, nothing but such would have been seen one time in 40; the others
    may be anything.
    """
    edge = ((1 - LEVEL) / 2) ** (1 / prompts)
    alike = min(null / mean if null < mean else 1.0, (1 - null) / (1 - mean) if null > mean else 1.0)
    return Mean(mean, mean * edge, 1 - (1 - mean) * edge, float(min(1.0, 2 * alike**prompts)))
