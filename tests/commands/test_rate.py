"""commands/rate.py: the page is written, answers are taken in, and what lacks is named."""

import json
from pathlib import Path

import pytest

from caplora.commands import main
from caplora.notebooks.people import People
from caplora.rating.answers import read_answers
from caplora.rating.design import plan_id
from caplora.rating.page import page_plans
from tests.rating.small import small_study


def test_page_is_written_and_answers_are_taken_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small_study(tmp_path)
    assert main(["rate", str(tmp_path / "lab.yaml")]) == 0
    said = capsys.readouterr().out
    assert "nobody has compared pictures yet" in said and "baseline against r4_a8: 22 comparisons" in said
    assert (study.run / "rating.html").is_file()
    own = plan_id(page_plans(People(study).pairs)[3])
    line = {"rater": "Ben", "time": "t", "plan": own, "order": 0, "question": "words", "answer": "left", "seconds": 2}
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers/ben.jsonl").write_text(json.dumps(line), encoding="utf-8")
    assert main(["rate", str(tmp_path / "lab.yaml"), "--answers", str(tmp_path / "answers")]) == 0
    assert "1 answer of Ben taken" in capsys.readouterr().out and len(read_answers(study)) == 1


def test_other_arms_are_compared_by_name_and_one_without_samples_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_study(tmp_path)
    assert main(["rate", str(tmp_path / "lab.yaml"), "--compare", "r4_a8+r8_a8+baseline"]) == 0
    assert "r4_a8 against r8_a8 against baseline" in capsys.readouterr().out
    assert main(["rate", str(tmp_path / "lab.yaml"), "--compare", "r4_a8+r99_a1"]) == 2
    error = capsys.readouterr().err
    assert "r99_a1 has drawn nothing" in error and "baseline, r4_a8, r8_a8" in error
