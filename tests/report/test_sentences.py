"""Sentences say what their row says: no gain where there is none, and none where more is worse."""

import numpy as np
import pandas as pd
import pytest

from caplora.report.sentences import (
    drift_sentence,
    errors_sentence,
    metric_sentence,
    power_sentence,
    recipe_sentence,
    verdict_sentence,
    worth,
)
from caplora.statistics.effects import EQUIVALENT
from caplora.study.names import METRICS
from caplora.study.numbers import percent, signed

from .test_report import effects


def row(gain: float, metric: str = "clip_score", prompts: int = 8) -> dict:
    """The headline of one variant that gains so much, as if it were of another metric."""
    table = effects({"r4_a8": gain}, prompts)
    return table[(table["split"] == "test") & (table["model"] == "clip_a")].iloc[0].to_dict() | {"metric": metric}


def test_the_verdict_says_n_difference_intervals_and_p() -> None:
    e = row(0.05)
    said = verdict_sentence(e)
    assert said.startswith("r4_a8 beats the baseline: ")
    assert "8 test prompts × 2 seeds" in said
    assert f"{signed(e['low'])} to {signed(e['high'])}" in said
    assert f"{percent(e['relative'])} ({percent(e['relative_low'])} to {percent(e['relative_high'])})" in said
    assert "p = 0.008" in said  # 2 / 2⁸, the smallest that 8 prompts allow


def test_the_verdict_of_a_loss_says_so() -> None:
    assert "falls short of the baseline" in verdict_sentence(row(-0.05))
    assert "is lower than the baseline’s, which is worse" in metric_sentence(row(-0.05))


@pytest.mark.parametrize("metric", [m for m, known in METRICS.items() if known.better == "less"])
def test_more_of_what_should_be_little_is_never_a_gain(metric: str) -> None:
    assert worth(metric, "beats") == ", which is worse" and worth(metric, "falls short of") == ", which is better"
    assert "is higher than the baseline’s, which is worse" in metric_sentence(row(0.05, metric))


def test_metrics_of_harm_are_those_where_less_is_better() -> None:
    less = {metric for metric, known in METRICS.items() if known.better == "less"}
    assert less == {"memorisation", "replication", "memorised", "drift", "kid", "cmmd"}


@pytest.mark.parametrize("metric", METRICS)
def test_null_is_neither_better_nor_worse(metric: str) -> None:
    said = metric_sentence(row(0.0, metric))
    assert "cannot be told from the baseline’s: " in said and "better" not in said and "worse" not in said


def test_drift_is_described_and_not_tested() -> None:
    assert "p =" not in (said := drift_sentence(row(0.3, "drift"))) and "p <" not in said and "less is better" in said


def test_an_equivalent_metric_reads_as_one() -> None:
    assert "is equivalent to the baseline’s: " in metric_sentence(row(0.0) | {"verdict": EQUIVALENT})


def test_the_power_sentence_says_what_could_have_been_found() -> None:
    e = row(0.0)
    said = power_sentence(e)
    assert f"A true difference of {e['detectable']:.3f} would be found by four of five such studies" in said
    assert signed(e["bootstrap_low"]) in said


def test_a_share_that_is_not_defined_is_left_out_of_the_sentence() -> None:
    said = verdict_sentence({**row(0.05), "relative": np.nan})
    assert "%" not in said.replace("95 %", "")
    assert "nan" not in said


@pytest.mark.parametrize(("value", "said"), [(0.0654, "+0.065"), (-0.0123, "−0.012"), (0.0, "+0.000")])
def test_differences_carry_their_sign(value: float, said: str) -> None:
    assert signed(value) == said


def test_error_rates_are_those_of_the_simulation() -> None:
    errors = pd.DataFrame({"test": ("verdict", "samples as if independent"), "rate": (0.043, 0.239)})
    said = errors_sentence(errors)
    assert "something in 4 % of simulated studies" in said and "does in 24 %" in said


def test_recipe_says_over_what_its_interval_is() -> None:
    e = {"recipe": "r4_a8", "verdict": "cannot be told from", "difference": 0.01, "low": -0.1, "high": 0.12}
    e |= {"p": 0.5, "p_corrected": 1.0, "n_prompts": 16, "n_seeds": 4, "split": "test"}
    said = recipe_sentence(e | {"n_trainings": 3})
    assert said.startswith("r4_a8 cannot be told from the baseline: ") and "over trainings and prompts" in said
    assert "3 trainings × 16 test prompts × 4 seeds" in said
    assert "about this adapter only" in recipe_sentence(e | {"n_trainings": 1})
