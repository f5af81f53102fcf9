"""jobs/work.py: how far a process is can be read while it works, by anybody, and belongs to the job that started it."""

import json
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from caplora.jobs.work import POINTS, SILENT, drop_work, read_works, thinned, work_here, write_work
from caplora.study.reading import PROJECT
from tests.watching.small import AWAY, HERE, dead_pid, record, small_study

KERNEL = """
import sys
from caplora.jobs import work_here, write_work
from caplora.study import read_study
write_work(read_study(sys.argv[1]), work_here("it draws", "batches", 4), 1, {})
"""


def test_a_work_is_there_until_it_is_dropped(tmp_path: Path) -> None:
    study, own = small_study(tmp_path), work_here("it trains", "steps", 9)
    write_work(study, own, 3, {"r4_a4": [(1, 0.5), (2, 0.25)]})
    (read,) = read_works(study)
    assert (read.doing, read.done, read.total, read.unit) == ("it trains", 3, 9, "steps")
    assert read.losses == {"r4_a4": ((1, 0.5), (2, 0.25))} and not read.gone
    drop_work(study, own)
    drop_work(study, own)
    assert read_works(study) == []


def test_a_work_belongs_to_the_job_whose_process_started_it(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    subprocess.run([sys.executable, "-c", KERNEL, str(tmp_path / "small.yaml")], check=True, cwd=PROJECT)
    (work,) = read_works(study)
    assert work.pids[1] == os.getpid() and work.gone
    assert work.is_of(record("03_inference")) and not work.is_of(record("03_inference", pid=dead_pid()))
    assert not work.is_of(record("03_inference", host=AWAY))


def test_what_is_left_goes_on_at_the_pace_so_far() -> None:
    now = time.time()
    own = replace(work_here("", "", 40), began=now - 600, at=now, done=10)
    assert own.minutes == pytest.approx(30, abs=0.1)  # ten took ten minutes
    assert replace(own, at=now - 60, began=now - 660).minutes == pytest.approx(29, abs=0.1)  # a minute old by now
    assert replace(own, done=40).minutes == 0 and replace(own, done=0).minutes is None


def test_a_work_of_a_process_that_was_killed_is_known_here_and_elsewhere_by_its_silence() -> None:
    own = work_here("", "", 1)
    silent = replace(own, at=own.at - SILENT - 1)
    assert own.host == HERE and not own.gone and not silent.gone
    assert replace(own, pids=(dead_pid(),)).gone
    assert replace(silent, host=AWAY).gone and not replace(own, host=AWAY, pids=(dead_pid(),)).gone


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"doing": "x"})])
def test_a_torn_file_is_left_out(text: str, tmp_path: Path) -> None:
    study, own = small_study(tmp_path), work_here("it trains", "steps", 9)
    write_work(study, own, 3, {})
    next((study.run / "cache" / "work").glob("*.json")).write_text(text, encoding="utf-8")
    assert read_works(study) == []


def test_a_loss_that_is_not_finite_is_kept_as_it_is(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    write_work(study, work_here("", "", 1), 1, {"r4_a4": [(1, math.nan), (2, math.inf)]})
    losses = [loss for _, loss in read_works(study)[0].losses["r4_a4"]]
    assert math.isnan(losses[0]) and losses[1] == math.inf


@pytest.mark.parametrize("count", [0, 1, POINTS, POINTS + 1, 1000])
def test_a_long_curve_is_thinned_to_means_of_neighbours(count: int) -> None:
    curve = [(step, 2.0 * step) for step in range(1, count + 1)]
    thin = thinned(curve)
    assert len(thin) <= POINTS and len(thin) == min(count, len(thin)) and bool(thin) == bool(count)
    assert all(loss == pytest.approx(2 * step) for step, loss in thin)  # a line stays the line that it is
    if count <= POINTS:
        assert list(thin) == curve
