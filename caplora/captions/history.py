"""The past of a ledger: a line of `history.jsonl` ↔ a `Change`, with who made it, when and why, and how rows differ.

Nothing here writes: `open_ledger` appends the changes. All changes of a history, one after the other, give the ledger.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from caplora.captions.ledger import COLUMNS, LEDGER, LedgerError, Row
from caplora.study import disk_errors_name

HISTORY = "history.jsonl"
MACHINE, UNKNOWN = "caplora itself", "another hand"  # who made a change that no person made through caplora
Cells = dict[str, str]
Pairs = dict[str, tuple[Cells | None, Cells | None]]  # file name → cells before and after; None where there is no row
Kind = Literal["change", "undo", "redo"]


@dataclass(frozen=True)
class Change:
    """One change of a ledger: the cells that differ in each row, before and after."""

    number: int
    time: str  # UTC
    who: str
    why: str
    rows: Pairs
    kind: Kind = "change"
    of: int | None = None  # number of the change that an undo takes back or a redo makes again

    def line(self) -> str:
        """The change as a line of the history."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


def read_history(folder: Path) -> list[Change]:
    """The changes of the ledger in `folder`, oldest first; a last line that a crash cut short is left out.

    Raises LedgerError naming the line that cannot be read.
    """
    path = folder / HISTORY
    with disk_errors_name(path, "read"):
        lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    changes = []
    for number, line in enumerate(lines, 1):
        try:
            changes.append(_change(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise LedgerError(
                f"{path}, line {number} cannot be read ({error}): restore it, or set {HISTORY} aside; {LEDGER} stays"
            ) from error
    return changes


def _change(fields: Any) -> Change:
    """The change that the fields of a line are; an error of almost any kind where they are none."""
    json.dumps(fields, ensure_ascii=False).encode()  # half a character, which an escape can be, is no text
    rows = {name: _pair(*cells) for name, cells in fields["rows"].items()}
    change = Change(**fields | {"rows": rows})
    if type(change.number) is not int or change.kind not in get_args(Kind):
        raise ValueError(f"no change is number {change.number!r} of the kind {change.kind!r}")
    return change


def _pair(before: Cells | None, after: Cells | None) -> tuple[Cells | None, Cells | None]:
    """The cells of a row before and after; raises ValueError for what no row has."""
    if not all(cells is None or isinstance(cells, dict) for cells in (before, after)):
        raise ValueError(f"cells are an object or null, got {before!r} and {after!r}")
    for key, cell in [*(before or {}).items(), *(after or {}).items()]:
        if key not in COLUMNS or not isinstance(cell, str):
            raise ValueError(f"a row has no cell {key!r} that is {cell!r}")
    return before, after


def stacks(history: list[Change]) -> tuple[list[Change], list[Change]]:
    """The changes that undo can take back, and those that redo can make again; the next one is last in each list."""
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
    """The rows that all changes of a history give, by file name."""
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
    """`row` with these cells, or a new row of them; None without cells, or if they do not name a file for a new row."""
    if cells is None or (row is None and "file_name" not in cells):
        return None
    return replace(row, **cells) if row else Row(**cells)


def differing(before: Mapping[str, Row], after: Mapping[str, Row]) -> Pairs:
    """The rows that differ before and after, by file name, with the cells that differ."""
    names = [*after, *(name for name in before if name not in after)]
    changed = [name for name in names if before.get(name) != after.get(name)]
    pairs = {name: difference(before.get(name), after.get(name)) for name in changed}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def difference(before: Row | None, after: Row | None) -> tuple[Cells | None, Cells | None]:
    """The cells in which two rows differ, before and after; all cells if one of the rows is None."""
    if before is None or after is None:
        return (asdict(before) if before else None, asdict(after) if after else None)
    keys = [key for key in COLUMNS if getattr(before, key) != getattr(after, key)]
    return {key: getattr(before, key) for key in keys}, {key: getattr(after, key) for key in keys}
