"""Scores → paired effects: all arms draw the same prompts from the same noise, so they are compared pair by pair.

The prompt is the unit. Samples of one prompt resemble each other, so they are averaged before anything is tested
(Miller, arXiv 2411.00640). A cell that is missing or not finite is an error, never averaged away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from caplora.statistics.intervals import (
    INNER,
    LEVEL,
    Array,
    bootstrap_interval,
    detectable_difference,
    equivalent,
    flip_test,
    interval,
    relative_interval,
    sign_flips,
)
from caplora.study import BASELINE, disk_errors_name

COLUMNS = ("variant", "prompt", "seed", "split", "metric", "model", "value")
CELL = ["variant", "prompt", "seed"]
EQUIVALENT = "is equivalent to"  # the verdict within the margin
METRICS = ("clip_score", "clip_cosine", "identity", "judge")  # what a study is judged by


class ScoreError(ValueError):
    """A table of scores that cannot be compared; the message names the cell and the way out."""


@dataclass(frozen=True)
class Effect:
    """What one adapter changes in one metric, paired with the baseline on the prompts of one split.

    `relative` (difference / baseline mean) and its interval are nan where the baseline cannot be told from zero.
    Where another arm is the reference, that arm is what stands in the baseline's place.
    """

    variant: str
    metric: str
    model: str
    split: str
    n_prompts: int
    n_seeds: int
    baseline: float  # mean over prompts, with its 95 % t interval, clustered by prompt
    baseline_low: float
    baseline_high: float
    adapter: float
    adapter_low: float
    adapter_high: float
    difference: float  # mean of D = adapter − baseline
    low: float  # 95 % t interval of the difference, clustered by prompt: what to judge by, for it is paired
    high: float
    inner_low: float  # 90 % t interval of the difference, clustered by prompt: what is held against the margin
    inner_high: float
    bootstrap_low: float  # 95 % percentile interval of the difference, over prompts and then seeds
    bootstrap_high: float
    relative: float
    relative_low: float  # 95 % interval of the ratio (Fieller 1954), above zero exactly when `low` is
    relative_high: float
    p: float  # two-sided sign-flip test on the prompt means
    p_corrected: float  # the same over all variants at once (max-T, Westfall and Young 1993)
    n_variants: int  # that the correction is over
    positive: float  # share of samples with D > 0
    detectable: float  # smallest true difference that 4 of 5 such studies would find
    margin: float  # of equivalence; nan where the study sets none
    verdict: str  # "beats", "falls short of", "is equivalent to" or "cannot be told from" the baseline (or reference)


def read_scores(path: Path, variants: Sequence[str] = (), whole: bool = True) -> pd.DataFrame:
    """The table that 04 left, of the baseline and `variants` only if any are given; raises ScoreError.

    Without the columns that say who scored unless it is `whole`: a million rows take a third of the memory then.
    """
    if not path.is_file():
        raise ScoreError(f"{path} does not exist: score the samples first (notebook 04)")
    own = None if whole else {*COLUMNS}.__contains__
    with disk_errors_name(path, "read"):
        scores = pd.read_csv(path, keep_default_na=False, na_values={"value": ["", "nan"]}, usecols=own)
    if not set(COLUMNS) <= set(scores):
        raise ScoreError(f"{path} must have the columns {', '.join(COLUMNS)}, got {list(scores)}")
    return scores[scores["variant"].isin([BASELINE, *variants])] if variants else scores


def primary_model(scores: pd.DataFrame) -> str:
    """The CLIP that comes first in the table, as it does in the study: its CLIPScore is the headline."""
    models = scores.loc[scores["metric"] == "clip_score", "model"]
    if models.empty:
        raise ScoreError("the scores hold no clip_score: score the samples again (notebook 04)")
    return str(models.iloc[0])


def cells(scores: pd.DataFrame, metric: str, model: str, split: str, reference: str = BASELINE) -> pd.DataFrame:
    """The values of one metric: a row per (prompt, seed), a column per arm, the reference first, no cell empty.

    Raises ScoreError naming the first cell that is missing, double or not finite, or what the table holds instead.
    """
    rows = scores[(scores["metric"] == metric) & (scores["model"] == model) & (scores["split"] == split)]
    if rows.empty:
        known = sorted(set(zip(scores["metric"], scores["model"], scores["split"], strict=True)))
        raise ScoreError(f"there is no {metric} by {model} on {split} prompts; the scores hold {known}")
    arms = list(dict.fromkeys([reference, *scores["variant"].unique()]))
    whole = pd.MultiIndex.from_product([arms, rows["prompt"].unique(), rows["seed"].unique()], names=CELL)
    _refuse(rows[rows.duplicated(CELL)], "stands twice: score the samples again (notebook 04)")
    absent = whole.difference(pd.MultiIndex.from_frame(rows[CELL]), sort=False).to_frame()
    absent[["metric", "model"]] = metric, model
    _refuse(absent, "is missing: sample and score it again (notebooks 03 and 04) or leave the variant out")
    _refuse(rows[~np.isfinite(rows["value"].astype(float))], "is not a number: sample and score it again")
    values = rows.set_index(CELL)["value"].astype(float).reindex(whole)
    return values.unstack(0, sort=False)[arms]


def _refuse(rows: pd.DataFrame, why: str) -> None:
    """Raises ScoreError naming the first of `rows`, if there is one, and how many follow."""
    if rows.empty:
        return
    row, more = rows.iloc[0], f", and {len(rows) - 1} more cells," if len(rows) > 1 else ""
    cell = f"{row['metric']} by {row['model']} of {row['variant']} for prompt {row['prompt']!r}, seed {row['seed']}"
    raise ScoreError(f"{cell}{more} {why}")


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """D = adapter − reference of a table of `cells`: a row per (prompt, seed), a column per variant."""
    return table.iloc[:, 1:].sub(table.iloc[:, 0], axis=0)


def prompt_means(table: pd.DataFrame) -> pd.DataFrame:
    """The mean over seeds: a row per prompt, in the order of the table, a column per arm."""
    return table.groupby(level="prompt", sort=False).mean()


def effects(
    scores: pd.DataFrame, metric: str, model: str, split: str, reference: str = BASELINE, margin: float | None = None
) -> list[Effect]:
    """The effect of every variant in the table, in its order; the correction is over exactly these variants.

    They are paired with the arm `reference`; a variant whose 90 % interval lies within ±`margin` is equivalent to it,
    whether or not the interval includes zero. Raises ScoreError as `cells` does, and when there are fewer than two
    prompts or no variant.
    """
    table = cells(scores, metric, model, split, reference)
    means = prompt_means(differences(table))
    if len(means) < 2 or means.shape[1] == 0:
        raise ScoreError(
            f"an interval clustered by prompt needs 2 prompts and 1 variant, got {len(means)} {split} prompts and "
            f"{means.shape[1]} variants: add prompts to the study (sampling.{split}) or train a variant (notebook 02)"
        )
    p, corrected = flip_test(means.to_numpy().T, sign_flips(len(means)))
    kind, samples, prompts = (metric, model, split), table.to_numpy().T, prompt_means(table).to_numpy().T
    return [
        _effect(
            str(variant),
            kind,
            samples[[0, i]],
            prompts[[0, i]],
            (float(p[i - 1]), float(corrected[i - 1])),
            len(p),
            margin,
        )
        for i, variant in enumerate(means, 1)
    ]


def _effect(
    variant: str,
    kind: tuple[str, str, str],
    samples: Array,
    prompts: Array,
    p: tuple[float, float],
    n_variants: int,
    margin: float | None,
) -> Effect:
    """The effect of the second row of `samples`, (2, P·S), and of its means `prompts`, (2, P), given its p-values."""
    (baseline, adapter), of_samples = prompts, samples[1] - samples[0]
    difference = adapter - baseline
    (b, b_low, b_high), (a, a_low, a_high), (d, low, high) = map(interval, (baseline, adapter, difference))
    bootstrap_low, bootstrap_high = bootstrap_interval(of_samples.reshape(len(difference), -1))
    _, inner_low, inner_high = interval(difference, INNER)
    relative, relative_low, relative_high = relative_interval(baseline, difference)
    return Effect(
        variant=variant, metric=kind[0], model=kind[1], split=kind[2],
        n_prompts=len(difference), n_seeds=len(of_samples) // len(difference),
        baseline=b, baseline_low=b_low, baseline_high=b_high,
        adapter=a, adapter_low=a_low, adapter_high=a_high,
        difference=d, low=low, high=high,
        inner_low=inner_low, inner_high=inner_high, bootstrap_low=bootstrap_low, bootstrap_high=bootstrap_high,
        relative=relative, relative_low=relative_low, relative_high=relative_high,
        p=p[0], p_corrected=p[1], n_variants=n_variants,
        positive=float((samples[1] > samples[0]).mean()),
        detectable=detectable_difference(difference),
        margin=np.nan if margin is None else margin,
        verdict=EQUIVALENT if equivalent(inner_low, inner_high, margin) else verdict(low, high, p[0]),
    )  # fmt: skip


def verdict(low: float, high: float, p: float) -> str:
    """What may be said of a variant and the baseline: a difference only if the interval and the test both show one."""
    if p > 1 - LEVEL or low <= 0 <= high:
        return "cannot be told from"
    return "beats" if low > 0 else "falls short of"


def effect_table(
    scores: pd.DataFrame,
    metrics: Sequence[str] = METRICS,
    reference: str = BASELINE,
    margins: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Every effect on these metrics that the scores hold: a row per (metric, model, split, variant), in their order.

    Every arm is paired with `reference`; `margins` has the margin of equivalence of a metric, as `claims.margin` of the
    study does. Its columns are the fields of `Effect`. Raises ScoreError as `effects` does.
    """
    rows, margins = scores[scores["metric"].isin(metrics)], margins or {}
    _refuse_strange(margins, list(rows["metric"].unique()))
    kinds = rows[["metric", "model", "split"]].drop_duplicates().itertuples(index=False, name=None)
    found = [effects(scores, m, model, split, reference, margins.get(m)) for m, model, split in kinds]
    table = [asdict(effect) for of_kind in found for effect in of_kind]
    return pd.DataFrame(table, columns=[f.name for f in fields(Effect)])


def _refuse_strange(margins: Mapping[str, float], metrics: Sequence[str]) -> None:
    """Raises ScoreError naming the first margin of a metric that was not scored."""
    for metric in margins:
        if metric not in metrics:
            raise ScoreError(
                f"claims.margin is given for {metric!r}, which was not scored: name one of {', '.join(metrics)}"
            )


def attribute_effects(scores: pd.DataFrame, variant: str) -> pd.DataFrame:
    """The effects of one variant on the single attributes of a judge, as `effect_table` has them.

    Of the test prompts; attributes that fewer than two of them name, and studies without a judge, have no rows.
    """
    rows = scores[scores["metric"].str.startswith("judge_") & (scores["split"] == "test")]
    rows = rows[rows["variant"].isin([BASELINE, variant])]
    named = rows.groupby("metric", sort=False)["prompt"].nunique()
    return effect_table(rows, list(named.index[named >= 2]))


Row = Mapping[Any, Any] | pd.Series
