"""A tiny study with the files that its jobs would have left."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import yaml
from PIL import Image

from caplora.jobs.records import TIME, Record, records_folder, write_record
from caplora.jobs.work import Work, work_here, write_work
from caplora.study.study import Study, read_study

HERE = socket.gethostname()
AWAY = f"not-{HERE}"


def small_study(folder: Path) -> Study:
    """A study of which nothing was made."""
    settings = {
        "name": "small",
        "images": {"folder": "faces"},
        "sampling": {"development": ["one"], "test": ["two", "three"]},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return read_study(folder / "small.yaml")


def at(minutes: float) -> str:
    """A time so many minutes ago, as records write it."""
    return time.strftime(TIME, time.gmtime(time.time() - 60 * minutes))


def record(job: str, state: str = "running", began: float = 0, ended: float | None = None, **said: object) -> Record:
    """A record of this process: began and ended so many minutes ago."""
    own = Record(job, f"/runs/{job}.ipynb", ("r4_a4",), state, began=at(began), host=HERE, pid=os.getpid())
    return replace(own, ended="" if ended is None else at(ended), **said)


def write(study: Study, *records: Record) -> None:
    for own in records:
        write_record(records_folder(study) / f"{own.job}.json", own)


def packs(study: Study, *names: str) -> None:
    (study.run / "packs").mkdir(parents=True, exist_ok=True)
    for name in names:
        (study.run / "packs" / f"{name}.yaml").write_text("variants: []\n", encoding="utf-8")


def works(study: Study, done: int, total: int, began: float = 0, host: str = HERE, **losses: list) -> Work:
    """A work of this process, or of one on another machine, that began so many minutes ago."""
    own = replace(work_here("it trains", "steps", total), began=time.time() - 60 * began, host=host)
    write_work(study, own, done, losses)
    return own


def picture(path: Path, colour: str = "green", minutes: float = 0) -> Path:
    """A picture that was drawn so many minutes ago, the folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), colour).save(path)
    for own in (path, path.parent):
        os.utime(own, (time.time() - 60 * minutes,) * 2)
    return path


def dead_pid() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid
