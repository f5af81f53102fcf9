"""Effects are what scipy, brute force and simulation say they are; what cannot be compared is named."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from caplora.statistics import intervals
from caplora.statistics.effects import (
    COLUMNS,
    ScoreError,
    attribute_effects,
    cells,
    effect_table,
    effects,
    primary_model,
    read_scores,
    verdict,
)
from caplora.statistics.intervals import (
    INNER,
    bootstrap_interval,
    detectable_difference,
    equivalent,
    flip_test,
    interval,
    relative_interval,
    sign_flips,
)

GAINS = {"baseline": 0.0, "r4_a4": 0.02, "r4_a8": 0.05, "r8_a8": 0.03}


def rows(
    gains: dict[str, float],
    prompts: int = 8,
    seeds: int = 4,
    metric: str = "clip_score",
    split: str = "test",
    key: int = 0,
) -> pd.DataFrame:
    """A table of scores: prompts differ in level and in gain, samples in noise that the arms share in part."""
    rng = np.random.default_rng(0)
    level, gain = rng.normal(0.6, 0.08, prompts), rng.normal(0, 0.01, prompts)
    found = []
    for p, s in product(range(prompts), range(seeds)):
        shared = rng.normal(0, 0.03)
        for arm, more in gains.items():
            value = level[p] + shared + (arm != "baseline") * (more + gain[p] + rng.normal(0, 0.01))
            found.append((arm, f"{split} prompt {p}", s, split, metric, "clip_a", value))
    return pd.DataFrame(found, columns=list(COLUMNS))


def null_studies(studies: int, prompts: int, seeds: int, key: int) -> np.ndarray:
    """Differences without an effect, (studies, P, S), half of their variance between prompts."""
    rng = np.random.default_rng(key)
    return rng.normal(size=(studies, prompts, 1)) + rng.normal(size=(studies, prompts, seeds))


def test_the_interval_is_that_of_a_t_test_on_prompt_means() -> None:
    table = rows(GAINS)
    wide = table.pivot_table(index="prompt", columns="variant", values="value", aggfunc="mean")
    for effect in effects(table, "clip_score", "clip_a", "test"):
        paired = stats.ttest_rel(wide[effect.variant], wide["baseline"])
        known = paired.confidence_interval(0.95)
        assert (effect.low, effect.high) == pytest.approx((known.low, known.high), rel=1e-12)
        assert effect.difference == pytest.approx((wide[effect.variant] - wide["baseline"]).mean(), rel=1e-12)
        level = stats.ttest_1samp(wide[effect.variant], 0).confidence_interval(0.95)
        assert (effect.adapter_low, effect.adapter_high) == pytest.approx((level.low, level.high), rel=1e-12)
        assert (effect.n_prompts, effect.n_seeds) == (8, 4)


def test_more_copies_of_the_same_samples_are_no_more_evidence() -> None:
    table = rows(GAINS)
    copies = pd.concat([table.assign(seed=table["seed"] + 100 * i) for i in range(5)])
    once, often = (effects(t, "clip_score", "clip_a", "test")[0] for t in (table, copies))
    assert (often.low, often.high, often.p) == pytest.approx((once.low, once.high, once.p))


def test_the_order_of_the_rows_changes_nothing() -> None:
    table = rows(GAINS)
    shuffled = pd.concat([table[table["variant"] == v].sample(frac=1, random_state=1) for v in GAINS])
    known = {e.variant: (e.low, e.p, e.p_corrected) for e in effects(table, "clip_score", "clip_a", "test")}
    found = {e.variant: (e.low, e.p, e.p_corrected) for e in effects(shuffled, "clip_score", "clip_a", "test")}
    assert found == {k: pytest.approx(v) for k, v in known.items()}


@pytest.mark.parametrize("prompts", [2, 3, 7])
def test_the_exact_flip_test_is_brute_force(prompts: int) -> None:
    """Whole numbers, so that ties are ties."""
    means = np.random.default_rng(prompts).integers(-3, 6, (4, prompts))
    p, _ = flip_test(means.astype(float), sign_flips(prompts))
    for row, found in zip(means, p, strict=True):
        flipped = [
            abs(sum(s * d for s, d in zip(signs, row, strict=True))) for signs in product((1, -1), repeat=prompts)
        ]
        assert found == sum(f >= abs(sum(row)) for f in flipped) / 2**prompts


def test_drawn_flips_agree_with_all_flips() -> None:
    means = np.random.default_rng(5).normal(0.35, 1, (3, 17))
    everything = 1.0 - 2.0 * ((np.arange(2**17)[:, None] >> np.arange(17)) & 1)
    drawn, known = flip_test(means, sign_flips(17))[0], flip_test(means, everything)[0]
    assert sign_flips(17).shape == (20_001, 17)
    assert drawn == pytest.approx(known, abs=4 * 0.5 / np.sqrt(20_000))


def test_drawn_flips_count_the_study_itself_and_are_the_same_each_time() -> None:
    p, _ = flip_test(np.ones((1, 40)), sign_flips(40))  # no flip of 40 equal signs will be drawn
    assert p[0] == 1 / 20_001
    assert (sign_flips(40) == sign_flips(40)).all()


def test_the_correction_over_one_variant_is_no_correction() -> None:
    for means in np.random.default_rng(3).normal(0.3, 1, (20, 1, 9)):
        p, corrected = flip_test(means, sign_flips(9))
        assert p == corrected


def test_the_correction_is_max_t_by_brute_force() -> None:
    means = np.random.default_rng(11).normal(0.4, [[1.0], [0.01], [5.0]], (3, 6))
    _, corrected = flip_test(means, sign_flips(6))
    t = [[abs(stats.ttest_1samp(np.array(s) * m, 0).statistic) for m in means] for s in product((1, -1), repeat=6)]
    largest = np.max(t, axis=1)
    observed = [abs(stats.ttest_1samp(m, 0).statistic) for m in means]
    assert corrected == pytest.approx([(largest >= o - 1e-9).mean() for o in observed])


def test_the_headline_test_finds_nothing_where_there_is_nothing() -> None:
    """At most 5 % of null studies are rejected; taking samples for independent rejects about three times as many."""
    samples = null_studies(3000, prompts=12, seeds=4, key=1)
    p, _ = flip_test(samples.mean(2), sign_flips(12))
    naive = stats.ttest_1samp(samples.reshape(3000, -1), 0, axis=1).pvalue
    assert 0.035 < (p <= 0.05).mean() < 0.06
    assert (naive <= 0.05).mean() > 0.15


def test_the_interval_covers_the_truth_19_times_in_20_and_the_naive_one_does_not() -> None:
    samples = null_studies(2000, prompts=12, seeds=4, key=2) + 0.7
    found = np.array([interval(s.mean(1)) for s in samples])
    naive = np.array([interval(s.ravel()) for s in samples])
    covered = [((f[:, 1] <= 0.7) & (f[:, 2] >= 0.7)).mean() for f in (found, naive)]
    assert 0.94 < covered[0] < 0.96
    assert covered[1] < 0.85


def test_the_correction_keeps_false_alarms_over_a_grid_at_5_percent() -> None:
    """Six variants without an effect: uncorrected, far more studies find one."""
    rng, flips = np.random.default_rng(4), sign_flips(9)
    tested = [flip_test(rng.normal(size=(6, 9)), flips) for _ in range(1000)]
    alarms = np.mean([[p.min() <= 0.05, corrected.min() <= 0.05] for p, corrected in tested], axis=0)
    assert alarms[0] > 0.18
    assert 0.03 < alarms[1] < 0.067


def test_the_relative_interval_solves_fiellers_equation() -> None:
    """At each end R of the interval, the t interval of difference − R · baseline just touches zero."""
    rng = np.random.default_rng(6)
    for _ in range(200):
        baseline, difference = rng.normal(1, 0.3, 7), rng.normal(0.1, 0.2, 7)
        relative, low, high = relative_interval(baseline, difference)
        assert relative == pytest.approx(difference.mean() / baseline.mean())
        touches = [min(map(abs, interval(difference - end * baseline)[1:])) for end in (low, high)]
        assert touches == pytest.approx([0, 0], abs=1e-9)
        assert (low > 0) == (interval(difference)[1] > 0)
        assert (high < 0) == (interval(difference)[2] < 0)


def test_nothing_is_relative_to_a_baseline_that_may_be_zero() -> None:
    assert np.isnan(relative_interval(np.array([-1.0, 1.2, 0.1]), np.array([1.0, 2.0, 3.0]))).all()


def test_the_bootstrap_is_that_of_a_loop_over_prompts_and_then_seeds() -> None:
    samples = np.random.default_rng(8).normal(0.2, 0.3, (10, 1)) + np.random.default_rng(9).normal(0, 0.3, (10, 4))
    rng = np.random.default_rng(10)
    means = [np.mean([rng.choice(samples[p], 4).mean() for p in rng.integers(0, 10, 10)]) for _ in range(3000)]
    assert bootstrap_interval(samples) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    rng, normal = np.random.default_rng(12), stats.norm.ppf((np.arange(16) + 0.5) / 16)
    truth = detectable_difference(normal / normal.std(ddof=1))  # of differences that spread by 1
    found = stats.ttest_1samp(rng.normal(truth, 1, (4000, 16)), 0, axis=1).pvalue <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_equal_arms_differ_by_nothing() -> None:
    """The control: an adapter of scale zero."""
    table = rows({"baseline": 0})
    effect = effects(pd.concat([table, table.assign(variant="r4_a0")]), "clip_score", "clip_a", "test")[0]
    assert (effect.difference, effect.low, effect.high, effect.positive) == (0, 0, 0, 0)
    assert (effect.p, effect.p_corrected, effect.verdict) == (1, 1, "cannot be told from")


def test_a_verdict_needs_the_interval_and_the_test() -> None:
    assert verdict(0.01, 0.03, 0.02) == "beats"
    assert verdict(-0.03, -0.01, 0.02) == "falls short of"
    assert {verdict(0.01, 0.03, 0.06), verdict(-0.01, 0.03, 0.02), verdict(-0.03, -0.01, 0.2)} == {
        "cannot be told from"
    }


@pytest.mark.parametrize("gain", [0.0, 0.018, 0.022, -0.03])
def test_equivalence_is_what_two_one_sided_t_tests_say(gain: float) -> None:
    """Schuirmann 1987: both say at 5 % that the difference is nearer to zero than the margin."""
    means = gain + np.random.default_rng(3).normal(0, 0.01, 12)
    _, low, high = interval(means, 0.90)
    for margin in (0.001, 0.01, 0.02, 0.03, 0.1):
        above = stats.ttest_1samp(means, -margin, alternative="greater").pvalue
        below = stats.ttest_1samp(means, margin, alternative="less").pvalue
        assert equivalent(low, high, margin) == (max(above, below) < 0.05)
    assert not equivalent(low, high, None)


def test_a_study_without_a_margin_claims_no_equivalence_and_one_with_it_says_so_first() -> None:
    table = rows({"baseline": 0.0, "r4_a4": 0.008, "r8_a8": 0.05})
    found = {m: effect_table(table, margins=m and {"clip_score": m}).set_index("variant") for m in (None, 0.03, 0.2)}
    assert found[None]["verdict"].tolist() == ["cannot be told from", "beats"]
    assert found[None]["margin"].isna().all()
    assert found[0.03]["verdict"].tolist() == ["is equivalent to", "beats"]
    assert found[0.2]["verdict"].tolist() == ["is equivalent to", "is equivalent to"]
    assert (found[0.2]["margin"] == 0.2).all()


def test_a_variant_on_the_margin_is_called_equivalent_one_time_in_twenty() -> None:
    """The error of the claim is largest where the true difference is the margin itself: 5 %."""
    draws = np.random.default_rng(4).normal(1.0, 1.0, (4000, 50))  # sd/√P = 0.14: −1 is far away
    called = [equivalent(*interval(means, INNER)[1:], 1.0) for means in draws]
    assert np.mean(called) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 4000))


def test_a_margin_of_a_metric_that_was_not_scored_is_refused() -> None:
    with pytest.raises(ScoreError, match=r"claims\.margin .*'clipscore', .* clip_score"):
        effect_table(rows(GAINS), margins={"clipscore": 0.02})


def test_the_correction_says_over_how_many_variants_it_is() -> None:
    assert [e.n_variants for e in effects(rows(GAINS), "clip_score", "clip_a", "test")] == [3, 3, 3]


def test_cells_hold_every_arm_for_every_prompt_and_seed_baseline_first() -> None:
    table = rows({"r4_a4": 0.1, "baseline": 0.0})
    found = cells(table, "clip_score", "clip_a", "test")
    assert list(found.columns) == ["baseline", "r4_a4"]
    assert found.index.names == ["prompt", "seed"]
    for row in table.itertuples():
        assert found.loc[(row.prompt, row.seed), row.variant] == row.value


def spoiled(how: str) -> pd.DataFrame:
    """A table of scores with one thing wrong with the sample of r4_a8 for prompt 3 and seed 2."""
    table = rows(GAINS)
    hit = (table["variant"] == "r4_a8") & (table["prompt"] == "test prompt 3") & (table["seed"] == 2)
    if how == "missing":
        return table[~hit]
    if how == "twice":
        return pd.concat([table, table[hit]])
    return table.assign(value=table["value"].where(~hit, float(how)))


@pytest.mark.parametrize(
    ("how", "why"),
    [("missing", "is missing"), ("twice", "stands twice"), ("nan", "not a number"), ("inf", "not a number")],
)
def test_a_cell_that_cannot_be_compared_is_named(how: str, why: str) -> None:
    with pytest.raises(ScoreError, match=rf"clip_score by clip_a of r4_a8 for prompt 'test prompt 3', seed 2 .*{why}"):
        effects(spoiled(how), "clip_score", "clip_a", "test")


@pytest.mark.fault(34)
def test_a_variant_that_lacks_a_metric_is_missing_from_it_not_averaged_away() -> None:
    table = pd.concat([rows(GAINS), rows({k: v for k, v in GAINS.items() if k != "r8_a8"}, metric="identity")])
    with pytest.raises(ScoreError, match=r"identity by clip_a of r8_a8 .* and 31 more cells, is missing"):
        effect_table(table)


def test_a_missing_baseline_is_named() -> None:
    with pytest.raises(ScoreError, match=r"of baseline for prompt .* is missing"):
        effects(rows({"r4_a8": 0.1}), "clip_score", "clip_a", "test")


def test_one_prompt_is_too_few_for_an_interval() -> None:
    with pytest.raises(ScoreError, match=r"needs 2 prompts .* got 1 test prompts .*sampling\.test"):
        effects(rows(GAINS, prompts=1), "clip_score", "clip_a", "test")


def test_what_the_table_holds_is_said_when_it_lacks_what_is_asked() -> None:
    with pytest.raises(ScoreError, match=r"no clip_score by clip_z on test prompts.*'clip_a'"):
        effects(rows(GAINS), "clip_score", "clip_z", "test")


def test_the_table_of_effects_has_a_row_for_each_metric_split_and_variant() -> None:
    table = pd.concat([rows(GAINS), rows(GAINS, split="development"), rows(GAINS, metric="judge_hair")])
    found = effect_table(table)
    assert found[["metric", "split", "variant"]].to_numpy().tolist() == [
        ["clip_score", split, v] for split in ("test", "development") for v in GAINS if v != "baseline"
    ]


def test_attributes_that_one_prompt_names_are_left_out() -> None:
    table = pd.concat([rows(GAINS, metric="judge_hair"), rows(GAINS, metric="judge_pose", prompts=1), rows(GAINS)])
    found = attribute_effects(table, "r4_a8")
    assert found[["metric", "variant"]].to_numpy().tolist() == [["judge_hair", "r4_a8"]]
    assert len(attribute_effects(rows(GAINS), "r4_a8")) == 0


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    table = rows(GAINS).assign(
        prompt=lambda t: t["prompt"].replace({"test prompt 0": "NA", "test prompt 1": 'a "b", c'})
    )
    table.to_csv(tmp_path / "scores.csv", index=False)
    pd.testing.assert_frame_equal(read_scores(tmp_path / "scores.csv"), table)
    assert set(read_scores(tmp_path / "scores.csv", ["r4_a8"])["variant"]) == {"baseline", "r4_a8"}


def test_scores_that_are_not_there_say_which_notebook_makes_them(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match=r"scores\.csv does not exist.*notebook 04"):
        read_scores(tmp_path / "scores.csv")


def test_a_table_without_the_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("variant,value\nbaseline,1\n", encoding="utf-8")
    with pytest.raises(ScoreError, match="must have the columns"):
        read_scores(tmp_path / "scores.csv")


def test_the_first_clip_is_primary() -> None:
    table = pd.concat([rows(GAINS, metric="clip_cosine").assign(model="z"), rows(GAINS).assign(model="b"), rows(GAINS)])
    assert primary_model(table) == "b"
    with pytest.raises(ScoreError, match="no clip_score"):
        primary_model(rows(GAINS, metric="identity"))


def test_arms_are_paired_with_any_reference() -> None:
    """Against another arm the effect is that of a paired t test of the two, and turned round it changes its sign."""
    table = rows(GAINS)
    wide = table.pivot_table(index="prompt", columns="variant", values="value", aggfunc="mean")
    found = {e.variant: e for e in effects(table, "clip_score", "clip_a", "test", "r8_a8")}
    assert list(found) == ["baseline", "r4_a4", "r4_a8"]
    for arm, effect in found.items():
        known = stats.ttest_rel(wide[arm], wide["r8_a8"]).confidence_interval(0.95)
        assert (effect.low, effect.high) == pytest.approx((known.low, known.high), rel=1e-9)
    [there] = effects(table[table["variant"].isin(["r4_a4", "r8_a8"])], "clip_score", "clip_a", "test", "r8_a8")
    [back] = effects(table[table["variant"].isin(["r4_a4", "r8_a8"])], "clip_score", "clip_a", "test", "r4_a4")
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    assert (there.p, there.baseline) == pytest.approx((back.p, back.adapter))


def test_flips_a_few_at_a_time_say_what_all_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    means = np.random.default_rng(3).normal(0.3, 1, (2, 5, 12))
    whole = flip_test(means, sign_flips(12))
    monkeypatch.setattr(intervals, "CELLS", 700)
    for some, every in zip(flip_test(means, sign_flips(12)), whole, strict=True):
        np.testing.assert_array_equal(some, every)


def test_scores_without_who_scored_are_the_same_scores(tmp_path: Path) -> None:
    table = pd.DataFrame([("baseline", "a", 0, "test", "clip_score", "clip", 0.5, "hash", "1")])
    table.columns = [*COLUMNS, "weights", "versions"]
    table.to_csv(tmp_path / "scores.csv", index=False)
    pd.testing.assert_frame_equal(
        read_scores(tmp_path / "scores.csv", whole=False), read_scores(tmp_path / "scores.csv")[list(COLUMNS)]
    )
