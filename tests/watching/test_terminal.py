"""watching/terminal.py and drawn.py: what a terminal shows says all that is known, in any width, and is true."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from caplora.study.study import Study
from caplora.watching.drawn import half_blocks, smoothed, sparkline
from caplora.watching.looking import look
from caplora.watching.terminal import fitting, rendered
from caplora.watching.view import NOTEBOOKS, in_words
from tests.watching.small import AWAY, dead_pid, packs, picture, record, small_study, works, write


def shown(study: Study, width: int = 120, pictures: bool = False) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(rendered(look(study), width, pictures))
    return captured.get()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study with a job in every state, one that trains, and a picture."""
    study = small_study(tmp_path)
    packs(study, "pa", "pb")
    write(
        study,
        record(NOTEBOOKS[0], "done", 20, 15),
        record("02_train_lora_pa", "failed", 15, 10, why="ValueError: [bold]no such[/bold] card"),
        record("02_train_lora_pb", gpu="1"),
        record("03_inference_pa", pid=dead_pid()),
        record("03_inference_pb", host=AWAY),
    )
    works(study, 6, 24, began=0.5, r4_a4=[(n, 1 / n) for n in range(1, 7)], r8_a8=[(n, 2 / n) for n in range(1, 7)])
    picture(study.samples("r4_a4") / "test_0_0.png")
    return study


def test_every_job_and_state_is_named(study: Study) -> None:
    said = shown(study)
    for job in look(study).jobs:
        assert job.name in said
    for count in ("1 done", "2 running", "1 failed", "1 killed", "3 waiting"):
        assert count in said
    assert f"{AWAY}"[:20] in said and "gpu 1" in said and "6/24 steps" in said


def test_a_job_that_failed_is_shown_with_its_notebook_and_why_as_text(study: Study) -> None:
    said = shown(study)
    assert "/runs/02_train_lora_pa.ipynb" in said and "ValueError: [bold]no such[/bold] card" in said
    assert "is gone: killed" in said and "/runs/03_inference_pa.ipynb" in said


def test_curves_of_the_packs_that_train_are_drawn_and_the_newest_pictures_named(study: Study) -> None:
    said = shown(study)
    assert "Losses 02_train_lora_pb" in said and "█" in said and "samples/r4_a4/test_0_0.png" in said


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(study: Study, width: int) -> None:
    assert max(map(len, shown(study, width, pictures=True).splitlines())) <= width


def test_a_hundred_jobs_are_counted_and_those_that_matter_shown(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    packs(study, *(f"p{n:03}" for n in range(100)))
    write(study, *(record(f"02_train_lora_p{n:03}", "done", 200 - n, 199 - n) for n in range(50)))
    write(study, record("02_train_lora_p070"), record("02_train_lora_p060", "failed", 2, 1, why="RuntimeError: lost"))
    said = shown(study)
    assert len(said.splitlines()) < 40 and "50 done" in said and "more" in said
    assert "02_train_lora_p070" in said and "RuntimeError: lost" in said


def test_pictures_are_drawn_only_where_there_are_lines_and_colours(study: Study) -> None:
    for colours, height, drawn in (("truecolor", 80, True), ("truecolor", 20, False), (None, 80, False)):
        console = Console(width=100, height=height, color_system=colours, force_terminal=True)
        with console.capture() as captured:
            console.print(fitting(look(study), console))
        assert ("▀" in captured.get()) is drawn


def test_a_study_of_which_nothing_was_made_says_what_to_start(tmp_path: Path) -> None:
    assert "--config study=small" in " ".join(shown(small_study(tmp_path)).split())


def test_a_picture_that_goes_while_it_is_shown_is_left_out(study: Study) -> None:
    view = look(study)
    view.pictures[0].unlink()
    console = Console(width=100)
    with console.capture():
        console.print(rendered(view, 100))


def test_half_blocks_have_the_colours_of_the_picture(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[:2] = 255  # white above black
    Image.fromarray(pixels).resize((64, 64), Image.Resampling.NEAREST).save(tmp_path / "a.png")
    text = half_blocks(tmp_path / "a.png", 2)
    assert text.plain == "▀▀"
    style = text.spans[0].style
    assert not isinstance(style, str) and style.color and style.bgcolor
    assert min(style.color.get_truecolor()) > 200 and max(style.bgcolor.get_truecolor()) < 55


def test_half_blocks_keep_the_shape_of_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (50, 100)).save(tmp_path / "a.png")
    rows = half_blocks(tmp_path / "a.png", 10).plain.splitlines()
    assert [len(row) for row in rows] == [10] * 10  # a letter is as high as two pixels


def test_a_sparkline_goes_from_the_lowest_to_the_highest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 0, 7) == "▁▂▃▄▅▆▇█"
    assert sparkline([1, math.nan, math.inf, 1], 1, 1) == "▁  ▁"


@pytest.mark.parametrize("count", [1, 2, 59, 60, 61, 1000])
def test_a_smoothed_curve_stays_between_its_lowest_and_highest(count: int) -> None:
    values = [float(value) for value in np.random.default_rng(count).normal(size=count)]
    smooth = smoothed(values, 60)
    assert len(smooth) == min(count, 60) and min(values) <= min(smooth) and max(smooth) <= max(values)
    assert smoothed([3.0] * count, 60) == [3.0] * len(smooth)


def test_what_is_not_finite_is_left_out_of_a_smoothed_curve() -> None:
    assert smoothed([1.0, math.nan, 1.0], 3) == [1.0, 1.0, 1.0] and math.isnan(smoothed([math.nan], 3)[0])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (90 * 60, "1 h 30 min"), (3599, "1 h 00 min"), (125, "2 min")],
)
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
