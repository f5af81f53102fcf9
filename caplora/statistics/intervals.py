"""Confidence intervals and tests for the mean of a few independent numbers, which are prompt means.

It works on arrays whose last axis is prompts.
"""

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.floating]

LEVEL = 0.95  # of every interval
INNER = 2 * LEVEL - 1  # of the interval that is held against a margin of equivalence: 5 % to each side
POWER = 0.80  # of the minimum detectable effect
EXACT = 16  # prompts up to which all 2^P flips are counted, so that p has no noise of its own
FLIPS = 20_000  # drawn beyond that
CELLS = 10_000_000  # flips × variants in memory at once
TIE = 1e-9  # flips that differ by rounding alone are as large as the study itself


@cache
def t_quantile(level: float, freedom: int) -> float:
    """How many standard errors a t interval of this level reaches to each side; scipy takes its time each time."""
    return float(stats.t.ppf((1 + level) / 2, freedom))


def interval(means: Array, level: float = LEVEL) -> tuple[float, float, float]:
    """The mean of independent prompt means, (P,), with its t interval, 95 % wide: mean ± t(P−1) · sd / √P."""
    half = t_quantile(level, len(means) - 1) * _standard_error(means)
    return float(means.mean()), float(means.mean()) - half, float(means.mean()) + half


def equivalent(inner_low: float, inner_high: float, margin: float | None) -> bool:
    """Whether the 90 % interval lies within ±margin: two one-sided tests at 5 % both reject (Schuirmann 1987).

    Without a margin nothing is equivalent: no interval says how small a difference is small enough.
    """
    return margin is not None and -margin < inner_low and inner_high < margin


def relative_interval(baseline: Array, difference: Array) -> tuple[float, float, float]:
    """Mean difference / mean baseline of prompt means, (P,) each, with its 95 % interval (Fieller 1954).

    The baseline's own uncertainty counts, and the interval excludes zero exactly when that of the difference does.
    All three are nan where the baseline's interval touches zero: then nothing is so many per cent of it.
    """
    if interval(baseline)[1] <= 0:
        return np.nan, np.nan, np.nan
    t2 = t_quantile(LEVEL, len(baseline) - 1) ** 2 / len(baseline)
    (vb, c), (_, vd) = t2 * np.cov(baseline, difference)
    b, d = baseline.mean(), difference.mean()
    a, half, last = b * b - vb, b * d - c, d * d - vd  # a·R² − 2·half·R + last ≤ 0
    root = np.sqrt(max(half * half - a * last, 0.0))
    return float(d / b), float((half - root) / a), float((half + root) / a)


def sign_flips(prompts: int, seed: int = 0) -> Array:
    """Signs ±1 for each prompt, (B, P), the first row all +1: every combination up to 16 prompts, else 20 000 drawn.

    Of every combination and its mirror image, which are as large, one is there: the last sign is always +1.
    """
    if prompts <= EXACT:
        return 1.0 - 2.0 * ((np.arange(2 ** (prompts - 1))[:, None] >> np.arange(prompts)) & 1)
    drawn = 1.0 - 2.0 * np.random.default_rng(seed).integers(0, 2, (FLIPS, prompts))
    return np.vstack([np.ones((1, prompts)), drawn])


def flip_test(means: Array, flips: Array) -> tuple[Array, Array]:
    """Two-sided p of each variant's prompt means, (…, V, P), and p corrected over the variants; in (0, 1], (…, V) each.

    p = (1 + #{|Δ*| ≥ |Δ|}) / (B + 1), the 1 being the row of `flips` that flips nothing. The correction is max-T
    with shared flips (Westfall and Young 1993): each mean is divided by its root mean square, which no flip changes
    and which orders flips and variants as their t would.
    """
    size = np.sqrt((means**2).sum(-1, keepdims=True))
    unit = means / np.where(size > 0, size, 1)
    observed = np.abs(unit.sum(-1, keepdims=True)) - TIE  # (…, V, 1)
    own, largest = np.zeros(means.shape[:-1]), np.zeros(means.shape[:-1])
    for some in np.array_split(flips, max(1, -(-len(flips) * own.size // CELLS))):
        flipped = unit @ some.T  # (…, V, some of B)
        np.abs(flipped, out=flipped)
        own += (flipped >= observed).sum(-1)
        largest += (flipped.max(-2, keepdims=True) >= observed).sum(-1)
    return own / len(flips), largest / len(flips)


def bootstrap_interval(samples: Array, resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean of D, (P, S): prompts drawn with replacement, then seeds in each."""
    means = samples.ravel()[_drawn(*samples.shape, resamples, seed)].mean((1, 2))
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)  # every metric and variant of a suite is resampled alike
def _drawn(prompts: int, seeds: int, resamples: int, seed: int) -> NDArray[np.integer]:
    """Which of (P, S) values laid flat are drawn: prompts with replacement, then seeds in each, (B, P, S)."""
    rng = np.random.default_rng(seed)
    of_prompts = rng.integers(0, prompts, (resamples, prompts, 1))
    return of_prompts * seeds + rng.integers(0, seeds, (resamples, prompts, seeds))


def detectable_difference(means: Array) -> float:
    """The minimum detectable effect of a study that spreads as these prompt means do: found 4 times in 5."""
    return detectable_errors(len(means)) * _standard_error(means)


@cache
def detectable_errors(prompts: int) -> float:
    """How many standard errors the minimum detectable effect is: t(0.975) + t(0.80), of P − 1 (Bloom 1995)."""
    return float(stats.t.ppf([(1 + LEVEL) / 2, POWER], prompts - 1).sum())


def _standard_error(means: Array) -> float:
    return float(means.std(ddof=1) / np.sqrt(len(means)))
