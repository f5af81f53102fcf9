"""A metric that is the truth tracks it by 1, noise by 0, its opposite by −1; intervals know that prompts cluster."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from caplora.statistics import agreement
from caplora.statistics.agreement import correlations, tracking, tracking_table
from caplora.statistics.effects import COLUMNS, ScoreError

ARMS = ("baseline", "r4_a4", "r4_a8", "r8_a8")


def study(
    noise: float, sign: float = 1.0, prompts: int = 10, arms: tuple[str, ...] = ARMS, key: int = 0
) -> pd.DataFrame:
    """Scores in which CLIPScore is the judge's verdict, times `sign`, and so much noise."""
    rng = np.random.default_rng(key)
    rows = []
    for (v, arm), p, s in product(enumerate(arms), range(prompts), range(3)):
        truth = rng.normal(0.1 * v, 0.2)
        cell = (arm, f"test {p}", s, "test")
        rows += [(*cell, "clip_score", "a", sign * truth + rng.normal(0, noise)), (*cell, "judge", "eyes", truth)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_metric_that_is_the_truth_tracks_it_perfectly() -> None:
    found = tracking(study(0.0), "clip_score", "a")
    assert (found.samples, found.samples_low, found.samples_high, found.variants) == pytest.approx((1, 1, 1, 1))
    assert (found.n_variants, found.n_prompts, found.n_seeds) == (3, 10, 3)


def test_metric_that_is_the_opposite_of_the_truth_tracks_it_by_minus_one() -> None:
    found = tracking(study(0.0, sign=-1.0), "clip_score", "a")
    assert (found.samples, found.variants) == pytest.approx((-1, -1))


def test_only_the_order_counts() -> None:
    table = study(0.1)
    wide = table.pivot_table(index=["prompt", "seed"], columns=["metric", "variant"], values="value")
    base = wide["clip_score"]["baseline"]
    cubed = table.copy()
    hit = (table["metric"] == "clip_score").to_numpy()
    shift = table.join(base.rename("base"), on=["prompt", "seed"])["base"]
    cubed.loc[hit, "value"] = (shift + (table["value"] - shift) ** 3)[hit]
    assert tracking(cubed, "clip_score", "a").samples == pytest.approx(tracking(table, "clip_score", "a").samples)


def test_correlations_are_those_of_scipy() -> None:
    table = study(0.2)
    table["value"] = table["value"].round(1)  # ties
    wide = table.pivot_table(index=["prompt", "seed"], columns=["metric", "variant"], values="value")
    metric, truth = (wide[m].iloc[:, 1:].sub(wide[m]["baseline"], axis=0) for m in ("clip_score", "judge"))
    found = tracking(table, "clip_score", "a")
    assert found.samples == pytest.approx(stats.spearmanr(metric.to_numpy().ravel(), truth.to_numpy().ravel())[0])
    assert found.variants == pytest.approx(stats.spearmanr(metric.mean(), truth.mean())[0])


def test_noise_tracks_nothing_and_its_interval_says_so() -> None:
    """Of 60 studies with 12 prompts, in nearly all: the percentile interval of so few prompts is a little narrow."""
    inside = []
    for key in range(60):
        table = study(0.3, sign=0.0, prompts=12, key=key)
        found = tracking(table, "clip_score", "a")
        inside.append(found.samples_low <= 0 <= found.samples_high)
    assert np.mean(inside) >= 0.85


def test_interval_is_wider_than_if_samples_of_a_prompt_were_independent() -> None:
    rng = np.random.default_rng(1)
    truth, metric = np.broadcast_to(rng.normal(size=(2, 1, 12, 1)), (2, 3, 12, 8)) + rng.normal(0, 0.1, (2, 3, 12, 8))
    by_prompt = correlations(np.stack([metric, truth]), rng.integers(0, 12, (1000, 12)))[0]
    flat = np.stack([metric, truth]).reshape(2, 1, -1, 1)
    by_sample = correlations(flat, rng.integers(0, 288, (1000, 288)))[0]
    assert np.std(by_prompt) > 2 * np.std(by_sample)


def test_two_variants_have_no_order_to_speak_of() -> None:
    found = tracking(study(0.0, arms=ARMS[:3]), "clip_score", "a")
    assert found.samples == pytest.approx(1) and np.isnan([found.variants, found.variants_low]).all()


def test_metric_that_never_changes_tracks_nothing() -> None:
    table = study(0.1)
    table.loc[table["metric"] == "clip_score", "value"] = 0.5
    found = tracking(table, "clip_score", "a")
    assert np.isnan([found.samples, found.samples_low, found.variants, found.variants_high]).all()


def test_prompts_that_the_judge_knows_nothing_of_are_left_out() -> None:
    table = study(0.1)
    fewer = table[(table["metric"] != "judge") | ~table["prompt"].isin(["test 3", "test 7"])]
    found = tracking(fewer, "clip_score", "a")
    assert found.n_prompts == 8
    same = tracking(table[~table["prompt"].isin(["test 3", "test 7"])], "clip_score", "a")
    assert found == same


def test_without_a_judge_the_truth_is_not_known() -> None:
    table = study(0.1)
    blind = table[table["metric"] != "judge"]
    with pytest.raises(ScoreError, match=r"no judge.*scoring\.judge"):
        tracking(blind, "clip_score", "a")
    assert len(tracking_table(blind)) == 0


def test_table_has_a_row_for_each_metric_and_model_but_the_judge() -> None:
    table = study(0.1)
    other = table[table["metric"] == "clip_score"].assign(model="b")
    found = tracking_table(pd.concat([table, other]))
    assert found[["metric", "model"]].to_numpy().tolist() == [["clip_score", "a"], ["clip_score", "b"]]
    assert found["samples"].nunique() == 1


def test_resamples_a_few_at_a_time_correlate_as_all_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    pair, drawn = rng.normal(size=(2, 4, 6, 3)), rng.integers(0, 6, (50, 6))
    whole = correlations(pair, drawn)
    monkeypatch.setattr(agreement, "CELLS", 500)
    for some, every in zip(correlations(pair, drawn), whole, strict=True):
        np.testing.assert_array_equal(some, every)
