"""Variances and their intervals are those of a formula, of an independent implementation and of simulated truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from caplora.statistics.effects import COLUMNS, ScoreError
from caplora.statistics.intervals import interval
from caplora.statistics.variance import Spread, crossed_interval, sample_array, spread_of, study_spread, variance_split

TRUE = {"training": 0.8, "prompt": 2.0, "training × prompt": 0.5, "noise": 1.0, "training × noise": 0.7}
AXES_OF = {"training": [0], "prompt": [1], "noise": [1, 2]}  # noise is a prompt's own


def crossed(rng: np.random.Generator, shape: tuple[int, ...], true: dict[str, float]) -> np.ndarray:
    """Differences with these variances and no mean, (T, P, S)."""
    found = np.zeros(shape)
    for source, variance in true.items():
        axes = [axis for name in source.split(" × ") for axis in AXES_OF[name]]
        found = found + rng.normal(0, np.sqrt(variance), [n if a in axes else 1 for a, n in enumerate(shape)])
    return found


def test_variances_are_unbiased() -> None:
    """The mean of the estimates over simulated studies is the truth, within four of its standard errors."""
    rng = np.random.default_rng(0)
    found = np.array([variance_split(crossed(rng, (3, 8, 4), TRUE))["moment"] for _ in range(1500)])
    sources = variance_split(crossed(rng, (3, 8, 4), TRUE))["source"]
    assert list(sources) == list(TRUE)
    error = found.std(0) / np.sqrt(len(found))
    assert (np.abs(found.mean(0) - list(TRUE.values())) < 4 * error).all()


def test_mean_squares_are_those_of_a_least_squares_fit() -> None:
    """The drop in the residual sum of squares when a source's dummies are put into the fit."""
    t, p, n = (axis.ravel() for axis in np.indices((3, 6, 4)))
    samples = np.random.default_rng(1).normal(size=(3, 6, 4)) + np.arange(6)[None, :, None]
    split = variance_split(samples).set_index("source")

    def residual(*factors: np.ndarray) -> float:
        design = np.hstack([np.ones((72, 1)), *(np.eye(f.max() + 1)[f] for f in factors)])
        fit = design @ np.linalg.lstsq(design, samples.ravel(), rcond=None)[0]
        return float(((samples.ravel() - fit) ** 2).sum())

    noise, cell = 4 * p + n, 6 * t + p
    assert split.loc["training", "mean_square"] == pytest.approx((residual() - residual(t)) / 2)
    assert split.loc["prompt", "mean_square"] == pytest.approx((residual() - residual(p)) / 5)
    assert split.loc["noise", "mean_square"] == pytest.approx((residual(p) - residual(noise)) / 18)
    assert split.loc["training × prompt", "mean_square"] == pytest.approx((residual(t, p) - residual(cell)) / 10)
    assert split.loc["training × noise", "mean_square"] == pytest.approx(residual(cell, noise) / 36)
    assert split["df"].tolist() == [2, 5, 10, 18, 36]


def test_parts_add_up_to_the_variance_of_the_mean() -> None:
    """Var = σ²_train/T + σ²_prompt/P + σ²_noise/(P·S) and so on: unbiased for the spread of simulated means."""
    rng = np.random.default_rng(2)
    studies = [crossed(rng, (3, 8, 4), TRUE) for _ in range(1500)]
    truth = 0.8 / 3 + 2 / 8 + 0.5 / 24 + 1 / 32 + 0.7 / 96
    assert np.var([s.mean() for s in studies]) == pytest.approx(truth, rel=0.12)
    assert np.mean([variance_split(s)["of_mean"].sum() for s in studies]) == pytest.approx(truth, rel=0.06)


def test_variance_below_zero_is_none() -> None:
    samples = np.array([[1.0, -1.0], [-1.0, 1.0]])  # all of it noise
    split = variance_split(samples).set_index("source")
    assert split.loc["prompt", "moment"] == pytest.approx(-1) and split.loc["prompt", "variance"] == 0
    assert split.loc["noise", "variance"] == pytest.approx(2)


def test_axes_of_one_level_are_left_out() -> None:
    samples = np.random.default_rng(3).normal(size=(1, 5, 1))
    split = variance_split(samples)
    assert split["source"].tolist() == ["prompt"]
    assert split["variance"][0] == pytest.approx(samples.var(ddof=1))


