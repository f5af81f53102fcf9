"""The record of a job: one JSON file a job, written when it begins and again when it ends.

Whoever reads it meets a whole record or none. A record that says "running" may be of a job that was killed: on the
machine of the job the process tells, on any other the record is believed.
"""

import json
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import TypeAdapter, ValidationError

from caplora.study import Study, write_text

RUNNING, DONE, FAILED, KILLED = "running", "done", "failed", "killed"  # the last is read, never written
TIME = "%Y-%m-%dT%H:%M:%SZ"
SLACK = 60.0  # seconds that a process may seem younger than its record, by clocks that were set


@dataclass(frozen=True)
class Record:
    """One job: a notebook that is run, or was, for some variants of a study."""

    job: str  # <notebook> or <notebook>_<pack>
    notebook: str  # where the executed notebook lies; it is kept when it fails
    variants: tuple[str, ...]
    state: str  # running, done or failed
    why: str = ""  # the last line of the exception
    began: str = ""  # UTC, 2026-11-29T10:00:00Z
    ended: str = ""  # the same; empty while it runs
    host: str = ""
    pid: int = 0
    gpu: str = ""  # which card of the machine, where it was given one
    run: int = 0

    @property
    def killed(self) -> bool:
        """Whether the job is said to run, on this machine, and its process is gone."""
        return self.state == RUNNING and gone(self.host, self.pid, seconds_of(self.began))

    @property
    def seconds(self) -> float:
        """How long the job took, or has taken so far; 0 for one that does not say when it began."""
        began = seconds_of(self.began)
        return max(0.0, (seconds_of(self.ended) or time.time()) - began) if began else 0.0


RECORD = TypeAdapter(Record)


def gone(host: str, pid: int, since: float) -> bool:
    """Whether a process of this machine is no more; one of another machine is believed.

    A process that has its number and began after `since` (seconds of the epoch) is another one.
    """
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE or process.create_time() > since + SLACK
    except (psutil.NoSuchProcess, ValueError):
        return True
    except psutil.AccessDenied:
        return False


def seconds_of(said: str) -> float:
    """Seconds of the epoch of a time as records write it; 0 for what is no time."""
    try:
        return datetime.strptime(said, TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def records_folder(study: Study) -> Path:
    """Where the records of a study's jobs are."""
    return study.run / "jobs"


def record_path(study: Study, job: str) -> Path:
    """Where the record of a job is."""
    return records_folder(study) / f"{job}.json"


def now() -> str:
    """The time as records have it."""
    return datetime.now(UTC).strftime(TIME)


def write_record(path: Path, record: Record) -> None:
    """Write a record, whole or not at all."""
    write_text(path, json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")


def read_record(path: Path) -> Record | None:
    """The record in a file; None where there is none, or something else."""
    try:
        return RECORD.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def read_ended(path: Path) -> Record | None:
    """The record in a file of a job that has ended, done or failed; None where it has not, or there is none."""
    record = read_record(path)
    return record if record and record.state in (DONE, FAILED) else None


def read_records(study: Study) -> list[Record]:
    """The records of all jobs of a study, in the order of their notebooks; a torn or foreign file is left out."""
    found = [read_record(path) for path in records_folder(study).glob("*.json")]
    return sorted((record for record in found if record), key=_in_order)


def next_run(path: Path, files: Sequence[Path]) -> int:
    """The number of a job's next run: the same as of the last one where that was done and its files are there.

    The graph runs a job again whose number has changed.
    """
    record = read_record(path)
    if record is None:
        return 0
    return record.run + (record.state != DONE or not all(file.exists() for file in files))


def _in_order(record: Record) -> tuple[str, str, str]:
    """By the number of the notebook, then as they began."""
    return record.job[:2], record.began, record.job
