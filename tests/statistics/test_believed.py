"""believed.py: a metric made to follow one thing is believed for that alone, and an adapter's style fools nobody."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from caplora.statistics.believed import COLUMNS, agreement_table
from caplora.statistics.effects import COLUMNS as SCORES

WORDS = ("judge_hair", "judge_pose", "judge_clothes", "judge_lighting")


def study(key: int = 0, prompts: int = 16, seeds: int = 4) -> pd.DataFrame:
    """Samples that show each named thing 4 times in 5, and the style only by the adapter, which costs it other things.

    `follows` sees what is shown and a little noise, `arm` sees who drew it, `noise` nothing.
    """
    rng, rows = np.random.default_rng(key), []
    for arm, p, s in product(("baseline", "r4_a4"), range(prompts), range(seeds)):
        adapter = float(arm != "baseline")
        shown = {word: float(rng.random() < 0.8 - 0.3 * adapter) for word in WORDS} | {"judge_style": adapter}
        cell = (arm, f"test {p}", s, "test")
        mean = float(np.mean(list(shown.values())))
        made = {"follows": mean + rng.normal(0, 0.05), "arm": adapter + rng.normal(0, 0.1), "noise": rng.normal()}
        rows += [(*cell, metric, "a", value) for metric, value in made.items()]
        rows += [(*cell, metric, "eyes", value) for metric, value in {"judge": mean, **shown}.items()]
    return pd.DataFrame(rows, columns=list(SCORES))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return agreement_table(study()).set_index(["about", "pairs", "metric"]).sort_index()


def test_what_follows_the_truth_is_told_from_chance_in_both_kinds_of_pairs(table: pd.DataFrame) -> None:
    assert table.loc[("all", "seeds", "follows"), "low"] > 0.7
    assert table.loc[("all", "arms", "follows"), "low"] > 0.7


def test_what_sees_only_who_drew_it_follows_the_style_and_nothing_within_an_arm(table: pd.DataFrame) -> None:
    assert table.loc[("style", "arms", "arm"), "value"] == 1
    within = table.loc[("all", "seeds", "arm")]
    assert within["low"] < 0.5 < within["high"]
    assert table.loc[("rest", "arms", "arm"), "high"] < 0.5  # it prefers what shows less of the rest


def test_noise_is_not_told_from_chance(table: pd.DataFrame) -> None:
    noise = table.xs("noise", level="metric")
    assert ((noise["low"] < 0.5) & (noise["high"] > 0.5)).mean() > 0.7


def test_a_style_that_every_adapters_sample_has_is_said_to_come_with_the_arm(table: pd.DataFrame) -> None:
    assert (table.loc[("style", "arms"), "first"] == 1).all()
    assert "seeds" not in table.loc["style"].index.get_level_values("pairs")  # it never varies there


def test_pairs_are_counted_by_hand() -> None:
    scores = study(prompts=3, seeds=2)
    wide = scores[scores["metric"] == "judge"].pivot_table(index=["prompt", "seed"], columns="variant", values="value")
    told = wide["r4_a4"] - wide["baseline"]
    row = agreement_table(scores).set_index(["about", "pairs", "metric"]).loc[("all", "arms", "noise")]
    assert row["n"] == (told != 0).sum() and row["first"] == pytest.approx((told[told != 0] > 0).mean())


def test_a_metric_of_unrelated_prompts_alone_is_taken_there() -> None:
    scores = study()
    drift = scores[(scores["metric"] == "noise") & (scores["variant"] != "baseline")].assign(metric="drift")
    there = pd.concat([drift, scores[scores["metric"].str.startswith("judge")]]).assign(split="unrelated")
    found = agreement_table(pd.concat([scores, there], ignore_index=True))
    drifted = found[found["metric"] == "drift"]
    assert set(drifted["split"]) == {"unrelated"} and set(drifted["pairs"]) == {"seeds"}  # the baseline does not drift
    assert set(found.loc[found["metric"] != "drift", "split"]) == {"test"}


def test_without_a_style_there_is_one_truth_and_without_a_judge_none() -> None:
    scores = study()
    assert set(agreement_table(scores[scores["metric"] != "judge_style"])["about"]) == {"all"}
    blind = agreement_table(scores[~scores["metric"].str.startswith("judge")])
    assert len(blind) == 0 and tuple(blind.columns) == COLUMNS
