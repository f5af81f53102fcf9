"""How far a running job is in what it does: one small file a process, written every few seconds while it works.

It lies in the cache of a run, is replaced whole, and goes when the work ends. It names the process and those that
started it, because a notebook runs in a kernel, and its job is the process that started the kernel.
"""

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil
from pydantic import TypeAdapter, ValidationError

from caplora.jobs.records import Record, gone
from caplora.study import Study, write_text

POINTS = 120  # of a curve, at most
SILENT = 1800.0  # seconds after which a work on another machine is thought to be no more
Curve = tuple[tuple[float, float], ...]  # step, loss


@dataclass(frozen=True)
class Work:
    """A long work of a process, as far as it is."""

    doing: str
    unit: str  # what is counted: steps, batches
    total: int
    host: str
    pids: tuple[int, ...]  # of the process, and of those that started it, the nearest first
    began: float  # seconds of the epoch
    done: int = 0
    at: float = 0.0  # when it was written, seconds of the epoch
    losses: dict[str, Curve] = field(default_factory=dict)  # variant → its curve, where it trains

    @property
    def minutes(self) -> float | None:
        """How many are left by the pace so far; None before the first is done."""
        spent = max(0.0, self.at - self.began)
        return (
            max(0.0, spent / self.done * (self.total - self.done) - (time.time() - self.at)) / 60 if self.done else None
        )

    @property
    def gone(self) -> bool:
        """Whether its process is no more: one of this machine is asked for, any other has been silent for long."""
        if self.host == socket.gethostname():
            return gone(self.host, self.pids[0], self.began)
        return time.time() - self.at > SILENT

    def is_of(self, record: Record) -> bool:
        """Whether the process belongs to a job."""
        return self.host == record.host and record.pid in self.pids


WORK = TypeAdapter(Work)


def work_here(doing: str, unit: str, total: int) -> Work:
    """A work that this process begins now."""
    pids = (os.getpid(), *(parent.pid for parent in psutil.Process().parents()))
    now = time.time()
    return Work(doing, unit, total, socket.gethostname(), pids, now, at=now)


def write_work(study: Study, work: Work, done: int, losses: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Say that so many of a work are done, and with what losses (variant → step and loss) so far."""
    curves = {variant: thinned(curve) for variant, curve in losses.items()}
    now = replace(work, done=done, at=time.time(), losses=curves)
    write_text(_path(study, work), json.dumps(asdict(now), ensure_ascii=False) + "\n")


def drop_work(study: Study, work: Work) -> None:
    """Say that a work has ended: its file goes."""
    with suppress(OSError):
        _path(study, work).unlink(missing_ok=True)


def read_works(study: Study) -> list[Work]:
    """What is being worked at, the earliest first; what a process that was killed left is there too."""
    found = [_read(path) for path in _folder(study).glob("*.json")]
    return sorted((work for work in found if work), key=lambda work: work.began)


def thinned(curve: Sequence[tuple[int, float]]) -> Curve:
    """A curve of at most POINTS points, each the mean of neighbours; all of them where there are fewer."""
    size = -(-len(curve) // POINTS) or 1
    parts = [curve[start : start + size] for start in range(0, len(curve), size)]
    return tuple((_mean([step for step, _ in part]), _mean([loss for _, loss in part])) for part in parts)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _folder(study: Study) -> Path:
    return study.run / "cache" / "work"


def _path(study: Study, work: Work) -> Path:
    return _folder(study) / f"{work.host}_{work.pids[0]}.json"


def _read(path: Path) -> Work | None:
    try:
        return WORK.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
