"""The caption ledger: `metadata.csv` ↔ rows, one per image, with what the machine said and what a person decided.

This file reads, checks and writes. To change a ledger, open it with `open_ledger.Ledger`, which remembers the change.
"""

import csv
import io
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path, PureWindowsPath

from caplora.study import DiskError, disk_errors_name, write_text

LEDGER = "metadata.csv"
STATUSES = ("pending", "kept", "edited", "rejected")
SPLITS = ("train", "held_out")
PATHLIKE = re.compile(r"[\\/:\0]|^\.{0,2}$")  # what is more, or less, than the name of a file

csv.field_size_limit(2**31 - 1)  # a caption may be as long as a person pastes


@dataclass(frozen=True)
class Row:
    """One image of the ledger; `datasets/README.md` says what each column holds.

    `text` is trained on. `machine_text` is what the captioner said, untouched; `suggestion` is what the study made of
    it. A text that differs from the suggestion is a person's.
    """

    file_name: str
    text: str = ""
    machine_text: str = ""
    status: str = "pending"
    split: str = "train"
    source: str = ""  # the file in the person's own folder
    suggestion: str = ""
    reason: str = ""  # for the decision, in a person's words
    flags: str = ""  # of the picture, separated by spaces: blurry duplicate
    captioner: str = ""  # model, revision and decoding that gave the machine text
    captioned: str = ""  # when the captioner gave it, UTC
    origin: str = ""  # where the picture is from
    licence: str = ""
    consent: str = ""  # of the person shown


@dataclass(frozen=True)
class Said:
    """What a captioner said of an image, word for word, and which captioner said it when."""

    text: str
    captioner: str = ""  # model, version and decoding
    time: str = ""  # ISO 8601, UTC, to the second; empty if an older caplora remembered the text only


COLUMNS = tuple(field.name for field in fields(Row))
CELLS = attrgetter(*COLUMNS)  # of a row: a tenth of the time of `astuple`, which copies them


class LedgerError(ValueError):
    """A ledger or caption file that cannot be used; the message names the file, the row and the way out."""


def read_ledger(folder: Path) -> list[Row]:
    """The rows of `metadata.csv` in `folder`, in its order; each names an image that lies in the folder.

    Columns other than `file_name` and `text` may be missing. Raises LedgerError, naming file and row, for a column that
    is unknown or occurs twice, a row of another length, an unknown status or split, and a file name that occurs twice,
    leads out of the folder or has no image.
    """
    path = folder / LEDGER
    header, *body = _cells(path) or [[]]
    if len({*header}) < len(header) or not {"file_name", "text"} <= {*header} <= {*COLUMNS}:
        raise LedgerError(
            f"{path}: the columns must be file_name, text and any of {', '.join(COLUMNS[2:])}, each once;"
            f" got {', '.join(header) or 'none'}"
        )
    rows: dict[str, Row] = {}
    for number, cells in enumerate(body, 2):  # as a spreadsheet counts
        if cells:
            row = _row(folder, header, cells, f"{path}, row {number}")
            if row.file_name in rows:
                raise LedgerError(f"{path}, row {number}: {row.file_name} stands twice: delete one of the rows")
            rows[row.file_name] = row
    return list(rows.values())


def write_ledger(folder: Path, rows: Iterable[Row]) -> None:
    """Write `metadata.csv` (UTF-8, RFC 4180) whole or not at all: after a crash the old one is still there.

    It starts with a byte-order mark, because Excel guesses another encoding without one.
    """
    write_lines(folder, map(line_of, rows))


def line_of(row: Row) -> str:
    """A row as a line of `metadata.csv`, with its end."""
    return _line(CELLS(row))


def write_lines(folder: Path, lines: Iterable[str]) -> None:
    """As `write_ledger`, of rows that are lines already."""
    write_text(folder / LEDGER, f"\ufeff{_line(COLUMNS)}{''.join(lines)}")


def trained(rows: Iterable[Row], overruled: Collection[str] = ()) -> list[Row]:
    """The rows to train on: in the train split and not rejected.

    Raises LedgerError if one has no caption, unless the checklist's item `captions` is overruled.
    """
    chosen = [row for row in rows if row.split == "train" and row.status != "rejected"]
    for row in chosen:
        if not row.text.strip() and "captions" not in overruled:
            raise LedgerError(
                f"{row.file_name} has no caption: write one in {LEDGER}, reject it, or run 01 again; to train on it"
                " without words, say captioning.overrule: [captions] in the study"
            )
    return chosen


def held_out(rows: Iterable[Row]) -> list[Row]:
    """The rows kept out of training and not rejected."""
    return [row for row in rows if row.split == "held_out" and row.status != "rejected"]


def _line(cells: Iterable[str]) -> str:
    made = io.StringIO(newline="")
    csv.writer(made).writerow(cells)
    return made.getvalue()


def _cells(path: Path) -> list[list[str]]:
    """The rows of a CSV file as lists of cells; raises LedgerError if it cannot be read, DiskError if a disk fails."""
    try:
        with disk_errors_name(path, "read"), path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file, strict=True))
    except DiskError:
        raise
    except FileNotFoundError as error:
        raise LedgerError(f"{path} does not exist: run 01_data_captioning first") from error
    except UnicodeDecodeError as error:
        raise LedgerError(f"{path} is not UTF-8: save it as “CSV UTF-8”") from error
    except (OSError, csv.Error) as error:
        raise LedgerError(f"{path} cannot be read: {error}") from error


def _row(folder: Path, header: Sequence[str], cells: Sequence[str], where: str) -> Row:
    """The row of these cells; raises LedgerError, naming `where`, if it cannot be one."""
    if len(cells) != len(header):
        raise LedgerError(f"{where}: {len(header)} cells are needed, got {len(cells)}: quote a text that has commas")
    row = checked(Row(**dict(zip(header, cells, strict=True))), where)
    where = f"{where} ({row.file_name})"
    if leads_out(folder, row.file_name):
        raise LedgerError(f"{where}: file_name must lie in {folder}, without .., drive or link")
    if not _is_file(folder / row.file_name):
        raise LedgerError(f"{where}: there is no such image in {folder}: put it back or delete the row")
    return row


def _is_file(path: Path) -> bool:
    """Whether a file is there; none is whose name is longer than a disk takes."""
    try:
        return path.is_file()
    except OSError:
        return False


def checked(row: Row, where: str) -> Row:
    """`row`, unchanged; raises LedgerError naming `where` and the row if its status or split is unknown."""
    for column, value, known in (("status", row.status, STATUSES), ("split", row.split, SPLITS)):
        if value not in known:
            raise LedgerError(f"{where} ({row.file_name}): unknown {column} {value!r}: use {', '.join(known)}")
    return row


def leads_out(folder: Path, name: str) -> bool:
    """Whether a file name is absolute or leads out of `folder` by `..`, a drive or a link."""
    if not PATHLIKE.search(name) and not _is_link(folder / name):
        return False  # most names are such, and to resolve thousands of them takes seconds
    path = PureWindowsPath(name)  # knows both slashes, drives and shares
    if "\0" in name or path.root or path.is_absolute() or ".." in path.parts:
        return True
    return not (folder / name).resolve().is_relative_to(folder.resolve())


def _is_link(path: Path) -> bool:
    """Whether a link lies there; no file has a name that is longer than a disk takes."""
    try:
        return path.is_symlink()
    except OSError:
        return False
