"""How well a metric follows the judge: the rank correlation of their differences, over samples and over variants."""

from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from caplora.statistics.effects import ScoreError, cells, differences
from caplora.statistics.intervals import LEVEL, Array
from caplora.statistics.variance import sample_array

TRUTH = "judge"
# Of which more is better, as of the truth.
TRACKED = ("clip_score", "ref_clip_score", "clip_i", "identity", "face_similarity")
RESAMPLES = 2000
FEWEST = 3  # variants whose order says anything


@dataclass(frozen=True)
class Tracking:
    """Spearman's rank correlation of a metric's differences with the judge's, −1 … 1, each with a 95 % interval.

    `samples` is over every (variant, prompt, seed); `variants` over the variants' means, which is whether the metric
    puts them in the right order, and nan for fewer than three. Both are nan where one side does not differ at all. The
    intervals are bootstrap percentiles clustered by prompt; those of few variants are wide, and steps.
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
    resampled = np.random.default_rng(0).integers(0, pair.shape[2], (RESAMPLES, pair.shape[2]))
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
    drawn = np.moveaxis(pair[:, :, prompts], 2, 1)  # (2, B, V, P, S)
    of_samples = _spearman(drawn.reshape(*drawn.shape[:2], -1))
    if pair.shape[1] < FEWEST:
        return of_samples, np.full(len(prompts), np.nan)
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
