"""What the tests do where nothing is true: an error of 5 % is one of 5 %, and the naive test's is not."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from caplora.statistics.effects import COLUMNS, effects
from caplora.statistics.simulation import null_differences, simulated_errors
from caplora.statistics.variance import STANDARD, Spread, spread_of

BOUND = 0.055  # of a test at 5 %


def rates(*design: object, **more: object) -> pd.Series:
    """Test → how often it errs."""
    return simulated_errors(*design, **more).set_index("test")["rate"]  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", ["normal", "skewed", "heavy"])
@pytest.mark.parametrize("prompts", [16, 50])
def test_headline_errs_one_time_in_twenty_and_the_naive_test_four(prompts: int, shape: str) -> None:
    """8,000 studies of P prompts × 4 seeds with an intra-prompt correlation of 0.5: Monte-Carlo error 0.2 %."""
    found = rates(STANDARD, prompts, 4, shape=shape, studies=8000)
    assert (found[["verdict", "sign flips", "t interval"]] <= BOUND).all()
    assert 0.935 <= 1 - found["t interval"] <= 0.965  # coverage
    assert found["samples as if independent"] > 0.10
    if shape == "normal":  # 2 Φ(−1.96 / √design effect), design effect 1 + (S − 1) · 0.5; arXiv 2411.00640
        assert found["samples as if independent"] == pytest.approx(0.215, abs=0.015)


@pytest.mark.parametrize(("prompts", "studies"), [(16, 3000), (50, 2500)])
def test_one_of_nine_variants_is_found_by_chance_one_time_in_twenty(prompts: int, studies: int) -> None:
    """The family-wise error of max-T over variants that share a baseline; Monte-Carlo error 0.4 %."""
    found = rates(STANDARD, prompts, 4, variants=9, studies=studies, key=1)
    assert found["any variant, corrected"] <= BOUND
    assert found["any variant, uncorrected"] > 0.20
    assert found["verdict"] <= BOUND


def test_the_correction_is_not_needlessly_strict() -> None:
    """Nine correlated variants: max-T errs nearly as often as it may, where Bonferroni would err less."""
    assert rates(STANDARD, 8, 4, variants=9, studies=6000, key=2)["any variant, corrected"] > 0.04


def test_lopsided_differences_are_rejected_a_little_too_often() -> None:
    """No test is exact where few prompts gain much and many lose a little: the price is known, and falls with P."""
    few, many = (rates(STANDARD, p, 4, shape="lopsided", studies=5000)["verdict"] for p in (16, 50))
    assert many <= few <= 0.08 and many <= 0.06


def test_simulated_verdicts_are_those_of_the_study() -> None:
    """The table of scores of a drawn study goes the whole way through `effects`."""
    samples = null_differences(Spread(1.0, 0.5), 9, 2, 3, "normal", 12, key=3)
    names, found = ("r4_a4", "r4_a8", "r8_a8"), []
    for study in samples:
        rows = [("baseline", f"prompt {p}", s, "test", "clip_score", "a", 0.0) for p, s in product(range(9), range(2))]
        rows += [(names[v], f"prompt {p}", s, "test", "clip_score", "a", d) for (v, p, s), d in np.ndenumerate(study)]
        found.append(effects(pd.DataFrame(rows, columns=list(COLUMNS)), "clip_score", "a", "test"))
    drawn = simulated_errors(Spread(1.0, 0.5), 9, 2, 3, studies=12, key=3).set_index("test")["rate"]
    verdicts = np.array([[e.verdict != "cannot be told from" for e in study] for study in found])
    assert 0 < verdicts.mean() == pytest.approx(drawn["verdict"])
    assert np.mean([[e.p <= 0.05 for e in study] for study in found]) == pytest.approx(drawn["sign flips"])
    assert np.mean([[not e.low <= 0 <= e.high for e in study] for study in found]) == pytest.approx(drawn["t interval"])
    corrected = [any(e.p_corrected <= 0.05 for e in study) for study in found]
    assert np.mean(corrected) == pytest.approx(drawn["any variant, corrected"])


@pytest.mark.parametrize("shape", ["normal", "skewed", "heavy", "lopsided"])
def test_drawn_studies_have_the_spread_that_was_asked_for_and_no_mean(shape: str) -> None:
    """With heavy tails a variance has itself a huge one, so its tolerance is wide."""
    samples = null_differences(Spread(2.0, 1.0), 30, 6, 1, shape, 600, key=5)[:, 0]
    found = spread_of(samples)
    assert found.prompt == pytest.approx(2.0, rel=0.4 if shape == "heavy" else 0.06)
    assert found.rest == pytest.approx(1.0, rel=0.08)
    assert abs(samples.mean()) < 4 * samples.mean((1, 2)).std() / np.sqrt(600)


def test_variants_that_share_a_baseline_correlate_by_a_half() -> None:
    samples = null_differences(STANDARD, 2000, 1, 3, "normal", 1)[0, :, :, 0]
    assert np.corrcoef(samples)[np.triu_indices(3, 1)] == pytest.approx(0.5, abs=0.06)


def test_monte_carlo_interval_holds_the_rate_of_a_larger_simulation() -> None:
    small, large = simulated_errors(STANDARD, 8, 4, 2, studies=500), rates(STANDARD, 8, 4, 2, studies=8000, key=6)
    assert (small["low"] <= small["rate"]).all() and (small["rate"] <= small["high"]).all()
    wide = small.set_index("test").eval("high - low")
    assert ((small.set_index("test")["rate"] - large).abs() < wide).all()
    assert (wide < 0.08).all()


def test_the_same_key_draws_the_same_studies() -> None:
    first, again, other = (simulated_errors(STANDARD, 6, 2, studies=200, key=k) for k in (0, 0, 1))
    assert first.equals(again) and not first.equals(other)
