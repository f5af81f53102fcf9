"""jobs/gpus.py: each job of a machine holds a card of its own, and a dead job holds none."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from caplora.jobs.gpus import VISIBLE, own_gpu, visible_gpus
from caplora.study.reading import PROJECT

HOLDER = """
import os, sys, time
from pathlib import Path
from caplora.jobs.gpus import own_gpu
with own_gpu(["0", "1"], Path(sys.argv[1])) as gpu:
    print(gpu, os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """A process that holds one of two cards until its input ends."""
    words = [sys.executable, "-c", HOLDER, str(folder)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


def held(process: subprocess.Popen[str]) -> str:
    """The card that a process says it holds, once it does."""
    assert process.stdout
    gpu, visible = process.stdout.readline().split()
    assert gpu == visible
    return gpu


def test_two_processes_hold_two_cards_and_a_third_waits_for_one_that_was_killed(tmp_path: Path) -> None:
    first, second = holder(tmp_path), holder(tmp_path)
    try:
        cards = {held(first): first, held(second): second}
        assert set(cards) == {"0", "1"}
        third = holder(tmp_path)
        cards["1"].send_signal(signal.SIGKILL)
        assert held(third) == "1"
        third.communicate()
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


def test_several_cards_are_held_all_or_none(tmp_path: Path) -> None:
    process = holder(tmp_path)
    one = held(process)
    with ThreadPoolExecutor() as pool:

        def both() -> str:
            with own_gpu(["0", "1"], tmp_path, 2) as gpus:
                return gpus

        waiting = pool.submit(both)
        time.sleep(0.2)
        with own_gpu([{"0": "1", "1": "0"}[one]], tmp_path):  # is let go by who waits for two
            assert not waiting.done()
        process.kill()
        process.communicate()
        assert waiting.result(timeout=30) == "0,1"
    with (
        pytest.raises(RuntimeError, match="3 GPUs are asked for, a process each, and there are 0, 1"),
        own_gpu(["0", "1"], tmp_path, 3),
    ):
        pass


@pytest.mark.parametrize("before", [None, "", "3,5"])
def test_what_was_visible_is_visible_again_also_after_an_error(
    before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VISIBLE, before)
    with suppress(ZeroDivisionError), own_gpu(["5"], tmp_path) as gpu:
        assert gpu == os.environ[VISIBLE] == "5"
        raise ZeroDivisionError
    assert os.environ.get(VISIBLE) == before
    with own_gpu(["5"], tmp_path):  # which is free again
        pass


def test_a_card_that_has_a_scheduler_is_not_chosen_among(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "0,1")
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert visible_gpus() == []
    with own_gpu(visible_gpus(), tmp_path) as gpu:
        assert gpu == "" and os.environ[VISIBLE] == "0,1" and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("said", "cards"), [("echo 0; echo 1", ["0", "1"]), ("exit 9", []), ("true", [])])
def test_cards_are_those_that_the_driver_lists_and_none_where_it_fails(
    said: str, cards: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{said}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in (VISIBLE, "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    assert visible_gpus() == cards


def test_there_are_no_cards_where_there_is_no_driver_or_none_may_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in (VISIBLE, "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    assert visible_gpus() == []
