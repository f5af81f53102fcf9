"""watching/pace.py: what is left follows from what running jobs say and from how long others like them took."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from caplora.jobs.work import Work, work_here
from caplora.watching.pace import kind, minutes_left
from caplora.watching.view import Job
from tests.watching.small import record


def work(done: int, total: int, minutes: float) -> Work:
    """A work that has taken so many minutes for what is done."""
    now = time.time()
    return replace(work_here("", "", total), began=now - 60 * minutes, at=now, done=done)


def ran(name: str, state: str, began: float, ended: float | None = None, own: Work | None = None) -> Job:
    return Job(name, state, record(name, state, began, ended), own)


@pytest.mark.parametrize(
    ("jobs", "minutes", "unknown"),
    [
        (list, None, 0),
        (lambda: [ran("02_train_lora", "running", 9)], None, 1),
        (lambda: [ran("02_train_lora", "running", 9, own=work(0, 8, 3))], None, 1),
        (lambda: [ran("02_train_lora", "running", 9, own=work(2, 8, 3))], 9, 0),  # 1.5 minutes a step, six to go
        (lambda: [ran("02_train_lora_a", "done", 20, 8), ran("02_train_lora_b", "running", 5)], 7, 0),
        (lambda: [ran("02_train_lora_a", "done", 20, 8), ran("02_train_lora_b", "running", 50)], 0, 0),
        (lambda: [ran("02_train_lora_a", "done", 20, 8), ran("03_inference", "running", 5)], None, 1),
        (lambda: [ran("02_train_lora_a", "failed", 20, 8), ran("02_train_lora_b", "running", 5)], None, 1),
        (lambda: [ran("02_train_lora_a", "done", 20, 8), *(Job(f"02_train_lora_{x}", "waiting") for x in "bc")], 24, 0),
        (
            lambda: [ran("02_train_lora_a", "done", 20, 8), *(ran(f"02_train_lora_{x}", "running", 2) for x in "bc")],
            10,
            0,
        ),
    ],
)
def test_minutes_left(jobs: Callable[[], list[Job]], minutes: float | None, unknown: int) -> None:
    left, not_known = minutes_left(jobs())
    assert (left, not_known) == (None if minutes is None else pytest.approx(minutes, abs=0.1), unknown)


def test_jobs_that_run_beside_each_other_take_no_longer_than_the_longest() -> None:
    two = [
        ran("02_train_lora_a", "running", 9, own=work(1, 11, 1)),
        ran("02_train_lora_b", "running", 9, own=work(1, 2, 1)),
    ]
    assert minutes_left(two)[0] == pytest.approx(10, abs=0.1)


def test_a_job_over_all_is_not_like_one_of_a_pack() -> None:
    assert kind("03_inference") != kind("03_inference_p1a2") == kind("03_inference_p9")
    assert kind("02_train_lora_p1") != kind("03_inference_p1")
