"""A study at one moment, as one value: its jobs, how long they take yet, what they made."""

from dataclasses import dataclass
from pathlib import Path

from caplora.jobs import DONE, FAILED, KILLED, RUNNING, Record, Work
from caplora.study import counted as number_of

WAITING = "waiting"
STATES = (DONE, RUNNING, FAILED, KILLED, WAITING)
NOTEBOOKS = ("01_data_captioning", "02_train_lora", "03_inference", "04_clipscore", "05_analysis")
SHOWN = 14  # jobs, at most: those that run or failed before those that are done, and those before what is to come


@dataclass(frozen=True)
class Job:
    """A job of the study, begun or not."""

    name: str
    state: str  # one of STATES
    record: Record | None = None  # of one that has begun
    work: Work | None = None  # what it does right now, where it says so

    @property
    def where(self) -> str:
        """The machine it runs on, and the card of it."""
        if not self.record:
            return ""
        return f"{self.record.host} gpu {self.record.gpu}" if self.record.gpu else self.record.host

    @property
    def took(self) -> str:
        """How long it took, or has taken so far; nobody knows when one was killed."""
        return in_words(self.record.seconds) if self.record and self.state != KILLED else ""

    @property
    def left(self) -> str:
        """How long its present work takes yet, where that is known."""
        return left_of(self.work) if self.work else ""

    @property
    def why(self) -> str:
        """Why it came to nothing."""
        if self.state == KILLED and self.record:
            return f"process {self.record.pid} on {self.record.host} is gone: killed, or the machine began anew"
        return self.record.why if self.record and self.state == FAILED else ""


@dataclass(frozen=True)
class View:
    """A study at one moment."""

    study: str
    run: Path
    jobs: tuple[Job, ...]  # those that have begun, then those that are to come
    works: tuple[Work, ...]  # of processes that are no job's: notebooks that are run by hand
    minutes: float | None  # left, of the jobs whose pace is known; None where none is
    unknown: int  # jobs whose pace is not known
    made: dict[
        str, int
    ]  # how many there are of captions, adapters, samples, scores; report: 1 once it is of the scores
    pictures: tuple[Path, ...]  # the newest of each folder, the newest first

    def of(self, *states: str) -> list[Job]:
        """The jobs in one of these states."""
        return [job for job in self.jobs if job.state in states]

    def shown(self, most: int = SHOWN) -> list[Job]:
        """The jobs that are worth a line each, in their order."""
        first = [*self.of(RUNNING), *self.of(FAILED, KILLED), *self.of(DONE)[::-1], *self.of(WAITING)][:most]
        return [job for job in self.jobs if job in first]

    @property
    def training(self) -> list[tuple[str, Work]]:
        """What trains and has losses to show, each with its name."""
        named = [(job.name, job.work) for job in self.jobs if job.work] + [(w.doing, w) for w in self.works]
        return [(name, work) for name, work in named if any(work.losses.values())]

    @property
    def empty(self) -> bool:
        """Whether nothing at all was made of the study."""
        return not (self.jobs or self.works or any(self.made.values()))

    @property
    def over(self) -> bool:
        """Whether nothing runs, and the last notebook ended after all others; by hand, whether the report is there."""
        if self.works or self.of(RUNNING):
            return False
        records = [job.record for job in self.jobs if job.record]
        if not records:
            return bool(self.made["report"])
        ended = max((r.ended for r in records if r.job == NOTEBOOKS[-1]), default="")
        return bool(ended) and ended >= max(r.began for r in records)

    def to_start(self) -> str:
        """What to begin, where nothing was made yet."""
        return (
            f"nothing was made of study {self.study} yet ({self.run}): begin it with"
            f" `snakemake --cores all --config study={self.study} variants=grid`, or by hand in notebook 01"
        )

    def said(self) -> str:
        """How far the study is, in a sentence."""
        if not self.jobs:
            doing = "is run by hand" if self.works else "was run by hand, and nothing runs"
            return doing + self._left()
        counted = f"{len(self.of(DONE))} of {len(self.jobs)} jobs done"
        if self.over:
            return f"{counted}, the study has ended"
        return counted + (self._left() if self.of(RUNNING) else ", nothing runs")

    def _left(self) -> str:
        """How many minutes are left, as far as it is known."""
        if self.minutes is None:
            return ""
        besides = f", not counting {number_of(self.unknown, 'job')} of unknown length" if self.unknown else ""
        return f", about {in_words(self.minutes * 60)} left{besides}"

    def made_said(self) -> str:
        """What lies in the folders of the study, in words."""
        there = {kind: number for kind, number in self.made.items() if number and kind != "report"}
        counts = [f"{number:,} {kind if number > 1 else kind.removesuffix('s')}" for kind, number in there.items()]
        return " · ".join([*counts, *["the report"][: self.made["report"]]]) or "nothing yet"


def left_of(work: Work) -> str:
    """How long a work takes yet; empty where that is not known."""
    return "" if work.minutes is None else in_words(work.minutes * 60)


def in_words(seconds: float) -> str:
    """A time as people say it: 45 s, 12 min, 3 h 05 min."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
