"""How well a metric follows the judge, or people: rank correlations of differences, and AUCs of pairs of pictures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from caplora.statistics.effects import ScoreError, cells, differences
from caplora.statistics.intervals import LEVEL, Array, t_quantile
from caplora.statistics.variance import sample_array

TRUTH = "judge"
# Of which more is better, as of the truth.
TRACKED = ("clip_score", "ref_clip_score", "clip_i", "identity", "face_similarity", "pick_score", "vqa", "quality")
RESAMPLES, FEWEST_RESAMPLES = 2000, 200
CELLS, MOST = 10_000_000, 50_000_000  # resamples × samples in memory at once, and in all
FEWEST = 3  # variants whose order says anything


class Auc(NamedTuple):
    """How well a number tells which picture of a pair is preferred: 0.5 not at all, 1 always, 0 always the other."""

    value: float
    low: float  # 95 %, clustered by prompt
    high: float
    n: int  # pairs in which one of the two is preferred
    n_prompts: int  # that they are of


def auc(differences: Array, preferred: Array, prompts: Sequence[str]) -> Auc:
    """The AUC of a metric's difference, first picture − second, for which of each pair is preferred; (n,) each.

    `preferred` is above 0 where it is the first, below 0 where the second, by the truth or by a person; 0, neither, is
    left out. Which picture is called first is a coin's toss, so each pair counts in both orders: with a = difference ×
    sign of `preferred`, the AUC is the share of pairs of pairs with aᵢ + aⱼ > 0, ties half (Bamber 1975 on a and −a).

    The interval leaves out one prompt at a time and is a t interval on the logit (Obuchowski 1997 clusters likewise);
    of an AUC of 0 or 1, which has no spread, it is that of Clopper and Pearson for as many prompts. All is nan where
    nothing is preferred, the interval with a single prompt.
    """
    there = np.asarray(preferred) != 0
    agreeing = np.asarray(differences, float)[there] * np.sign(np.asarray(preferred)[there])
    names, of_pair = np.unique(np.asarray(prompts)[there], return_inverse=True)
    if not len(names):
        return Auc(np.nan, np.nan, np.nan, 0, 0)
    of_prompt = [np.sort(agreeing[of_pair == i]) for i in range(len(names))]
    wins = np.array([[_wins(one, other) for other in of_prompt] for one in of_prompt])  # (P, P)
    sizes = np.bincount(of_pair).astype(float)
    value = float(wins.sum() / sizes.sum() ** 2)
    return Auc(value, *_auc_interval(value, wins, sizes), len(agreeing), len(names))


def _wins(one: Array, other: Array) -> float:
    """Of how many pairs of sorted numbers the sum is above zero, where it is zero half."""
    below, up_to = (np.searchsorted(other, -one, side) for side in ("left", "right"))
    return float((len(other) - (below + up_to) / 2).sum())


def _auc_interval(value: float, wins: Array, sizes: Array) -> tuple[float, float]:
    """The 95 % interval of an AUC from the wins between prompts, (P, P), and how many pairs each prompt has, (P,)."""
    P = len(sizes)
    if P < 2:
        return np.nan, np.nan
    if value in (0, 1):
        bound = float(((1 - LEVEL) / 2) ** (1 / P))
        return (bound, 1.0) if value else (0.0, 1 - bound)
    without = wins.sum() - 2 * wins.sum(1) + wins.diagonal()  # aᵢ + aⱼ is symmetric, so wins are
    left = without / (sizes.sum() - sizes) ** 2
    error = np.sqrt((P - 1) / P * ((left - left.mean()) ** 2).sum()) / (value * (1 - value))
    low, high = special.expit(special.logit(value) + t_quantile(LEVEL, P - 1) * error * np.array([-1, 1]))
    return float(low), float(high)


@dataclass(frozen=True)
class Tracking:
    """Spearman's rank correlation of a metric's differences with the judge's, −1 … 1, each with a 95 % interval.

    `samples` is over every (variant, prompt, seed); `variants` over the variants' means, which is whether the metric
    puts them in the right order, and nan for fewer than three. Both are nan where one side does not differ at all. The
    intervals are bootstrap percentiles clustered by prompt; those of few variants are wide, and steps. There are 2000
    resamples, or fewer where hundreds of variants have thousands of samples.
    """

    metric: str
    model: str
    split: str
    n_variants: int
    n_prompts: int  # that the judge knows anything of
    n_seeds: int
    samples: float
    samples_low: float
    samples_high: float
    variants: float
    variants_low: float
    variants_high: float


def tracking(scores: pd.DataFrame, metric: str, model: str, split: str = "test") -> Tracking:
    """How well one metric tracks the judge on one split; raises ScoreError as `cells` does, or without a judge."""
    judges = scores.loc[scores["metric"] == TRUTH, "model"]
    if judges.empty:
        raise ScoreError("the scores hold no judge, so the truth is not known: set scoring.judge, and score again (04)")
    truth = differences(cells(scores, TRUTH, str(judges.iloc[0]), split))
    found = differences(cells(scores, metric, model, split)).loc[truth.index, truth.columns]
    pair = np.stack([sample_array(found), sample_array(truth)])  # (2, V, P, S)
    of_samples, of_variants = correlations(pair, np.arange(pair.shape[2])[None])
    resamples = min(RESAMPLES, max(FEWEST_RESAMPLES, MOST // pair[0].size))
    resampled = np.random.default_rng(0).integers(0, pair.shape[2], (resamples, pair.shape[2]))
    intervals = [_percentiles(drawn) for drawn in correlations(pair, resampled)]
    variants, prompts, seeds = pair.shape[1:]
    return Tracking(
        metric, model, split, variants, prompts, seeds,
        float(of_samples[0]), *intervals[0], float(of_variants[0]), *intervals[1],
    )  # fmt: skip


def tracking_table(scores: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """`tracking` of every metric and model that the scores hold beside the judge: a row each; none without a judge."""
    rows = scores[scores["metric"].isin(TRACKED) & (scores["split"] == split)]
    judged = (scores["metric"] == TRUTH).any()
    kinds = rows[["metric", "model"]].drop_duplicates().itertuples(index=False, name=None) if judged else ()
    found = [asdict(tracking(scores, metric, model, split)) for metric, model in kinds]
    return pd.DataFrame(found, columns=[f.name for f in fields(Tracking)])


def correlations(pair: Array, prompts: NDArray[np.integer]) -> tuple[Array, Array]:
    """Rank correlations of two (V, P, S) over samples and over variants, (B,) each, by sets of `prompts`, (B, P)."""
    parts = np.array_split(prompts, max(1, -(-len(prompts) * pair[0].size // CELLS)))
    found = [_correlated(np.moveaxis(pair[:, :, some], 2, 1)) for some in parts]  # (2, some of B, V, P, S)
    of_samples, of_variants = (np.concatenate(each) for each in zip(*found, strict=True))
    return of_samples, of_variants


def _correlated(drawn: Array) -> tuple[Array, Array]:
    """The same of two (B, V, P, S), one for each set of prompts."""
    of_samples = _spearman(drawn.reshape(*drawn.shape[:2], -1))
    if drawn.shape[2] < FEWEST:
        return of_samples, np.full(drawn.shape[1], np.nan)
    return of_samples, _spearman(drawn.mean((3, 4)))


def _spearman(pair: Array) -> Array:
    """Spearman's ρ along the last axis of two (B, n), ties sharing their mean rank; nan where one does not vary."""
    ranks = stats.rankdata(pair, axis=-1)
    x, y = ranks - ranks.mean(-1, keepdims=True)
    size = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return np.divide((x * y).sum(-1), size, out=np.full(len(size), np.nan), where=size > 0)


def _percentiles(drawn: Array) -> tuple[float, float]:
    """The 95 % percentile interval of the resamples in which there is a correlation; nan where there is none."""
    there = drawn[np.isfinite(drawn)]
    if not len(there):
        return np.nan, np.nan
    low, high = np.quantile(there, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
