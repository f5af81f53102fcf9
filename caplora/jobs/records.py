"""Jobs of a study → records of how each began and ended, one small file for each: what the graph and people read."""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caplora.study import Study, write_text


@dataclass(frozen=True)
class Record:
    """A notebook that runs or ran as a job."""

    job: str  # 02_train_lora, or of a pack 02_train_lora_p1a2b3c4d
    notebook: str  # where its executed copy is, or the log of a command
    variants: tuple[str, ...] = ()  # the names of those that it is about
    state: str = "running"  # or done, or failed
    why: str = ""  # it failed: the exception's last line
    began: str = ""  # UTC, 2026-11-29T10:00:00Z
    ended: str = ""
    host: str = ""
    pid: int = 0
    gpu: str = ""  # the number of the card that it holds on its machine
    run: int = 0  # how often it was begun again after it had failed or lost its files

    @property
    def killed(self) -> bool:
        """Whether its process went without a word; one of another machine is believed to run."""
        return self.state == "running" and self.host == socket.gethostname() and not _runs(self.pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def now() -> str:
    """The time as records have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def record_path(study: Study, job: str) -> Path:
    """Where the record of a job is."""
    return study.run / "jobs" / f"{job}.json"


def write_record(path: Path, record: Record) -> None:
    """Write a record, whole or not at all."""
    write_text(path, json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n")


def read_record(path: Path) -> Record | None:
    """The record in a file; None where there is none, or something else."""
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Record(**{**said, "variants": tuple(said["variants"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def read_records(study: Study) -> list[Record]:
    """The records of a study's jobs, in the order of their notebooks."""
    found = (read_record(path) for path in sorted((study.run / "jobs").glob("*.json")))
    return [record for record in found if record]


def next_run(path: Path, files: Sequence[Path]) -> int:
    """The number of a job's next run: the same as of the last one where that was done and its files are there.

    The graph runs a job again whose number has changed.
    """
    record = read_record(path)
    if record is None:
        return 0
    return record.run + (record.state != "done" or not all(file.exists() for file in files))
