"""Not one answer that a rater saw accepted is lost: killed processes, torn lines, answers taken back."""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from caplora.rating.answers import (
    append,
    rater_file,
    rater_name,
    ratings_folder,
    read_answers,
    read_lines,
    standing,
)
from caplora.rating.design import RatingError
from caplora.rating.seat import Seat
from caplora.rating.widget import RatingWidget
from caplora.study.reading import PROJECT
from caplora.study.study import Study
from tests.rating.killing import QUESTIONS, pairs
from tests.rating.small import small_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small_study(tmp_path)


def sit(study: Study, rater: str = "Mina") -> Seat:
    return Seat(study, pairs(study), QUESTIONS, rater)


def killed(study: Study) -> subprocess.CompletedProcess[str]:
    """What `killing.py` says of a study."""
    command = [sys.executable, "-m", "tests.rating.killing", str(study.path("lab.yaml"))]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)


def test_killed_at_random_moments_not_one_accepted_answer_is_lost(tmp_path: Path) -> None:
    study = small_study(tmp_path, prompts=12)
    ran = killed(study)
    assert ran.returncode == 0, ran.stderr
    tries = json.loads(ran.stdout)
    assert len(tries) > 3 and all(was_killed for was_killed, *_ in tries[:-1])
    assert all(accepted <= on_disk for _, accepted, on_disk, _ in tries)
    assert all(right for *_, right in tries)
    assert tries[-1][1] == tries[-1][2] == len(sit(study).steps)


def test_a_torn_line_says_nothing_and_the_next_answer_stands(study: Study) -> None:
    seat = sit(study)
    seat.answer(0, "left", 1.0)
    whole = seat.path.read_bytes()
    seat.answer(1, "right", 1.0)
    seat.path.write_bytes(seat.path.read_bytes()[: len(whole) + 40])
    again = sit(study)
    assert again.done == 1
    again.answer(1, "equal", 2.0)
    assert read_answers(study)["answer"].tolist() == ["left", "equal"]
    assert seat.path.read_bytes().startswith(whole)


def test_an_answer_says_who_when_what_and_on_which_side(study: Study) -> None:
    seat = sit(study, " 민아  Kim ")
    seat.answer(0, "left", 1.234)
    [line] = read_lines(rater_file(study, "민아 Kim"))
    comparison = seat.comparisons[0]
    assert (line["rater"], line["order"], line["question"], line["answer"]) == ("민아 Kim", 0, "words", "left")
    assert (line["left"], line["right"]) == (comparison.left.variant, comparison.right.variant)
    assert (line["prompt"], line["seed"], line["seconds"]) == (comparison.prompt, comparison.left.seed, 1.23)
    assert line["time"].endswith("+00:00")


def test_taking_back_is_a_line_too_and_the_answer_comes_again(study: Study) -> None:
    seat = sit(study)
    for at, answer in enumerate(("left", "right", "skipped")):
        seat.answer(at, answer, 1.0)
    seat.undo()
    seat.undo()
    seat.answer(1, "equal", 1.0)
    assert read_answers(study)["answer"].tolist() == ["left", "equal"]
    assert len(read_lines(seat.path)) == 6 and sit(study).done == 2


def test_a_late_answer_changes_nothing(study: Study) -> None:
    seat = sit(study)
    seat.answer(0, "left", 1.0)
    seat.answer(0, "right", 1.0)
    seat.answer(5, "right", 1.0)
    assert read_answers(study)["answer"].tolist() == ["left"]
    with pytest.raises(RatingError, match="left, right, equal, skipped"):
        seat.answer(1, "<b>", 1.0)
    assert seat.done == 1


def test_two_kernels_cannot_write_one_rater_and_the_later_widget_of_one_kernel_goes_on(study: Study) -> None:
    first = sit(study)
    second = sit(study)
    second.answer(0, "left", 1.0)
    with pytest.raises(RatingError, match="opened again"):
        first.answer(0, "left", 1.0)
    ran = killed(study)
    assert "BusyError" in ran.stderr and str(os.getpid()) in ran.stderr
    assert len(read_answers(study)) == 1


