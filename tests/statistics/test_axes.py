"""axes.py: each place of an axis is paired with the baseline or the last, prompt by prompt."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from caplora.report.sentences import images_sentences, steps_sentences
from caplora.statistics.axes import axis_kinds, axis_table, change_after, enough_of
from caplora.statistics.effects import COLUMNS
from caplora.statistics.intervals import flip_test, sign_flips

ARMS = {10.0: "n10", 25.0: "n25", 50.0: "n50", 100.0: "all"}
KINDS = (("clip_score", "test"), ("identity", "test"), ("memorisation_excess", "test"), ("drift", "unrelated"))


def scores(gains: tuple[float, ...], noise: float = 0.05, prompts: int = 10) -> pd.DataFrame:
    rng, rows = np.random.default_rng(1), []
    levels = {"baseline": 0.0} | dict(zip(ARMS.values(), gains, strict=True))
    for (metric, split), p, s in product(KINDS, range(prompts), range(2)):
        for arm, level in levels.items():
            rows.append((arm, f"{split} {p}", s, split, metric, "m", 1 + p / 10 + level + noise * rng.normal()))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_every_metric_is_paired_with_the_baseline_but_memorisation() -> None:
    raw = scores((0.1, 0.2, 0.3, 0.3))
    kinds = axis_kinds(raw, "test")
    assert kinds == dict(KINDS)
    for row in axis_table(raw, ARMS, kinds).to_dict("records"):
        own = raw[raw["metric"] == row["metric"]].pivot(index=["prompt", "seed"], columns="variant", values="value")
        zero = 0.0 if row["metric"] == "memorisation_excess" else own["baseline"]
        means = (own[ARMS[row["at"]]] - zero).groupby("prompt").mean()
        assert row["mean"] == pytest.approx(means.mean()) and (row["n_prompts"], row["n_seeds"]) == (10, 2)
        assert (row["low"], row["high"]) == pytest.approx(stats.t.interval(0.95, 9, means.mean(), stats.sem(means)))


@pytest.mark.parametrize(
    ("gains", "short", "enough", "said"),
    [
        ((0.1, 0.5, 0.5, 0.5), [10], 25, "stopped helping at 25"),
        ((0.1, 0.2, 0.5, 0.5), [10, 25], 50, "stopped helping at 50"),
        ((0.1, 0.2, 0.3, 0.5), [10, 25, 50], None, "helped up to all 100"),
        ((0.9, 0.5, 0.5, 0.5), [], 10, "more than 10 images did not help: 10 do better than 100, 25 cannot be told"),
        ((0.5, 0.5, 0.5, 0.5), [], 10, "it cannot be told whether more than 10 images helped"),
    ],
)
def test_enough_is_the_first_place_behind_all_that_fall_short_of_the_last(
    gains: tuple[float, ...], short: list[float], enough: float | None, said: str
) -> None:
    raw = scores(gains, noise=0.02)
    found = enough_of(raw, {"all": ARMS}, "clip_score", "m")["all"]
    assert (found.short, found.enough) == (short, enough)
    own = raw[raw["metric"] == "clip_score"].groupby(["prompt", "variant"])["value"].mean().unstack()
    means = np.array([own[ARMS[at]] - own["all"] for at in found.effects])
    _, corrected = flip_test(means, sign_flips(10))
    assert [e.p_corrected for e in found.effects.values()] == pytest.approx(corrected)
    sentences = images_sentences({"clip_score": {"all": found}})
    assert said in sentences[0] and sentences[1].count(" images ") == 3 and "one draw of images" in sentences[2]


def test_of_several_variants_each_is_paired_with_its_own_last_and_p_is_corrected_over_all() -> None:
    raw = scores((0.1, 0.2, 0.3, 0.5), noise=0.1)
    axes = {"n25": {10.0: "n10", 100.0: "n25"}, "all": {50.0: "n50", 100.0: "all"}}
    found = enough_of(raw, axes, "clip_score", "m")
    own = raw[raw["metric"] == "clip_score"].groupby(["prompt", "variant"])["value"].mean().unstack()
    p, corrected = flip_test(np.array([own["n10"] - own["n25"], own["n50"] - own["all"]]), sign_flips(10))
    effects = [found["n25"].effects[10], found["all"].effects[50]]
    assert [e.p_corrected for e in effects] == pytest.approx(corrected) and [e.p for e in effects] == pytest.approx(p)
    assert effects[0].difference == pytest.approx((own["n10"] - own["n25"]).mean())
    said = images_sentences({"clip_score": found})
    assert "CLIPScore of n25" in said[0] and "CLIPScore of all" in said[2] and "all 2 variants together" in said[4]


def test_training_that_goes_on_to_copy_is_said_to_overfit() -> None:
    raw = scores((0.1, 0.2, 0.3, 0.6), noise=0.01).replace({"split": {"test": "development"}})
    raw.loc[(raw["metric"] == "identity") & (raw["variant"] == "all"), "value"] -= 0.5
    later = change_after(raw, "n25", "all")
    assert list(later) == ["identity", "memorisation_excess"]
    assert later["memorisation_excess"].difference == pytest.approx(0.4, abs=0.02)
    said = steps_sentences(ARMS, 25, "maximum", later)
    assert said[0].startswith("Of the steps 10, 25, 50, 100, 25 was chosen") and "So it overfits" in said[2]
    assert steps_sentences(ARMS, 25, "maximum", {"identity": later["identity"]})[-1] != said[2]
    assert steps_sentences(ARMS, 25, "maximum", {}) == said[:1]  # nothing to compare with is not the last step
    one = raw[raw["prompt"].isin(["test 0", "unrelated 0"])]
    assert change_after(one, "n25", "all") == {}
    assert steps_sentences(ARMS, 100, "maximum", change_after(raw, "all", "all"))[0].endswith("It is the last.")