def test_interval_over_prompts_alone_is_the_t_interval() -> None:
    means = np.random.default_rng(4).normal(0.3, 1, 9)
    found = crossed_interval(means.reshape(1, 9, 1))
    assert (found.mean, found.low, found.high) == pytest.approx(interval(means))
    assert found.p == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


def test_interval_over_trainings_alone_is_their_t_interval() -> None:
    means = np.random.default_rng(5).normal(0.3, 1, 3)
    found = crossed_interval(np.broadcast_to(means[:, None, None], (3, 50, 4)))
    assert (found.mean, found.low, found.high) == pytest.approx(interval(means))
    assert found.p == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


def test_p_is_one_in_twenty_where_the_interval_touches_zero() -> None:
    samples = crossed(np.random.default_rng(11), (3, 16, 4), TRUE)
    found = crossed_interval(samples)
    assert crossed_interval(samples - found.low).p == pytest.approx(0.05)
    assert crossed_interval(samples - found.mean).p == pytest.approx(1)
    assert crossed_interval(samples + 1e9).p == 1e-12


def test_equal_arms_have_no_crossed_interval_to_speak_of() -> None:
    found = crossed_interval(np.zeros((3, 4, 2)))
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    "true",
    [TRUE, {"prompt": 1.0, "training × noise": 1.0}, {"training": 1.0, "prompt": 0.2}, {"noise": 1.0}],
    ids=["everything", "prompts", "training", "noise"],
)
@pytest.mark.parametrize("trainings", [3, 5])
def test_interval_over_trainings_covers_a_recipe_at_least_as_often_as_it_says(
    true: dict[str, float], trainings: int
) -> None:
    rng = np.random.default_rng(6)
    found = [crossed_interval(crossed(rng, (trainings, 16, 4), true)) for _ in range(2500)]
    assert np.mean([not (f.low <= 0 <= f.high) for f in found]) <= 0.055


def test_spread_is_that_of_the_draws_pooled_over_variants() -> None:
    rng = np.random.default_rng(8)
    true = {"prompt": 2.0, "noise": 1.0}
    found = spread_of(np.stack([crossed(rng, (1, 40, 40), true)[0] for _ in range(8)]))
    assert (found.prompt, found.rest) == pytest.approx((2.0, 1.0), rel=0.15)
    assert spread_of(rng.normal(size=(10, 1))).rest == 0


def test_standard_error_is_that_of_the_mean() -> None:
    rng = np.random.default_rng(9)
    means = [crossed(rng, (1, 9, 3), {"prompt": 2.0, "noise": 1.0}).mean() for _ in range(4000)]
    assert Spread(prompt=2.0, rest=1.0).standard_error(9, 3) == pytest.approx(np.std(means), rel=0.04)


def test_spread_of_a_study_is_that_of_its_differences() -> None:
    rng = np.random.default_rng(10)
    base, gain = rng.normal(size=(5, 3)), rng.normal(size=(2, 5, 3))
    rows = [
        (arm, f"prompt {p}", s, "development", "clip_score", "a", base[p, s] + (0 if v < 0 else gain[v, p, s]))
        for p in range(5) for s in range(3) for v, arm in ((-1, "baseline"), (0, "r4_a4"), (1, "r8_a8"))
    ]  # fmt: skip
    scores = pd.DataFrame(rows, columns=list(COLUMNS))
    found, known = study_spread(scores, "clip_score", "a"), spread_of(gain)
    assert (found.prompt, found.rest) == pytest.approx((known.prompt, known.rest))


def test_one_prompt_has_no_spread_and_says_so() -> None:
    rows = [
        (arm, "only", s, "development", "clip_score", "a", s + 0.5) for s in (0, 1) for arm in ("baseline", "r4_a8")
    ]
    with pytest.raises(ScoreError, match="one development prompt has no spread"):
        study_spread(pd.DataFrame(rows, columns=list(COLUMNS)), "clip_score", "a")


def test_array_has_an_axis_for_variants_prompts_and_seeds() -> None:
    index = pd.MultiIndex.from_product([["x", "y", "z"], [3, 4]], names=["prompt", "seed"])
    table = pd.DataFrame({"r4_a4": range(6), "r8_a8": range(10, 16)}, index=index)
    assert sample_array(table).tolist() == [[[0, 1], [2, 3], [4, 5]], [[10, 11], [12, 13], [14, 15]]]