def test_other_pictures_are_another_plan_and_earlier_answers_stay(study: Study) -> None:
    seat = sit(study)
    seat.answer(0, "left", 1.0)
    sample = seat.comparisons[3].left.path
    sample.write_bytes(sample.read_bytes() + b"changed")
    again = sit(study)
    assert again.done == 0 and again.plan != seat.plan
    again.answer(0, "right", 1.0)
    assert len(read_answers(study)) == 2


def test_raters_have_files_of_their_own_whatever_they_are_called(study: Study) -> None:
    for name in ("../../etc", "a/b", "...", "민아", "x" * 300):
        assert rater_file(study, name).parent == ratings_folder(study)
    with pytest.raises(RatingError, match="needs a name"):
        rater_name("  ")
    decomposed = unicodedata.normalize("NFD", "민아")
    assert rater_name(decomposed) == "민아" and rater_file(study, decomposed) == rater_file(study, "민아")


def test_the_widget_says_what_was_saved_and_no_arm(study: Study) -> None:
    kept: list[int] = []
    widget = RatingWidget(study, pairs(study), kept=lambda: kept.append(1))
    widget._received(widget, {"do": "begin", "rater": "Mina"}, [])
    assert widget.view["done"] == 0 and len(widget.view["steps"]) > 10
    assert widget.view["questions"] == [["words", "Which fits the words better?"]] or len(widget.view["questions"]) == 1
    assert "r4_a8" not in json.dumps(widget.view) and "baseline" not in json.dumps(widget.view)
    for at in range(10):
        widget._received(widget, {"do": "answer", "at": at, "answer": "left", "seconds": 1}, [])
    assert widget.view["done"] == 10 and widget.view["said"].startswith("saved") and len(kept) == 10
    widget._received(widget, {"do": "answer", "at": 10, "answer": "both", "seconds": 1}, [])
    assert widget.view["failed"] and "not done" in widget.view["said"]
    widget._received(widget, {"do": "undo"}, [])
    assert widget.view["done"] == 9 and len(read_answers(study)) == 9


def test_what_a_simulated_rater_says_is_no_opinion_of_people(study: Study) -> None:
    seat = sit(study)
    seat.answer(0, "left", 1.0)
    [line] = read_lines(seat.path)
    append(rater_file(study, "machine"), [line | {"rater": "machine", "simulated": True}])
    assert read_answers(study)["rater"].tolist() == ["Mina"]
    assert read_answers(study, simulated=True)["rater"].tolist() == ["machine"]


def test_lines_that_are_no_answers_are_passed_over(study: Study) -> None:
    seat = sit(study)
    seat.answer(0, "left", 1.0)
    with open(seat.path, "a", encoding="utf-8") as file:
        file.write('[1, 2]\n"text"\n{"rater": "Mina"}\nnot json\n\n')
        file.write(json.dumps({"rater": "Mina", "plan": seat.plan, "order": 0}) + "\n")
    assert len(read_answers(study)) == 1 and len(standing(read_lines(seat.path))) == 3
    assert sit(study).done == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"answer": "both"}, {"question": ""}, {"seconds": "soon"}, {"seconds": float("nan")}, {"order": "0"},
        {"rater": {}}, {"seed": None}, {"left": 3}, {"prompt": "\ud800"},
    ],
    ids=str,
)  # fmt: skip
def test_an_answer_that_nobody_can_have_given_is_passed_over(wrong: dict[str, object], study: Study) -> None:
    seat = sit(study)
    seat.answer(0, "left", 1.0)
    [line] = read_lines(seat.path)
    later = json.dumps(line | {"question": "person"} | wrong)
    seat.path.write_text(f"{json.dumps(line)}\n{later}\n", encoding="utf-8")
    assert len(read_answers(study)) == 1 and sit(study).done == 1
