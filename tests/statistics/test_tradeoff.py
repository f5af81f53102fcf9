"""Bootstrap means, their ellipse and the Pareto front are what they are called."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from caplora.figures.tradeoff import tradeoff_planes
from caplora.statistics.effects import COLUMNS, ScoreError
from caplora.statistics.tradeoff import bootstrap_means, ellipse, pareto_front, tradeoff_table
from caplora.study.variants import BASELINE

ARMS = (BASELINE, "r4_a4", "r8_a8", "r16_a16")


def scores(drift: bool = True) -> pd.DataFrame:
    """r8_a8 gains most in both, r16_a16 drifts most."""
    rng, rows = np.random.default_rng(0), []
    gains = dict(zip(ARMS, (0.0, 0.1, 0.3, 0.2), strict=True))
    for metric, (p, arm, seed) in product(("clip_score", "clip_i"), product(range(12), ARMS, range(2))):
        value = gains[arm] + (0 if arm == BASELINE else rng.normal(0, 0.05)) + p  # prompts differ a lot, for all arms
        rows.append((arm, f"prompt {p}", seed, "test", metric, "clip", value))
    for arm, p, seed in product(ARMS if drift else (), range(4), range(2)):
        rows.append((arm, f"other {p}", seed, "unrelated", "drift", "eyes", 0.1 * ARMS.index(arm)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_an_ellipse_holds_95_percent_of_the_bootstrap_means() -> None:
    rng = np.random.default_rng(1)
    prompts = rng.multivariate_normal([0.2, -0.1], [[0.04, 0.03], [0.03, 0.05]], 60).T[:, None]
    drawn = bootstrap_means(prompts)[:, :, 0]
    width, height, angle = ellipse(np.cov(drawn.T))
    turn = np.radians(angle)
    along = (drawn - drawn.mean(0)) @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    inside = ((along / [width / 2, height / 2]) ** 2).sum(1) <= 1
    assert inside.mean() == pytest.approx(0.95, abs=0.01)


def test_bootstrap_means_vary_as_the_standard_error_says() -> None:
    prompts = np.random.default_rng(2).normal(0.5, 0.2, (1, 1, 40))
    drawn = bootstrap_means(prompts)
    assert drawn.mean() == pytest.approx(prompts.mean(), abs=0.002)
    assert drawn.std() == pytest.approx(prompts.std() / np.sqrt(40), rel=0.03)


def test_every_arm_is_resampled_on_the_same_prompts() -> None:
    prompts = np.random.default_rng(3).random((2, 1, 9))
    drawn = bootstrap_means(np.concatenate([prompts, prompts + 0.25], axis=1))
    np.testing.assert_allclose(drawn[:, :, 1] - drawn[:, :, 0], 0.25)


@given(arrays(float, (7, 2), elements=st.integers(0, 4)))
def test_the_front_is_what_no_other_point_beats(points: np.ndarray) -> None:
    beaten = [any((q >= p).all() and (q > p).any() for q in points) for p in points]
    assert pareto_front(points).tolist() == [not b for b in beaten]
    assert pareto_front(points).any()


def test_points_that_are_the_same_are_both_on_the_front_and_nan_never_is() -> None:
    points = np.array([[1.0, 1.0], [1.0, 1.0], [np.nan, 5.0]])
    assert pareto_front(points).tolist() == [True, True, False]


def test_the_table_holds_paired_means_and_what_they_vary() -> None:
    table = tradeoff_table(scores(), "clip_i").set_index("variant")
    assert list(table.index) == list(ARMS)
    assert (table.loc[BASELINE, ["alignment", "fidelity", "var_alignment", "var_fidelity", "drift"]] == 0).all()
    assert table.loc["r8_a8", "alignment"] == pytest.approx(0.3, abs=0.04)
    assert (table["var_alignment"] < 0.001).all()  # what prompts differ in is the same in every arm, and cancels
    assert table["front"].tolist() == [False, False, True, False]
    assert table["front_drift"].tolist() == [True, True, True, False]
    assert table["drift"].tolist() == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_study_without_unrelated_prompts_has_no_drift_and_one_plane() -> None:
    table = tradeoff_table(scores(drift=False), "clip_i")
    assert table["drift"].isna().all()
    assert not table["front_drift"].any()
    assert len(tradeoff_planes(table, "r8_a8").axes) == 1


def test_markers_stand_at_the_means_of_the_table() -> None:
    table = tradeoff_table(scores(), "clip_i")
    for axes, y in zip(tradeoff_planes(table, "r8_a8").axes, ("fidelity", "drift"), strict=True):
        markers = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]
        for row in table.to_dict("records"):
            assert (row["alignment"], row[y]) in markers


def test_a_score_that_is_missing_is_named() -> None:
    table = scores()
    with pytest.raises(ScoreError, match="r16_a16 for prompt 'prompt 11', seed 1 is missing"):
        tradeoff_table(table.drop(table[table["metric"] == "clip_i"].index[-1]), "clip_i")
