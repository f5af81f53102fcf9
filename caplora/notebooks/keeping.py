"""What every notebook holds beside its own object: the work of a study, kept in a second folder and brought back.

On Colab the second folder is one of Google Drive, because a machine of Colab forgets everything when it disconnects.
Any folder will do. Work is written where the notebook runs; the second folder gets a copy of what changed.
"""

import json
import os
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from caplora.captions import LEDGER, LedgerError, later_ledger
from caplora.study import PROJECT, disk_errors_name, write_text

DRIVE = Path("/content/drive/MyDrive")  # where Colab mounts it
OFF = "drive is not set: what is made here stays on this machine alone"
PASSING = (".part", ".lock", ".writer.json", ".kept.json")  # ends of names of files that belong to this machine
LEDGERS = ("history.jsonl", LEDGER)
T = TypeVar("T")


class DiffersError(ValueError):
    """Work on this machine and in the second folder that is not of one piece; the message names files and ways out."""


class Keeping:
    """The folders of a study under `root`, and the second folder that keeps them; without one nothing is kept.

    `bring_back` at the start of a session and `keep` at the end of a stage. Files are copied beside and renamed, so
    each is whole or not there. A ledger is only ever replaced by one that holds all its decisions.
    """

    def __init__(self, root: Path, name: str, folder: Path | None) -> None:
        self.root, self.folder = root, folder
        self.parts = (f"datasets/{name}", f"runs/{name}", f"figures/{name}", "params")
        self.dataset, self.own = f"datasets/{name}", f"params/studies/{name}.yaml"
        self.cache = f"runs/{name}/cache/"  # many small files that are made anew in less time than Drive takes
        self.note = root / "runs" / name / ".kept.json"  # file → its size and time when it was last the same in both

    @classmethod
    def open(cls, study: str, drive: str) -> "Keeping":
        """For a study by its name or file, in a folder of Google Drive or any other by its whole path; "" is none.

        Raises FileNotFoundError if Drive is not mounted.
        """
        path, folder = Path(study).resolve(), DRIVE / Path(drive).expanduser() if drive else None
        if path.suffix not in (".yaml", ".yml"):
            keeping = cls(PROJECT, study, folder)
        else:
            root = path.parents[2] if path.parts[-3:-1] == ("params", "studies") else path.parent
            keeping = cls(root, path.stem, folder)
        keeping._check_drive()
        return keeping

    def bring_back(self) -> str:
        """Copy what an earlier session left and this machine lacks; what was done, in a sentence.

        Raises DiffersError where this machine has other work of the study, and LedgerError where both have decisions.
        """
        if not self.folder:
            return OFF
        later = self._later()
        came = self._bring_back_files(self.folder) if self._known() is None else []
        if later == self.folder / self.dataset:
            self._copy_ledger(self.folder, self.root)
        captions = " and the captions" if later == self.folder / self.dataset else ""
        if not (came or captions):
            return f"{self.folder} has nothing that is not here"
        return f"{len(came)} files{captions} of an earlier session came from {self.folder}"

    def keep(self) -> str:
        """Copy what changed since the last time, and remove what was removed from `runs/`; what was done."""
        return self._keep(self.parts)

    def keep_captions(self) -> str:
        """The same for the images, their captions and the answers of people alone."""
        return self._keep(self.parts[:1])

    def during(self, work: Iterable[T], minutes: float = 5) -> Iterator[T]:
        """The items of a long work, one after the other, keeping what is there every few minutes.

        The work goes on where that fails, with a warning.
        """
        due = time.monotonic() + 60 * minutes
        for item in work:
            yield item
            if self.folder and time.monotonic() >= due:
                try:
                    self.keep()
                except OSError as error:
                    warnings.warn(f"not kept in {self.folder}, and going on: {error}", stacklevel=2)
                due = time.monotonic() + 60 * minutes

    def _bring_back_files(self, folder: Path) -> list[str]:
        """Copy everything but the ledger; the files that came."""
        there, here = self._files(folder, self.parts), self._files(self.root, self.parts)
        self._refuse_others([name for name in there if name in here and not _same(folder / name, self.root / name)])
        came = [name for name in _in_order(there) if name not in here]
        for name in came:
            _copy(folder / name, self.root / name)
        here = self._files(self.root, self.parts)
        self._note({name: here[name] for name in there if name in came or _same(folder / name, self.root / name)})
        return came

    def _keep(self, parts: Sequence[str]) -> str:
        if not self.folder:
            return OFF
        self._check_drive()
        if self._known() is None:
            self.bring_back()
        known, here = self._known() or {}, self._files(self.root, parts)
        changed = [name for name in _in_order(here) if known.get(name) != here[name]]
        try:
            for name in changed:
                _copy(self.root / name, self.folder / name)
                known[name] = here[name]
            for name in [n for n in known if n.startswith("runs/") and not (self.root / n).is_file()]:
                (self.folder / name).unlink(missing_ok=True)
                del known[name]
        finally:
            self._note(known)
        self._keep_ledger(self.folder)
        return f"kept in {self.folder}: {len(changed)} files, {sum(here[n][0] for n in changed) / 1e6:.1f} MB"

    def _keep_ledger(self, folder: Path) -> None:
        """Copy the ledger and its history last, when its images are there."""
        later = self._later()
        if later == folder / self.dataset:
            raise LedgerError(
                f"{later / LEDGER} holds decisions that {self.root / self.dataset} lacks: bring them back first (run"
                " the cell that brings back an earlier session again)"
            )
        if later:
            self._copy_ledger(self.root, folder)

    def _later(self) -> Path | None:
        """The folder with the later ledger of the two."""
        return later_ledger(self.root / self.dataset, self.folder / self.dataset) if self.folder else None

    def _copy_ledger(self, source: Path, target: Path) -> None:
        """The history first, as they are written."""
        (self.root / self.dataset).mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / self.dataset / ".history.lock", timeout=10):
            for name in LEDGERS:
                if (source / self.dataset / name).is_file():
                    _copy(source / self.dataset / name, target / self.dataset / name)

    def _refuse_others(self, names: list[str]) -> None:
        """Raise DiffersError for work that is there twice; other params and figures stay as this machine has them."""
        others = [name for name in names if name == self.own or name.startswith(("datasets/", "runs/"))]
        if others:
            raise DiffersError(
                f"{', '.join(others[:3])}{' and more' if len(others) > 3 else ''}: not the same in {self.root} and in"
                f" {self.folder}, and this machine has not kept its work there before. Delete or rename those of one"
                " side, or give drive another folder"
            )

    def _files(self, root: Path, parts: Sequence[str]) -> dict[str, list[int]]:
        """File of the study under `root` → its size and time; the ledger goes its own way."""
        found = (path for part in parts for path in (root / part).rglob("*") if path.is_file())
        paths = [path for path in found if not path.is_symlink()]  # which may lead anywhere
        ledger = [root / self.dataset / name for name in LEDGERS]
        kept = [path for path in paths if not path.name.endswith(PASSING) and path not in ledger]
        files = {path.relative_to(root).as_posix(): _size_and_time(path) for path in kept}
        return {name: state for name, state in files.items() if not name.startswith(self.cache)}

    def _check_drive(self) -> None:
        if self.folder and self.folder.is_relative_to(DRIVE) and not DRIVE.is_dir():
            raise FileNotFoundError(
                f"drive is {self.folder.relative_to(DRIVE)}, a folder of Google Drive, and Drive is not mounted in"
                f" {DRIVE}: run the set-up cell, or say the whole path of another folder"
            )

    def _known(self) -> dict[str, list[int]] | None:
        """What the note says; None if this machine has not kept anything in this folder, or the folder is gone."""
        if not self.folder or not self.folder.is_dir() or not self.note.is_file():
            return None
        note = json.loads(self.note.read_text(encoding="utf-8"))
        return note["files"] if note["folder"] == str(self.folder) else None

    def _note(self, files: dict[str, list[int]]) -> None:
        write_text(self.note, json.dumps({"folder": str(self.folder), "files": files}, indent=1))


def _in_order(files: dict[str, list[int]]) -> list[str]:
    """Oldest first: what was written last says that the rest is there, and is copied last."""
    return sorted(files, key=lambda name: files[name][1])


def _size_and_time(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its time: beside, then in its place."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with disk_errors_name(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source, part)
            with suppress(OSError):  # a file system may keep times of its own
                os.utime(part, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
            part.replace(target)  # not synced: Drive cannot say when it has a file
        finally:
            with suppress(OSError):  # the first error is the one to tell
                part.unlink(missing_ok=True)
