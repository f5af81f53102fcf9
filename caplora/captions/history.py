"""The ledger and its past: every change is on disk at once, with who made it, when and why, and can be taken back.

`history.jsonl` beside `metadata.csv` is only ever appended to. The ledger is what the history adds up to; where it is
not, another hand changed it, and that too is written down.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from caplora.captions.ledger import LEDGER, LedgerError, Row

HISTORY = "history.jsonl"
MACHINE, UNKNOWN = "caplora itself", "another hand"  # who made a change, where it was no person at a prompt
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
                f"{path}, line {number} cannot be read ({error}): restore it, or set {HISTORY} aside; {LEDGER} stays"
            ) from error
    return changes


def stacks(history: list[Change]) -> tuple[list[Change], list[Change]]:
    """The changes by persons that stand, and those that were taken back and can be made again; the last one last."""
    done: list[Change] = []
    undone: list[Change] = []
    for change in history:
        if change.kind != "change":
            source, target = (done, undone) if change.kind == "undo" else (undone, done)
            moved = [earlier for earlier in source if earlier.number == change.of]
            source[:] = [earlier for earlier in source if earlier.number != change.of]
            target += moved
        elif change.who not in (MACHINE, UNKNOWN):
            done.append(change)
            undone.clear()
    return done, undone


def replayed(history: list[Change]) -> dict[str, Row]:
    """The rows that a history adds up to."""
    rows: dict[str, Row] = {}
    for change in history:
        for name, (_, after) in change.rows.items():
            row = with_cells(rows.get(name), after)
            if row is None:
                rows.pop(name, None)
            else:
                rows[name] = row
    return rows


def with_cells(row: Row | None, cells: Cells | None) -> Row | None:
    """A row with these cells; none where there are none, or too few for a row."""
    if cells is None or (row is None and "file_name" not in cells):
        return None
    return replace(row, **cells) if row else Row(**cells)


def differing(before: Mapping[str, Row], after: Mapping[str, Row]) -> Pairs:
    """The rows that are not the same before and after."""
    names = [*after, *(name for name in before if name not in after)]
    pairs = {name: difference(before.get(name), after.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def difference(before: Row | None, after: Row | None) -> tuple[Cells | None, Cells | None]:
    """The cells in which two rows differ, before and after; all cells where there is only one row."""
    if before is None or after is None:
        return (asdict(before) if before else None, asdict(after) if after else None)
    keys = [key for key, value in asdict(before).items() if value != getattr(after, key)]
    return {key: getattr(before, key) for key in keys}, {key: getattr(after, key) for key in keys}
