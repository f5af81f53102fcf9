"""The files that jobs write → what a study is doing: nothing is asked of the jobs themselves.

Any machine that sees the folder of the run will do. What is not there yet is empty, and what goes while it is read is
left out.
"""

import csv
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from caplora.jobs import KILLED, RUNNING, Record, Work, read_records, read_works
from caplora.study import Study
from caplora.watching.pace import minutes_left
from caplora.watching.view import NOTEBOOKS, WAITING, Job, View

NEWEST = 6  # pictures


def look(study: Study) -> View:
    """What a study is doing right now, by its files."""
    works = [work for work in read_works(study) if not work.gone]
    jobs = [_begun(record, works) for record in read_records(study)]
    jobs += [Job(name, WAITING) for name in _to_come(study, [job.name for job in jobs])] if jobs else []
    taken = [job.work for job in jobs]
    free = tuple(work for work in works if work not in taken)
    minutes, unknown = minutes_left(jobs, free)
    made, pictures = _made(study), newest_pictures(study)
    return View(study.name, study.run, tuple(jobs), free, minutes, unknown, made, pictures)


def _begun(record: Record, works: Iterable[Work]) -> Job:
    """The job of a record, with what it does."""
    state = KILLED if record.killed else record.state
    own = [work for work in works if state == RUNNING and work.is_of(record)]
    return Job(record.job, state, record, max(own, key=lambda work: work.at, default=None))


def _to_come(study: Study, begun: Sequence[str]) -> list[str]:
    """The jobs of a study that have not begun: of each pack, where there are several, and those over all."""
    first, train, draw, *rest = NOTEBOOKS
    packs = sorted(path.stem for path in (study.run / "packs").glob("*.yaml"))
    of_packs = [f"{notebook}_{pack}" for notebook in (train, draw) for pack in packs] if len(packs) > 1 else [train]
    return [name for name in (first, *of_packs, draw, *rest) if name not in begun]


def newest_pictures(study: Study) -> tuple[Path, ...]:
    """The newest picture of each folder that samples or previews are drawn into, the newest first."""
    folders = [*_folders(study.drawn / "samples"), *study.run.glob("adapters/*/previews")]
    newest = sorted(folders, key=_time, reverse=True)[:NEWEST]  # a new file changes the time of its folder
    found = [max(pictures, key=_time) for folder in newest if (pictures := _pictures(folder))]
    return tuple(sorted(found, key=_time, reverse=True))


def _made(study: Study) -> dict[str, int]:
    """How many there are of each thing that a study makes."""
    drawn = [folder for folder in _folders(study.drawn / "samples") if "@" not in folder.name]
    trained = [folder for folder in _folders(study.run / "adapters") if "~" not in folder.name]  # the rest is set aside
    scored = _time(study.scores)
    return {
        "captions": _rows(study.dataset / "metadata.csv"),
        "adapters": sum((folder / "settings.json").is_file() for folder in trained),
        "samples": sum(len(_pictures(folder)) for folder in drawn),
        "scores": _rows(study.scores),
        "report": int(0 < scored <= _time(study.report)),
    }


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, those of locks and half-written files aside."""
    with suppress(OSError), os.scandir(folder) as entries:
        return [Path(e.path) for e in entries if e.is_dir() and not e.name.startswith(".")]
    return []


def _pictures(folder: Path) -> list[Path]:
    """The whole pictures in a folder; caplora makes no links, so one is somebody else's."""
    with suppress(OSError), os.scandir(folder) as entries:
        found = [e for e in entries if e.name.endswith(".png") and not e.name.startswith(".")]
        return [Path(e.path) for e in found if not e.is_symlink()]
    return []


def _rows(table: Path) -> int:
    """The rows of a table; 0 where there is none."""
    with suppress(OSError, csv.Error), open(table, newline="", encoding="utf-8") as file:
        return max(0, sum(1 for _ in csv.reader(file)) - 1)
    return 0


def _time(path: Path) -> float:
    """When a file was written; 0 where there is none."""
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
