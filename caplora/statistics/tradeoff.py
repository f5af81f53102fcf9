"""Scores → what a variant gains in alignment and fidelity against how far it drifts: bootstrap means, and a front.

Prompts are drawn with replacement, the same ones for every arm and both metrics, so that what arms share cancels. This
file draws nothing.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray as Array
from scipy import stats

from caplora.statistics.effects import cells, primary_model, prompt_means
from caplora.statistics.intervals import LEVEL
from caplora.study import BASELINE

BOOTSTRAP_MEANS = 10_000
COLUMNS = (
    "variant", "split", "n_prompts", "n_seeds", "metric", "alignment_by", "fidelity_by",
    "alignment", "fidelity", "var_alignment", "var_fidelity", "covariance", "front",
    "drift", "var_drift", "n_drift", "front_drift",
)  # fmt: skip


def bootstrap_means(
    prompts: Float[Array, "metrics arms prompts"], resamples: int = BOOTSTRAP_MEANS, seed: int = 0
) -> Float[Array, "resamples metrics arms"]:
    """The means of prompts drawn with replacement, the same prompts for every metric and arm in a resample."""
    count = prompts.shape[-1]
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.einsum("map,rp->rma", prompts, drawn / count)


def pareto_front(points: Float[Array, "arms metrics"]) -> Bool[Array, " arms"]:
    """Whether no other point is at least as large in every metric and larger in one; a point with a nan is not."""
    beaten = [bool(((points >= point).all(-1) & (points > point).any(-1)).any()) for point in points]
    return ~np.array(beaten, bool) & np.isfinite(points).all(1)


def ellipse(covariance: Float[Array, "2 2"], level: float = LEVEL) -> tuple[float, float, float]:
    """Width, height and angle (degrees) of the ellipse that holds a share `level` of a normal with this covariance."""
    squares, axes = np.linalg.eigh(covariance)
    width, height = 2 * np.sqrt(np.clip(squares, 0, None) * stats.chi2.ppf(level, 2))
    return float(width), float(height), float(np.degrees(np.arctan2(axes[1, 0], axes[0, 0])))


def fidelity_metrics(scores: pd.DataFrame) -> list[str]:
    """What fidelity to the held-out portraits can be read from, the best first: the face, identity, CLIP-I; or none."""
    return [metric for metric in ("face_similarity", "identity", "clip_i") if (scores["metric"] == metric).any()]


def model_of(scores: pd.DataFrame, metric: str) -> str:
    """The model that comes first in the table for a metric."""
    return str(scores.loc[scores["metric"] == metric, "model"].iloc[0])


def tradeoff_table(scores: pd.DataFrame, fidelity: str = "identity", split: str = "test") -> pd.DataFrame:
    """A row per arm, the baseline first, all as differences from it: `COLUMNS`.

    `alignment` is CLIPScore by the primary model and `fidelity` the metric of that name, on the prompts of `split`,
    with the variances and covariance of their bootstrap means; `drift` is over the unrelated prompts, which are drawn
    by themselves, and nan where there are none. `front`: no other arm is as good in both; `front_drift`: the same of
    alignment and drift. Raises ScoreError as `cells` does.
    """
    kinds = [("clip_score", primary_model(scores)), (fidelity, model_of(scores, fidelity))]
    tables = [cells(scores, metric, model, split) for metric, model in kinds]
    prompts = np.stack([_paired(table) for table in tables])  # metrics × arms × prompts
    drawn, means = bootstrap_means(prompts), prompts.mean(-1)
    rows = pd.DataFrame({"variant": list(tables[0].columns), "n_prompts": prompts.shape[-1]})
    rows["n_seeds"], rows["split"], rows["metric"] = len(tables[0]) // prompts.shape[-1], split, fidelity
    rows["alignment_by"], rows["fidelity_by"] = (model for _, model in kinds)
    rows["alignment"], rows["fidelity"] = means
    rows["var_alignment"], rows["var_fidelity"] = drawn.var(0)
    rows["covariance"] = (drawn - drawn.mean(0)).prod(1).mean(0)
    rows["front"] = pareto_front(means.T)
    rows = rows.join(_drift(scores, list(rows["variant"])))
    rows["front_drift"] = pareto_front(rows[["alignment", "drift"]].to_numpy() * [1, -1])
    return rows[list(COLUMNS)]


def _paired(table: pd.DataFrame) -> Float[Array, "arms prompts"]:
    """The prompt means of each arm of a table of `cells`, minus the baseline's."""
    means = prompt_means(table)
    return means.sub(means[BASELINE], axis=0).to_numpy().T


def _drift(scores: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Mean drift of each arm, the variance of its bootstrap means, and the number of prompts."""
    if not (scores["metric"] == "drift").any():
        return pd.DataFrame({"drift": [np.nan] * len(arms), "var_drift": np.nan, "n_drift": 0})
    prompts = _paired(cells(scores, "drift", model_of(scores, "drift"), "unrelated"))[None]
    drawn = bootstrap_means(prompts)[:, 0]
    return pd.DataFrame({"drift": prompts[0].mean(-1), "var_drift": drawn.var(0), "n_drift": prompts.shape[-1]})
