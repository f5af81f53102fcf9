"""The ledger and its past: every change is on disk at once, with who made it, when and why, and can be taken back.

`history.jsonl` beside `metadata.csv` is only ever appended to. The ledger is what the history adds up to; where it is
not, another hand changed it, and that too is written down.
"""

import getpass
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock

from caplora.captions import LEDGER, LedgerError, Row, read_ledger, write_ledger
from caplora.files import synced

HISTORY = "history.jsonl"
MACHINE, UNKNOWN = "caplora", "another hand"  # who made a change, where it was no person at a prompt
Cells = dict[str, str]
Pairs = dict[str, tuple[Cells | None, Cells | None]]  # file name → cells before and after; None is no row
Kind = Literal["change", "undo", "redo"]


@dataclass(frozen=True)
class Change:
    """One change of a ledger: of each row the cells that differ."""

    number: int
    time: str  # UTC
    who: str
    why: str
    rows: Pairs
    kind: Kind = "change"
    of: int | None = None  # the change that an undo takes back, or a redo makes again

    def line(self) -> str:
        """It as a line of the history."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


def read_history(folder: Path) -> list[Change]:
    """The changes of the ledger in `folder`, oldest first; a last line that a crash cut short is none.

    Raises LedgerError naming the line that cannot be read.
    """
    path = folder / HISTORY
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    changes = []
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            fields["rows"] = {name: tuple(cells) for name, cells in fields["rows"].items()}
            changes.append(Change(**fields))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LedgerError(
                f"{path}, line {number} cannot be read ({error}): restore it, or delete the line"
            ) from error
    return changes


class Ledger:
    """The ledger of a folder, open: `rows` by file name, as they are on disk.

    Every change reads what other hands have written first, and writes at once. `who` is the person at work.
    """

    def __init__(self, folder: Path, who: str = "") -> None:
        self.folder, self.who = folder, who or getpass.getuser()
        self.history: list[Change] = []
        self.rows: dict[str, Row] = {}
        self._seen: tuple[int, ...] = ()
        with self._held():
            pass

    def change(self, after: Mapping[str, Row | None], why: str, who: str = "") -> Change | None:
        """Put these rows (None: no row) in the place of those of the same names; None if nothing differs."""
        return self.amend(lambda _: after, why, who)

    def amend(
        self, change: Callable[[Mapping[str, Row]], Mapping[str, Row | None]], why: str, who: str = ""
    ) -> Change | None:
        """As `change`, with the new rows made from those on disk, which nobody else can change meanwhile."""
        with self._held():
            return self._write(change(self.rows), why, who or self.who)

    def undo(self) -> Change | None:
        """Take back the last change that a person made and that still stands; None if there is none."""
        return self._move(0, "undo")

    def redo(self) -> Change | None:
        """Make the change again that was taken back last, if nothing was changed since; None if there is none."""
        return self._move(1, "redo")

    def _move(self, stack: int, kind: Kind) -> Change | None:
        with self._held():
            stacked = stacks(self.history)[stack]
            if not stacked:
                return None
            last = stacked[-1]
            swapped = {name: cells if kind == "redo" else cells[::-1] for name, cells in last.rows.items()}
            rows = {name: self._moved(name, *cells, last, kind) for name, cells in swapped.items()}
            return self._write(rows, last.why, self.who, kind, last.number)

    def _moved(self, name: str, now: Cells | None, then: Cells | None, last: Change, kind: str) -> Row | None:
        row = self.rows.get(name)
        if now != (None if row is None else {key: getattr(row, key) for key in now or {}}):
            raise LedgerError(f"{name} was changed since by another hand: {kind} of {last.why!r} would lose that")
        if then is None:
            return None
        return replace(row, **then) if row else Row(**then)

    def _write(
        self,
        after: Mapping[str, Row | None],
        why: str,
        who: str,
        kind: Kind = "change",
        of: int | None = None,
    ) -> Change | None:
        merged: dict[str, Row | None] = {**self.rows, **after}
        now = {name: row for name, row in merged.items() if row is not None}
        if not (pairs := differing(self.rows, now)):
            return None
        write_ledger(self.folder, now.values())
        made = self._remember(pairs, why, who, kind, of)
        self.rows = now
        self._seen = self._state()
        return made

    def _remember(self, rows: Pairs, why: str, who: str, kind: Kind = "change", of: int | None = None) -> Change:
        number = self.history[-1].number + 1 if self.history else 1
        made = Change(number, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", who, why, rows, kind, of)
        with (self.folder / HISTORY).open("a", encoding="utf-8", newline="") as file:
            file.write(made.line())
        synced(self.folder / HISTORY)
        self.history.append(made)
        return made

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The ledger as it is on disk, and nobody else's while the block runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".history.lock", timeout=10):
            if self._seen != self._state():
                self._read()
            yield

    def _read(self) -> None:
        _drop_torn_line(self.folder / HISTORY)
        self.history = read_history(self.folder)
        begun = self.history or (self.folder / LEDGER).is_file()
        self.rows = {row.file_name: row for row in read_ledger(self.folder)} if begun else {}
        known, names = replayed(self.history), {*self.rows}
        rows = {
            name: difference(known.get(name), self.rows.get(name)) for name in [*self.rows, *sorted({*known} - names)]
        }
        rows = {name: pair for name, pair in rows.items() if pair[0] != pair[1]}
        if rows:
            self._remember(rows, "as found" if not known else "changed outside caplora", UNKNOWN)
        self._seen = self._state()

    def _state(self) -> tuple[int, ...]:
        """What tells whether another hand wrote: the files' sizes and times."""
        stats = [path.stat() if path.is_file() else None for path in (self.folder / LEDGER, self.folder / HISTORY)]
        return tuple(n for s in stats for n in ((s.st_ino, s.st_size, s.st_mtime_ns) if s else (0, 0, 0)))


def stacks(history: list[Change]) -> tuple[list[Change], list[Change]]:
    """The changes by persons that stand, and those that were taken back and can be made again; the last one last."""
    done: list[Change] = []
    undone: list[Change] = []
    for change in history:
        if change.kind == "undo":
            undone.append(done.pop())
        elif change.kind == "redo":
            done.append(undone.pop())
        elif change.who not in (MACHINE, UNKNOWN):
            done.append(change)
            undone.clear()
    return done, undone


def replayed(history: list[Change]) -> dict[str, Row]:
    """The rows that a history adds up to."""
    rows: dict[str, Row] = {}
    for change in history:
        for name, (_, after) in change.rows.items():
            if after is None:
                rows.pop(name, None)
            else:
                rows[name] = replace(rows[name], **after) if name in rows else Row(**after)
    return rows


def differing(before: Mapping[str, Row], after: Mapping[str, Row]) -> Pairs:
    """The rows that are not the same before and after."""
    names = [*after, *(name for name in before if name not in after)]
    pairs = {name: difference(before.get(name), after.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def difference(before: Row | None, after: Row | None) -> tuple[Cells | None, Cells | None]:
    """The cells in which two rows differ, before and after; all cells where there is only one row."""
    if before is None or after is None:
        return (before and asdict(before), after and asdict(after))
    keys = [key for key, value in asdict(before).items() if value != getattr(after, key)]
    return {key: getattr(before, key) for key in keys}, {key: getattr(after, key) for key in keys}


def _drop_torn_line(path: Path) -> None:
    if path.is_file() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
