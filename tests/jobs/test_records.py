"""jobs/records.py: what a job wrote is read as it was written, or not at all, and a job that was killed is known."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from caplora.jobs.records import Record, gone, read_ended, read_record, read_records, records_folder, write_record
from tests.watching.small import AWAY, HERE, at, dead_pid, record, small_study, write


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    own = record("02_train_lora_p1", "failed", 9, 2, why="ValueError: größer — “so”", gpu="0", run=3)
    write_record(tmp_path / "a.json", own)
    assert read_record(tmp_path / "a.json") == own
    assert list(json.loads((tmp_path / "a.json").read_text("utf-8"))) == [
        "job", "notebook", "variants", "state", "why", "began", "ended", "host", "pid", "gpu", "run",
    ]  # fmt: skip


def test_records_come_in_the_order_of_their_notebooks_then_as_they_began(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    begun = {
        "03_inference_p1": 5,
        "01_data_captioning": 9,
        "03_inference": 1,
        "02_train_lora_b": 6,
        "02_train_lora_a": 7,
    }
    write(study, *(record(job, began=minutes) for job, minutes in begun.items()))
    assert [r.job for r in read_records(study)] == [
        "01_data_captioning", "02_train_lora_a", "02_train_lora_b", "03_inference_p1", "03_inference",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", '{"job": "02_tr', "[]", '{"job": 1}', '{"some": "thing"}', "\x00"])
def test_a_torn_or_foreign_file_is_left_out(text: str, tmp_path: Path) -> None:
    study = small_study(tmp_path)
    write(study, record("01_data_captioning"))
    (records_folder(study) / "other.json").write_text(text, encoding="utf-8")
    assert [r.job for r in read_records(study)] == ["01_data_captioning"]


def test_a_study_without_jobs_has_no_records(tmp_path: Path) -> None:
    assert read_records(small_study(tmp_path)) == [] and read_ended(tmp_path / "none.json") is None


@pytest.mark.parametrize(("state", "ended"), [("running", False), ("done", True), ("failed", True)])
def test_only_a_job_that_is_done_or_failed_has_ended(state: str, ended: bool, tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", record("05_analysis", state))
    assert bool(read_ended(tmp_path / "a.json")) is ended


def test_a_running_job_whose_process_is_gone_was_killed() -> None:
    lives, died = record("04_clipscore"), record("04_clipscore", pid=dead_pid())
    assert died.killed and not lives.killed
    assert not replace(died, state="done").killed and not replace(died, state="failed").killed


def test_a_process_that_waits_to_be_buried_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert ended.stdout and ended.stdout.read() == b""  # it has ended, and nobody has asked how
    while not gone(HERE, ended.pid, time.time()):
        time.sleep(0.01)
    ended.communicate()


def test_a_younger_process_with_the_number_of_the_job_is_another_one() -> None:
    assert replace(record("04_clipscore"), began="2001-01-01T00:00:00Z").killed


def test_a_process_of_another_machine_is_believed() -> None:
    assert not record("04_clipscore", host=AWAY, pid=dead_pid()).killed
    assert not gone(AWAY, os.getpid(), 0)


def test_a_job_takes_from_its_beginning_to_its_end_or_to_now() -> None:
    assert Record("a", "", (), "done", began="2026-11-29T23:59:00Z", ended="2026-11-30T00:01:30Z").seconds == 150
    assert 119 <= Record("a", "", (), "running", began=at(2)).seconds <= 130
    assert Record("a", "", (), "running", began="yesterday").seconds == 0
