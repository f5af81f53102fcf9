"""commands/watch.py: one look is printed, a study that has ended ends it, and so does Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from caplora.commands import main
from caplora.study.reading import PROJECT
from caplora.watching.view import NOTEBOOKS
from tests.watching.small import record, small_study, write


def test_one_look_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(small_study(tmp_path), record("02_train_lora"))
    assert main(["watch", str(tmp_path / "small.yaml"), "--once"]) == 0
    out, err = capsys.readouterr()
    assert "02_train_lora" in out and "1 running" in out and err == ""


def test_a_study_without_jobs_says_what_to_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_study(tmp_path)
    assert main(["watch", str(tmp_path / "small.yaml"), "--once"]) == 0
    assert "snakemake" in capsys.readouterr().out


def test_watching_ends_with_the_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(small_study(tmp_path), *(record(name, "done", 9 - n, 8 - n) for n, name in enumerate(NOTEBOOKS)))
    assert main(["watch", str(tmp_path / "small.yaml"), "--seconds", "3600"]) == 0
    assert "5 of 5 jobs done, the study has ended" in capsys.readouterr().out


def test_an_interrupt_ends_it_quietly(tmp_path: Path) -> None:
    write(small_study(tmp_path), record("02_train_lora"))
    env = os.environ | {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell may have it ignored
    line = [sys.executable, "-c", f"{heard}; from caplora.commands.app import main; raise SystemExit(main())"]
    line += ["watch", str(tmp_path / "small.yaml"), "--seconds", "0.1"]
    with subprocess.Popen(line, cwd=PROJECT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout and watching.stderr
        seen = b""
        while b"02_train_lora" not in seen:
            seen += os.read(watching.stdout.fileno(), 4096)
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        assert (watching.wait(), watching.stderr.read()) == (0, b"")
