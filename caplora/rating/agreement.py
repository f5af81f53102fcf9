"""Answers and scores → how well each metric agrees with people about pairs of pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from caplora.rating.clustered import Array
from caplora.rating.preferences import CELL, compared
from caplora.statistics import LEVEL
from caplora.study import METRICS

RESAMPLES = 2000
LEFT_OUT = ("drift", "diversity", "clip_cosine")  # of two arms, of several samples, and CLIPScore again
COLUMNS = (
    "question", "metric", "model", "n", "n_prompts", "auc", "low", "high", "within", "within_low", "within_high",
)  # fmt: skip


def agreement_table(answers: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Of every metric, whether its difference between two pictures says which one people prefer: `COLUMNS`, 0 … 1.

    `auc` is the chance that the difference towards a preferred picture and that towards another one, drawn by chance,
    sum to more than none: 1 where the metric always puts the preferred picture first, 0.5 where it knows nothing. All
    that tells two arms apart raises it, so `within` asks the harder question: among pairs of the same two arms, whether
    the difference is larger where people prefer the arm than where they prefer the reference. nan where people always
    prefer one. Differences count in the direction that is better. 95 % bootstrap intervals, clustered by prompt.
    """
    pairs = compared(answers)
    pairs = pairs[pairs["value"] != 0.5]
    rows = []
    for question, own in pairs.groupby("question", sort=False):
        for (metric, model), values in _per_sample(scores).groupby(["metric", "model"], sort=False):
            joined = own.assign(gain=_gains(own, values, str(metric))).dropna(subset="gain")
            if joined["prompt"].nunique() > 1 and joined["gain"].any():
                sizes = len(joined), joined["prompt"].nunique()
                rows.append((question, metric, model, *sizes, *_areas(joined)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _per_sample(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of metrics that more or less of is better; single attributes of a judge are none."""
    known = [metric for metric, said in METRICS.items() if said.better and metric not in LEFT_OUT]
    return scores[scores["metric"].isin(known)]


def _gains(pairs: pd.DataFrame, values: pd.DataFrame, metric: str) -> Array:
    """How much better the arm's picture is than the reference's by a metric, a number for each row of pairs."""
    of = values.set_index(["variant", *CELL])["value"].astype(float)
    sides = [of.reindex(pd.MultiIndex.from_frame(pairs[[side, *CELL]])).to_numpy() for side in ("arm", "reference")]
    return (sides[0] - sides[1]) * (-1 if METRICS[metric].better == "less" else 1)


def _areas(pairs: pd.DataFrame) -> Sequence[float]:
    """auc and within with their intervals."""
    prompts = pd.factorize(pairs["prompt"])[0]
    arms = pd.factorize(pairs["reference"] + "\n" + pairs["arm"])[0]
    gain, won = pairs["gain"].to_numpy(), pairs["value"].to_numpy() == 1
    towards = np.where(won, gain, -gain)
    everyone = np.ones(len(gain), bool)
    auc = _bilinear(_above(towards, -towards), everyone, everyone, prompts)
    same = arms[:, None] == arms[None]
    within = _bilinear(np.where(same, _above(gain, gain), 0.0), won, ~won, prompts, same)
    return [*auc, *within]


def _above(x: Array, y: Array) -> Array:
    """1 where x > y, 0.5 where they are equal, of every x with every y."""
    return (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])


def _bilinear(kernel: Array, first: Any, second: Any, prompts: Any, counted: Any = None) -> tuple[float, float, float]:
    """The mean of `kernel` over pairs of rows of `first` and `second`, with its interval over resampled prompts."""
    count = prompts.max() + 1
    one = np.eye(count)[prompts]  # (n, P)
    chosen = np.outer(first, second).astype(float) * (1 if counted is None else counted)
    sums, sizes = one.T @ (kernel * chosen) @ one, one.T @ chosen @ one
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)
    weights = np.vstack([np.ones(count), drawn])
    over, under = (np.einsum("bp,pq,bq->b", weights, part, weights, optimize=True) for part in (sums, sizes))
    found = np.divide(over, under, out=np.full(len(over), np.nan), where=under > 0)
    if not np.isfinite(found[0]):
        return np.nan, np.nan, np.nan
    low, high = np.nanquantile(found[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(found[0]), float(low), float(high)
