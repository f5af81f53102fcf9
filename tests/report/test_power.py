"""power.py: a study that could not find what it looked for says so, and one that could says that."""

from pathlib import Path
from typing import Any

import pytest

from caplora.report.power import interest_sentence
from caplora.statistics.intervals import detectable_errors
from caplora.study.study import Study
from tests.report.test_report import hostile_study


def study(folder: Path, **claims: float) -> Study:
    own = hostile_study(folder)
    said = {name: {"clip_score": value} for name, value in claims.items()}
    return own.model_copy(update={"claims": own.claims.model_copy(update={"margin": {}, "interest": {}} | said)})


def effect(difference: float, error: float = 0.02, prompts: int = 16) -> dict[str, Any]:
    return {
        "metric": "clip_score", "n_prompts": prompts, "detectable": detectable_errors(prompts) * error,
        "low": difference - 2.13 * error, "high": difference + 2.13 * error,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("least", "difference", "said"),
    [
        (0.10, 0.0, "100 of 100 such studies find it: the study had the power it needed (80)."),
        (0.05, 0.2, "lacked the power, and found a difference all the same."),
        (0.05, -0.2, "lacked the power, and found a difference all the same."),
        (0.05, 0.0, "but its interval ends below that: a gain so large is ruled out."),
        (0.05, 0.03, "lacked the power, and a difference that it did not find may be there."),
    ],
)
def test_the_power_it_had_is_said_with_what_follows(tmp_path: Path, least: float, difference: float, said: str) -> None:
    found = interest_sentence(study(tmp_path, interest=least), effect(difference))
    assert found.startswith(f"The smallest difference of interest, {least:.3f}, was said in advance") and said in found


def test_the_margin_stands_in_for_an_interest_and_without_either_nothing_is_said(tmp_path: Path) -> None:
    assert "0.100" in interest_sentence(study(tmp_path, margin=0.1), effect(0.0))
    assert interest_sentence(study(tmp_path), effect(0.0)) == ""
