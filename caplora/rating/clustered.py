"""The mean of answers that are clustered twice: those to one prompt resemble each other, and so do those of a rater."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from caplora.statistics import LEVEL

Array = NDArray[np.floating]
Labels = NDArray[np.integer]


class Mean(NamedTuple):
    """A mean with its 95 % interval and the two-sided p of `null`."""

    mean: float
    low: float
    high: float
    p: float


def two_way_interval(values: Array, prompts: Labels, raters: Labels, null: float = 0.5) -> Mean:
    """The mean of answers, (n,) in [0, 1], for other prompts and other raters: `Mean`.

    Prompts and raters are random and crossed, and need not be balanced. The variance of the mean is what the means of
    prompts and of raters spread, less what both count, the interaction (Brennan 2001, Generalizability Theory; Cameron,
    Gelbach and Miller 2011), with Satterthwaite's degrees of freedom. By one rater it is for other prompts alone. Where
    all answers are one, the interval is that of Clopper and Pearson for as many prompts.
    """
    mean = float(values.mean())
    of_prompts, of_raters = cluster_variance(values, prompts), cluster_variance(values, raters)
    both = _interaction(values, prompts, raters)
    whole = max(of_prompts.variance + of_raters.variance - both.variance, of_prompts.variance)
    if whole <= 0:
        return _unanimous(mean, len(np.unique(prompts)), null)
    parts = [part for part in (of_prompts, of_raters, both) if part.freedom > 0]
    freedom = whole**2 / sum(part.variance**2 / part.freedom for part in parts)
    half, t = stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(whole), abs(mean - null) / np.sqrt(whole)
    return Mean(mean, max(mean - half, 0.0), min(mean + half, 1.0), float(2 * stats.t.sf(t, freedom)))


class Part(NamedTuple):
    """What one source adds to the variance of a mean."""

    variance: float
    freedom: int


def cluster_variance(values: Array, labels: Labels) -> Part:
    """The variance of the mean of all values by how the sums of clusters spread; nothing where there is one."""
    sums = np.bincount(np.unique(labels, return_inverse=True)[1], values - values.mean())
    count = len(sums)
    return (
        Part(float((sums**2).sum() / len(values) ** 2 * count / (count - 1)), count - 1) if count > 1 else Part(0.0, 0)
    )


def _interaction(values: Array, prompts: Labels, raters: Labels) -> Part:
    """What is left in the cells of prompt and rater once each prompt and each rater has its level."""
    p, r = (np.unique(labels, return_inverse=True)[1] for labels in (prompts, raters))
    cells, cell = np.unique(np.stack([p, r]), axis=1, return_inverse=True)
    freedom = cells.shape[1] - (p.max() + 1) - (r.max() + 1) + 1
    if r.max() == 0 or freedom < 1:
        return Part(0.0, 0)
    sizes = np.bincount(cell)
    means = np.bincount(cell, values) / sizes
    levels = np.concatenate([np.eye(p.max() + 1)[cells[0]], np.eye(r.max() + 1)[cells[1]]], axis=1)
    left = means - levels @ np.linalg.lstsq(levels, means, rcond=None)[0]
    return Part(float((left**2).sum() / freedom * ((sizes / len(values)) ** 2).sum()), int(freedom))


def _unanimous(mean: float, prompts: int, null: float) -> Mean:
    """Where nothing spreads: as if each prompt were one answer."""
    if mean not in (0.0, 1.0):
        return Mean(mean, mean, mean, 1.0 if mean == null else 0.0)
    edge = float(((1 - LEVEL) / 2) ** (1 / prompts))
    low, high = (edge, 1.0) if mean else (0.0, 1 - edge)
    return Mean(mean, low, high, min(1.0, 2 * (null if mean else 1 - null) ** prompts))
