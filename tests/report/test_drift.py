"""drift.py: more than chance, less, or not to be told reads as what it is."""

from pathlib import Path
from typing import Any

import pytest

from caplora.report.drift import null_sentence, with_nulls
from caplora.statistics.drift import NOISE, NOTHING, drift_nulls
from tests.report.test_report import hostile_study
from tests.statistics.test_drift import NONE, study


def row(verdict: str, against: str = NOISE, prompts: int = 12) -> dict[str, Any]:
    return {
        "against": against, "variant": "r4_a8", "verdict": verdict, "baseline": 0.3, "adapter": 0.14,
        "difference": -0.16, "low": -0.2, "high": -0.12, "p": 0.0005, "n_prompts": prompts, "n_seeds": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "noise", "nothing"),
    [
        ("beats", "which is more than that:", "more than chance does:"),
        ("falls short of", "which is less than that:", "no more than chance can do:"),
        ("cannot be told from", "which is not to be told from that:", "no more than chance can do:"),
    ],
)
def test_drift_within_chance_reads_as_one(verdict: str, noise: str, nothing: str) -> None:
    assert noise in null_sentence(row(verdict)) and nothing in null_sentence(row(verdict, NOTHING))
    assert "−0.160 (95 % interval, clustered by prompt, −0.200 to −0.120" in null_sentence(row(verdict))


def test_what_p_is_at_best_is_said_where_prompts_are_few() -> None:
    assert "which is 0.031 at best with 6 prompts" in null_sentence(row("beats", prompts=6))
    assert "at best" not in null_sentence(row("beats"))


def test_nulls_stand_after_the_drift_and_say_what_so_few_prompts_cannot_show(tmp_path: Path) -> None:
    mine = hostile_study(tmp_path)
    said = with_nulls({"Diversity": ["a"], "Drift": ["b"]}, mine, study(0.1)[0], "r4_a8")
    assert said["Diversity"] == ["a"] and said["Drift"][0] == "b" and len(said["Drift"]) == 2
    few = with_nulls({"Drift": ["b"]}, mine, study(0.1, prompts=5)[0], "r4_a8")["Drift"]
    assert "With 5 prompts the sign-flip test cannot fall below p = 0.0625" in few[-1]
    mine.tiniest.parent.mkdir(parents=True, exist_ok=True)
    scores, _ = study(0.1)
    tiny = scores[(scores["variant"] == "r4_a8") & (scores["metric"] == "drift") & (scores["seed"] == 0)]
    tiny.assign(variant="r4_a8@0.01", value=0.002).to_csv(mine.tiniest, index=False)
    assert (
        "A hundredth of r4_a8 changes such a picture by 0.002"
        in with_nulls({"Drift": []}, mine, scores, "r4_a8")["Drift"][1]
    )


def test_a_study_without_unrelated_prompts_says_nothing(tmp_path: Path) -> None:
    assert with_nulls({"Diversity": ["a"]}, hostile_study(tmp_path), NONE, "r4_a8") == {"Diversity": ["a"]}
    assert len(drift_nulls(study(0.1)[0], NONE, "absent")) == 0
