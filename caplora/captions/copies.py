"""Two copies of a ledger in two folders → the later one, so that a copy never takes the place of a decision."""

from dataclasses import dataclass
from pathlib import Path

from caplora.captions.history import HISTORY, Change, differing, read_history, replayed
from caplora.captions.ledger import LEDGER, LedgerError, Row, read_ledger


@dataclass(frozen=True)
class Copy:
    """A ledger and its history as they lie in a folder; both empty where there is none."""

    folder: Path
    history: list[Change]
    rows: dict[str, Row]

    def holds(self, other: "Copy") -> bool:
        """Whether everything that was decided in `other` was decided here too."""
        written_by_hand = differing(replayed(other.history), other.rows) and other.rows != self.rows
        return self.history[: len(other.history)] == other.history and not written_by_hand


def read_copy(folder: Path) -> Copy:
    """The ledger of a folder; raises LedgerError if it cannot be read."""
    there = (folder / LEDGER).is_file() or (folder / HISTORY).is_file()
    rows = {row.file_name: row for row in read_ledger(folder)} if there else {}
    return Copy(folder, read_history(folder), rows)


def later_ledger(one: Path, other: Path) -> Path | None:
    """The folder whose ledger holds all that the other's holds, and more; None if both hold the same.

    Raises LedgerError where each holds something that the other lacks.
    """
    left, right = read_copy(one), read_copy(other)
    if (left.history, left.rows) == (right.history, right.rows):
        return None
    if left.holds(right):
        return one
    if right.holds(left):
        return other
    raise LedgerError(
        f"{one / LEDGER} and {other / LEDGER} each hold decisions that the other lacks, and neither is to be lost:"
        " bring those of one into the other (python -m caplora captions STUDY --import), then set its folder aside"
    )
