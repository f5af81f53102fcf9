"""watching/looking.py: what a study is doing is read from its files, whoever wrote them and whatever lacks."""

import os
import time
from pathlib import Path

from caplora.study.study import Study
from caplora.watching.looking import NEWEST, look
from caplora.watching.view import NOTEBOOKS
from tests.watching.small import AWAY, dead_pid, packs, picture, record, small_study, works, write


def states(study: Study) -> dict[str, str]:
    return {job.name: job.state for job in look(study).jobs}


def test_a_study_of_which_nothing_was_made_is_empty_and_not_over(tmp_path: Path) -> None:
    view = look(small_study(tmp_path))
    assert view.empty and not view.over and view.jobs == () and view.minutes is None
    assert "snakemake" in view.to_start() and "small" in view.to_start()


def test_every_job_is_in_one_state(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    packs(study, "pa", "pb", "pc")
    write(
        study,
        record(NOTEBOOKS[0], "done", 20, 15),
        record("02_train_lora_pa", "failed", 15, 10, why="ValueError: no"),
        record("02_train_lora_pb", pid=dead_pid()),
        record("02_train_lora_pc", host=AWAY, pid=dead_pid()),
    )
    expected = {NOTEBOOKS[0]: "done", "02_train_lora_pa": "failed", "02_train_lora_pb": "killed"}
    waiting = ["03_inference_pa", "03_inference_pb", "03_inference_pc", *NOTEBOOKS[2:]]
    assert states(study) == expected | {"02_train_lora_pc": "running"} | dict.fromkeys(waiting, "waiting")


def test_a_study_of_one_pack_has_the_five_jobs(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    packs(study, "pa")
    write(study, record(NOTEBOOKS[0]))
    assert list(states(study)) == [*NOTEBOOKS]


def test_a_work_is_shown_with_its_job_and_one_of_no_job_by_itself(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    own = works(study, 2, 8, r4_a4=[(1, 0.5)])
    assert look(study).works[0].doing == own.doing and not look(study).empty and not look(study).over
    write(study, record("02_train_lora"))
    view = look(study)
    assert view.works == () and view.training[0][0] == "02_train_lora"
    assert view.jobs[0].work is not None and view.jobs[0].work.done == 2


def test_a_study_that_was_run_by_hand_shows_what_it_made(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    for folder in ("r4_a4", "r8_a8", "r4_a4~1"):  # the last was set aside
        (study.run / "adapters" / folder).mkdir(parents=True)
        (study.run / "adapters" / folder / "settings.json").write_text("{}")
    for arm in ("baseline", "r4_a4", "r4_a4@0.4"):
        picture(study.samples(arm) / "test_0_0.png")
        (study.samples(arm) / ".test_1_0.png.7.part").write_text("half")
    study.scores.write_text('variant,value\nbaseline,"1\n2"\nr4_a4,3\n')
    assert look(study).made == {"captions": 0, "adapters": 2, "samples": 2, "scores": 2, "report": 0}
    assert not look(study).over and look(study).said() == "was run by hand, and nothing runs"
    study.report.write_text("done")
    assert look(study).over
    os.utime(study.report, (1, 1))  # of earlier scores
    assert not look(study).over


def test_the_newest_picture_of_each_folder_comes_newest_first(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    picture(study.samples("baseline") / "test_0.png", minutes=9)
    newest = picture(study.samples("baseline") / "test_1.png", minutes=1)
    second = picture(study.run / "adapters" / "r4_a4" / "previews" / "step_000001_0.png", minutes=5)
    assert look(study).pictures == (newest, second)
    for number in range(9):
        picture(study.samples(f"r{number}_a1") / "test_0.png", minutes=20)
    assert len(look(study).pictures) == NEWEST and look(study).pictures[:2] == (newest, second)


def test_a_study_is_over_once_its_last_notebook_ended_after_all_others(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    write(study, *(record(name, "done", 9 - n, 8 - n) for n, name in enumerate(NOTEBOOKS)))
    assert look(study).over and "has ended" in look(study).said()
    write(study, record(NOTEBOOKS[1], "done", 0, 0))  # the study was begun again
    assert not look(study).over
    write(study, record(NOTEBOOKS[4], "failed", 0, 0, why="ValueError: packs lack"))
    assert look(study).over


def test_a_study_is_not_over_while_anything_runs(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    write(study, *(record(name, "done", 9 - n, 8 - n) for n, name in enumerate(NOTEBOOKS)))
    write(study, record("04_clipscore", began=9, host=AWAY))
    assert not look(study).over


def test_looking_writes_nothing(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    write(study, record("02_train_lora"))
    works(study, 1, 2)
    picture(study.samples("baseline") / "test_0.png")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    time.sleep(0.01)
    look(study)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
