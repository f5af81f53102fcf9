"""The ledger opened for changes: each one is on disk at once, with who made it, when and why, and can be taken back.

`history.jsonl` beside `metadata.csv` is only ever appended to, and all its changes give the ledger. If they do not, the
ledger was changed outside caplora, and that is written to the history as well.
"""

import getpass
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from caplora.captions.history import (
    HISTORY,
    MACHINE,
    UNKNOWN,
    Cells,
    Change,
    Kind,
    Pairs,
    differing,
    read_history,
    replayed,
    stacks,
    with_cells,
)
from caplora.captions.ledger import LEDGER, LedgerError, Row, line_of, read_ledger, write_ledger, write_lines
from caplora.study import disk_errors_name, synced


class Ledger:
    """The open ledger of a folder: `rows` by file name, as they are on disk.

    Each change first reads what others have written meanwhile, then writes at once. `who` is the person at work.
    """

    def __init__(self, folder: Path, who: str = "") -> None:
        self.folder, self.who = folder, who or _user()
        self.history: list[Change] = []
        self.rows: dict[str, Row] = {}
        self._lines: dict[str, str] = {}  # of the file, by file name: a change makes only its own anew
        self._seen: tuple[int, ...] = ()
        with self._held():
            pass

    def change(self, after: Mapping[str, Row | None], why: str, who: str = "") -> Change | None:
        """The change that writes these rows, or removes a row where it is None; None if nothing differs."""
        return self.amend(lambda _: after, why, who)

    def amend(
        self, change: Callable[[Mapping[str, Row]], Mapping[str, Row | None]], why: str, who: str = ""
    ) -> Change | None:
        """As `change`, with the new rows made from those on disk; meanwhile nobody else can change them."""
        with self._held():
            return self._write(change(self.rows), why, who or self.who)

    def undo(self) -> Change | None:
        """The undoing of the last change that a person made; None if there is none.

        Rows that somebody else has changed since stay as they are; LedgerError says so if that leaves nothing to undo.
        """
        return self._move(0, "undo")

    def redo(self) -> Change | None:
        """The change made again that was undone last; None if there is none, or if something was changed since."""
        return self._move(1, "redo")

    def _move(self, stack: int, kind: Kind) -> Change | None:
        """Undo or redo the last change of a stack, in the rows that are still as that change left them."""
        with self._held():
            stacked = stacks(self.history)[stack]
            if not stacked:
                return None
            last = stacked[-1]
            swapped = {name: cells if kind == "redo" else cells[::-1] for name, cells in last.rows.items()}
            stands = {name: cells for name, cells in swapped.items() if self._stands(name, cells[0])}
            rows = {name: with_cells(self.rows.get(name), then) for name, (_, then) in stands.items()}
            made = self._write(rows, last.why, self.who, kind, last.number)
            if made is None:
                self._remember({}, last.why, self.who, kind, last.number)
                left = ", ".join(list(swapped)[:3])
                raise LedgerError(f"{left}: changed since by another hand, so it stays; once more goes past it")
            return made

    def _stands(self, name: str, now: Cells | None) -> bool:
        """Whether a row still has these cells; for None, whether there is still no such row."""
        row = self.rows.get(name)
        return (row is None) == (now is None) and all(getattr(row, key) == cell for key, cell in (now or {}).items())

    def _write(
        self,
        after: Mapping[str, Row | None],
        why: str,
        who: str,
        kind: Kind = "change",
        of: int | None = None,
    ) -> Change | None:
        """Write the history, then the ledger; if that fails, the history is cut back to where it was."""
        before = {name: self.rows[name] for name in after if name in self.rows}
        if not (pairs := differing(before, {name: row for name, row in after.items() if row is not None})):
            return None
        merged: dict[str, Row | None] = {**self.rows, **after}
        now = {name: row for name, row in merged.items() if row is not None}
        lines = self._lines | {name: line_of(now[name]) for name in pairs if name in now}
        path = self.folder / HISTORY
        size, history = path.stat().st_size if path.is_file() else 0, list(self.history)
        try:
            made = self._remember(pairs, why, who, kind, of)
            write_lines(self.folder, (lines[name] for name in now))
        except BaseException:  # nothing was changed, so nothing may be remembered
            with suppress(OSError):  # the first error is the one to tell; a line too many is mended when it is read
                os.truncate(path, size)
            self.history = history
            raise
        self.rows, self._lines = now, {name: lines[name] for name in now}
        self._seen = self._state()
        return made

    def _remember(self, rows: Pairs, why: str, who: str, kind: Kind = "change", of: int | None = None) -> Change:
        """Append a change to the history, on disk and here."""
        number = self.history[-1].number + 1 if self.history else 1
        made = Change(number, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", who, why, rows, kind, of)
        with disk_errors_name(self.folder / HISTORY):
            with (self.folder / HISTORY).open("a", encoding="utf-8", newline="") as file:
                file.write(made.line())
            synced(self.folder / HISTORY)
        self.history.append(made)
        return made

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Lock the ledger while the block runs, and read it again if somebody else has written."""
        lock = FileLock(self.folder / ".history.lock", timeout=10)
        with disk_errors_name(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            if self._seen != self._state():
                self._read()
            yield
        finally:
            lock.release()

    def _read(self) -> None:
        """Read history and ledger, and mend or write down where they differ."""
        _drop_torn_line(self.folder / HISTORY)
        self.history = read_history(self.folder)
        begun = (self.folder / LEDGER).is_file()
        if [change.who for change in self.history] == [MACHINE] and not begun:  # a crash came before the first ledger
            write_ledger(self.folder, replayed(self.history).values())
            begun = True
        if self.history and not begun:
            raise LedgerError(
                f"{self.folder / LEDGER} is gone, and {HISTORY} remembers it: put it back (python -m caplora captions"
                f" <study> --restore writes it anew), or set {HISTORY} aside to begin anew"
            )
        self.rows = {row.file_name: row for row in read_ledger(self.folder)} if begun else {}
        known = replayed(self.history)
        if self._was_cut_off(known):
            write_ledger(self.folder, known.values())
            self.rows = known
        if rows := differing(known, self.rows):
            self._remember(rows, "as found" if not known else "changed outside caplora", UNKNOWN)
        self._lines = {name: line_of(row) for name, row in self.rows.items()}
        self._seen = self._state()

    def _was_cut_off(self, known: Mapping[str, Row]) -> bool:
        """Whether a crash came after the last line of the history, before its change was in the ledger."""
        times = [path.stat().st_mtime_ns for path in (self.folder / LEDGER, self.folder / HISTORY) if path.is_file()]
        if len(times) < 2 or times[0] > times[1] or not differing(known, self.rows):
            return False
        return not differing(replayed(self.history[:-1]), self.rows)

    def _state(self) -> tuple[int, ...]:
        """Inode, size and time of both files; they differ if somebody else has written."""
        stats = [path.stat() if path.is_file() else None for path in (self.folder / LEDGER, self.folder / HISTORY)]
        return tuple(n for s in stats for n in ((s.st_ino, s.st_size, s.st_mtime_ns) if s else (0, 0, 0)))


def restore_ledger(folder: Path) -> list[Row]:
    """The rows that the history gives, written as the ledger that is gone; LedgerError if it is there after all."""
    rows = list(replayed(read_history(folder)).values())
    if not rows or (folder / LEDGER).is_file():
        raise LedgerError(f"{folder} has {'a ' + LEDGER if rows else 'no history'}: there is nothing to restore")
    write_ledger(folder, rows)
    return rows


def _user() -> str:
    """The name of the person at the computer."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may run under a number that has no name
        return f"user {os.getuid()}"


def _drop_torn_line(path: Path) -> None:
    """Remove a last line that a crash cut short."""
    with disk_errors_name(path, "read"):
        content = path.read_bytes() if path.is_file() else b""
    if content and not content.endswith(b"\n"):
        with disk_errors_name(path), path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
