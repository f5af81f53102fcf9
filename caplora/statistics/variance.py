"""Differences → where their spread is from: training seed, prompt, initial noise, and what is left.

Every training is tried on every prompt from the same noises, so trainings are crossed with both. Noise is a function of
the prompt and the seed: no two prompts share it, so it is nested in the prompt, and more prompts average it away.
"""

from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from caplora.statistics.effects import ScoreError, cells, differences
from caplora.statistics.intervals import LEVEL, Array

AXES = ("training", "prompt", "noise")  # of an array of differences; a study with one training has the last two
SMALLEST_P = 1e-12


@dataclass(frozen=True)
class Spread:
    """Variances of D = adapter − reference: what a sample's difference is made of, beside its mean."""

    prompt: float  # between prompts
    rest: float  # between the samples of a prompt: its noise, and whatever else

    def standard_error(self, prompts: int, seeds: int) -> float:
        """Of the mean over prompts, as the headline has it: √(prompt/P + rest/(P·S))."""
        return float(np.sqrt(self.prompt / prompts + self.rest / (prompts * seeds)))


STANDARD = Spread(prompt=0.5, rest=0.5)  # where nothing is known: sd of one difference = 1, half of it the prompt's


@dataclass(frozen=True)
class Crossed:
    """A mean of crossed draws with an interval over all that was drawn more than once, not over prompts alone."""

    mean: float
    low: float  # 95 %
    high: float
    p: float  # two-sided, of a mean of zero
    standard_error: float


def variance_split(samples: Array) -> pd.DataFrame:
    """What each source adds to the variance of a difference and of the mean, of (T, P, S) or (P, S): a row each.

    The sources are training, prompt, noise (within a prompt) and what trainings do to either. Moments estimator for
    balanced data (Searle, Casella and McCulloch 1992, chapter 4): mean squares equal their expectations, E[MS_A] = Σ
    over B ⊇ A of σ²_B · cells per level of B. Estimates below zero are kept in `of_mean` and `moment`, and are zero in
    `variance`. Axes of one level are left out: what they would add cannot be told.
    """
    names = [name for name, n in zip(AXES[-samples.ndim :], samples.shape, strict=True) if n > 1]
    samples = samples.squeeze()
    found: list[dict] = []
    for axes in reversed(_sources(names)):  # the interaction of everything first
        own = {names.index(name) for name in axes}
        free = own - {names.index("prompt")} if "noise" in axes and "prompt" in names else own
        df, mean_square = _mean_square(samples, own, free)
        above = sum(row["moment"] * row["cells"] for row in found if row["axes"] > own)
        levels = prod(samples.shape[a] for a in own)
        moment = (mean_square - above) * levels / samples.size
        found.append({
            "source": " × ".join(name for name in axes if name != "prompt" or "noise" not in axes), "axes": own,
            "levels": levels, "df": df, "cells": samples.size // levels, "mean_square": mean_square, "moment": moment,
            "variance": max(moment, 0.0), "of_mean": moment / levels,
        })  # fmt: skip
    return pd.DataFrame(found[::-1]).drop(columns=["axes", "cells"])


def _sources(names: list[str]) -> list[tuple[str, ...]]:
    """The sets of axes that variance can be of: where there is noise there is its prompt."""
    every = [s for k in range(1, len(names) + 1) for s in combinations(names, k)]
    return [s for s in every if "noise" not in s or "prompt" in s or "prompt" not in names]


def _mean_square(samples: Array, axes: set[int], free: set[int]) -> tuple[int, float]:
    """Degrees of freedom and mean square of the source of `axes`, which varies along `free` and is nested in others."""
    effect = samples.mean(tuple(set(range(samples.ndim)) - axes), keepdims=True)
    for axis in free:
        effect = effect - effect.mean(axis, keepdims=True)
    df = prod(samples.shape[a] - (a in free) for a in axes)
    return df, float((effect**2).sum() * samples.size / effect.size / df)


def crossed_interval(samples: Array) -> Crossed:
    """The mean of differences, (T, P, S), with its 95 % interval over prompts, and over trainings if there are several.

    The noise is the prompt's and is averaged first. Each axis adds the squared standard error of its means (Cameron,
    Gelbach and Miller 2011, without what they subtract, so that interactions count twice). The critical value is the
    mean of the axes' t, weighted by what each adds (Cochran and Cox 1950). Both make the interval too wide rather than
    too narrow: with three trainings, Satterthwaite's degrees of freedom would turn a 5 % test into one of 7 %.
    """
    samples = samples.mean(2)
    levels = [samples.mean(tuple(set(range(samples.ndim)) - {a})) for a, n in enumerate(samples.shape) if n > 1]
    squares = np.array([means.var(ddof=1) / len(means) for means in levels])
    df = np.array([len(means) - 1 for means in levels])
    mean, error = float(samples.mean()), float(np.sqrt(squares.sum()))
    if error == 0:
        return Crossed(mean, mean, mean, SMALLEST_P if mean else 1.0, 0.0)
    half = _critical((1 - LEVEL), squares, df) * error
    return Crossed(mean, mean - half, mean + half, _p(abs(mean) / error, squares, df), error)


def _critical(p: float, squares: Array, df: NDArray[np.integer]) -> float:
    """What |mean| / standard error exceeds with a chance of p or less."""
    return float(np.average(stats.t.isf(p / 2, df), weights=squares))


def _p(t: float, squares: Array, df: NDArray[np.integer]) -> float:
    """The p whose critical value is t; not below 10⁻¹²."""
    if t >= _critical(SMALLEST_P, squares, df):
        return SMALLEST_P
    return float(brentq(lambda p: _critical(p, squares, df) - t, SMALLEST_P, 1.0, xtol=1e-14))


def spread_of(samples: Array) -> Spread:
    """The spread of differences, (V, P, S) or (P, S), pooled over variants; variances below zero are zero.

    With one seed the rest cannot be told from the prompt, and counts as the prompt's.
    """
    parts = [variance_split(s).set_index("source")["moment"] for s in samples.reshape(-1, *samples.shape[-2:])]
    pooled = {source: max(float(np.mean([part[source] for part in parts])), 0.0) for source in parts[0].index}
    return Spread(pooled["prompt"], pooled.get("noise", 0.0))


def study_spread(scores: pd.DataFrame, metric: str, model: str, split: str = "development") -> Spread:
    """The spread of every variant's differences from the baseline on one split, pooled.

    Raises ScoreError as `cells` does, and where there is one prompt.
    """
    samples = sample_array(differences(cells(scores, metric, model, split)))
    if samples.shape[1] < 2:
        raise ScoreError(f"one {split} prompt has no spread: add prompts to the study (sampling.{split})")
    return spread_of(samples)


def sample_array(table: pd.DataFrame) -> Array:
    """A table of `differences` as an array, (V, P, S)."""
    prompts = table.index.get_level_values("prompt").nunique()
    return table.to_numpy(float).T.reshape(table.shape[1], prompts, -1)
