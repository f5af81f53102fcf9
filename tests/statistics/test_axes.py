"""axes.py: each place of an axis is paired with the baseline or the last, prompt by prompt."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from caplora.report.sentences import copied_sentence, images_sentences, steps_sentences
from caplora.statistics.axes import axis_kinds, axis_table, enough_of, likeness_after
from caplora.statistics.effects import COLUMNS, Effect
from caplora.statistics.intervals import flip_test, sign_flips
from caplora.statistics.replication import COPIES, Copied, copied, overfits_from

ARMS = {10.0: "n10", 25.0: "n25", 50.0: "n50", 100.0: "all"}
KINDS = [("clip_score", "test"), ("identity", "test"), ("drift", "unrelated"), *COPIES]


def scores(gains: tuple[float, ...], noise: float = 0.05, prompts: int = 10) -> pd.DataFrame:
    rng, rows = np.random.default_rng(1), []
    levels = {"baseline": 0.0} | dict(zip(ARMS.values(), gains, strict=True))
    for (metric, split), p, s in product(KINDS, range(prompts), range(2)):
        for arm, level in levels.items():
            rows.append((arm, f"{split} {p}", s, split, metric, "m", 1 + p / 10 + level + noise * rng.normal()))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_every_metric_is_paired_with_the_baseline() -> None:
    raw = scores((0.1, 0.2, 0.3, 0.3))
    kinds = axis_kinds(raw, "test")
    assert kinds == KINDS
    for row in axis_table(raw, ARMS, kinds).to_dict("records"):
        own = raw[(raw["metric"] == row["metric"]) & (raw["split"] == row["split"])].pivot(
            index=["prompt", "seed"], columns="variant", values="value"
        )
        means = (own[ARMS[row["at"]]] - own["baseline"]).groupby("prompt").mean()
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


def captions(gains: dict[str, tuple[float, float]], noise: float = 0.05, count: int = 10) -> pd.DataFrame:
    """A table of replication: what each arm gains on captions of training images and of held-out ones."""
    rng, rows = np.random.default_rng(2), []
    for arm, levels in {"baseline": (0.0, 0.0), **gains}.items():
        for (metric, split), level in zip(COPIES, levels, strict=True):
            rows += [
                (arm, f"{split} {p}", 0, split, metric, "m", p / 10 + level + noise * rng.normal())
                for p in range(count)
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_what_is_copied_is_the_gain_on_training_images_beyond_that_on_held_out_ones() -> None:
    raw = captions({"n25": (0.3, 0.2), "all": (0.5, 0.2)})
    wide = raw.pivot(index=["split", "prompt"], columns="variant", values="value")
    for arm, reference in (("all", "baseline"), ("all", "n25")):
        gains = wide[arm] - wide[reference]
        test = stats.ttest_ind(gains["train"], gains["held_out"], equal_var=False)
        found = copied(raw, arm, reference)
        assert found and (found.n_train, found.n_held_out) == (10, 10)
        assert found.difference == pytest.approx(gains["train"].mean() - gains["held_out"].mean())
        assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval())) and found.p == test.pvalue
    assert copied(raw, "all", "all") is None and copied(raw, "n50") is None
    assert copied(raw[(raw["split"] == "train") | (raw["prompt"] == "held_out 0")], "all") is None


def changes(likeness: float, copies: float) -> tuple[dict[float, dict[float, Effect]], dict[float, Copied]]:
    """Step → what changes after it: of n10 and n25, where the last has so much more of both than n25."""
    raw = scores((0.1, 0.2, 0.2, 0.2 + likeness), noise=0.01).replace({"split": {"test": "development"}})
    asked = captions({"n10": (0.2, 0.2), "n25": (0.3, 0.2), "all": (0.3 + copies, 0.2)}, noise=0.01)
    before = {at: arm for at, arm in ARMS.items() if arm in ("n10", "n25")}
    later = {at: {to: likeness_after(raw, arm, ARMS[to]) for to in ARMS if to > at} for at, arm in before.items()}
    more = {at: copied(asked, "all", arm) for at, arm in before.items()}
    nearer = {at: {to: e for to, e in found.items() if e} for at, found in later.items()}
    return nearer, {at: c for at, c in more.items() if c}


@pytest.mark.parametrize(
    ("likeness", "copies", "start", "said"),
    [
        (-0.2, 0.2, 25, "From step 25 on it overfits"),  # from 10 on likeness rises before it falls
        (-0.02, 0.2, 25, "From step 25 on it overfits"),
        (0.3, 0.2, None, "It is not shown to overfit"),
        (-0.2, -0.2, None, "It is not shown to overfit"),
    ],
)
def test_training_overfits_from_where_it_copies_more_and_comes_no_nearer(
    likeness: float, copies: float, start: float | None, said: str
) -> None:
    nearer, more = changes(likeness, copies)
    assert nearer[25][100].metric == "identity" and nearer[25][100].difference == pytest.approx(likeness, abs=0.02)
    assert overfits_from(more, nearer) == start
    sentences = steps_sentences(ARMS, 25, "maximum", nearer, more)
    assert sentences[0].startswith("Of the steps 10, 25, 50, 100, 25 was chosen") and said in sentences[2]
    assert sentences[1].startswith("From step 25 to 100: identity") and "memorisation" in sentences[1]
    assert f"p {'<' if nearer[25][100].p < 0.001 else '='}" in sentences[1]


def test_overfitting_is_tested_over_all_steps_together() -> None:
    nearer, more = changes(-0.2, 0.2)
    weak = {at: replace(c, p=0.03) for at, c in more.items()}
    assert overfits_from({25.0: weak[25.0]}, nearer) == 25 and overfits_from(weak, nearer) is None


def test_without_captions_nothing_is_said_of_copying() -> None:
    nearer, more = changes(-0.2, 0.2)
    assert len(steps_sentences(ARMS, 25, "maximum", nearer, {})) == 2
    assert len(steps_sentences(ARMS, 25, "maximum", {}, {})) == 1  # nothing to compare with is not the last step
    assert "identity" not in steps_sentences(ARMS, 25, "maximum", {}, more)[1]
    raw = scores((0.1, 0.2, 0.3, 0.6)).replace({"split": {"test": "development"}})
    assert likeness_after(raw[raw["prompt"].isin(["test 0", "unrelated 0"])], "n25", "all") is None
    assert likeness_after(raw, "all", "all") is None
    assert steps_sentences(ARMS, 100, "maximum", nearer, more)[0].endswith("It is the last.")


def test_how_far_each_place_copies_is_said_with_its_interval_and_the_number_of_captions() -> None:
    found = copied(captions({"n25": (0.3, 0.2)}), "n25")
    assert found
    said = copied_sentence({"step 25": found})
    assert "of 10 training images and of 10 held-out ones" in said and f"by +{found.difference:.3f} (" in said
    assert f"+{found.low:.3f} to +{found.high:.3f}) for step 25" in said
