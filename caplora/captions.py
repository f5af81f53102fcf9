"""The caption ledger: `metadata.csv` ↔ rows, one per image, with what the machine said and what a person decided.

This file does not know pixels or models. What a person decided is never overwritten.
"""

import csv
import hashlib
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path, PureWindowsPath
from typing import Any

import pandas as pd

from caplora.files import write_text
from caplora.study import Study
from caplora.wording import compose

LEDGER = "metadata.csv"
STATUSES = ("pending", "kept", "edited", "rejected")
SPLITS = ("train", "held_out")

COMMON = re.compile(r"an?|and|at|by|for|from|has|her|his|in|is|its?|of|on|that|the|their|there|to|with")


@dataclass(frozen=True)
class Row:
    """One image of the ledger.

    `text` is trained on, `machine_text` is what the captioner said, untouched, and `suggestion` what the study made of
    it: a text that differs from it is a person's.
    """

    file_name: str
    text: str = ""
    machine_text: str = ""
    status: str = "pending"
    split: str = "train"
    source: str = ""
    suggestion: str = ""


COLUMNS = tuple(field.name for field in fields(Row))


class LedgerError(ValueError):
    """A ledger or caption file that cannot be used; the message names the file, the row and the way out."""


def read_ledger(folder: Path) -> list[Row]:
    """The rows of `metadata.csv` in `folder`, in its order; each names an image that lies in the folder.

    Raises LedgerError naming file and row: a column missing or unknown, a row of another length, an unknown
    status or split, a file name that stands twice, leads out of the folder or has no image.
    """
    path = folder / LEDGER
    header, *body = _cells(path) or [[]]
    if sorted(header) != sorted(COLUMNS):
        raise LedgerError(f"{path}: the columns must be {', '.join(COLUMNS)}; got {', '.join(header) or 'none'}")
    rows: dict[str, Row] = {}
    for number, cells in enumerate(body, 2):  # as a spreadsheet counts
        if cells:
            row = _row(folder, dict(zip(header, cells, strict=False)), len(cells), f"{path}, row {number}")
            if row.file_name in rows:
                raise LedgerError(f"{path}, row {number}: {row.file_name} stands twice: delete one of the rows")
            rows[row.file_name] = row
    return list(rows.values())


def write_ledger(folder: Path, rows: Iterable[Row]) -> None:
    """Write `metadata.csv` (UTF-8, RFC 4180) whole or not at all: a crash leaves the one before it."""
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([COLUMNS, *map(astuple, rows)])
    write_text(folder / LEDGER, lines.getvalue())


def change_row(folder: Path, file_name: str, change: Callable[[Row], Row]) -> Row:
    """Change one row on disk and return it; the others stay as they are there. Raises LedgerError as `read_ledger`."""
    rows = {row.file_name: row for row in read_ledger(folder)}
    if file_name not in rows:
        raise LedgerError(f"{folder / LEDGER} has no row for {file_name}: run 01_data_captioning again")
    rows[file_name] = change(rows[file_name])
    write_ledger(folder, rows.values())
    return rows[file_name]


def update_ledger(study: Study, sources: Mapping[str, str], refused: Collection[str] = ()) -> list[Row]:
    """Bring the study's ledger up to date with its images, and return its rows.

    `sources` maps the images in the dataset to the files they came from; `refused` names files that were not
    used. New images get a pending row, and `captions.json` among the person's images is read as their own
    words. Known rows stay as they are. The row of an image that is gone goes with it, unless its caption was
    kept or edited: then LedgerError says so and nothing changes.
    """
    before = read_ledger(study.dataset) if (study.dataset / LEDGER).is_file() else []
    gone = [r for r in before if r.file_name not in sources and _is_gone(r, study.images_folder, refused)]
    for row in gone:
        if row.status in ("kept", "edited"):
            raise LedgerError(
                f"{study.images_folder / row.source} is gone or refused, but {study.dataset / LEDGER} holds your"
                f" caption of it ({row.file_name}, {row.status}): put the image back, or delete that row"
            )
    rows = enrolled([r for r in before if r not in gone], sources, study.images.held_out)
    if not rows:
        raise LedgerError(f"no image of {study.images_folder} could be used: {study.dataset / 'refused.csv'} says why")
    rows = _with_own_words(rows, study.images_folder)
    write_ledger(study.dataset, rows)
    for row in gone:
        (study.dataset / row.file_name).unlink(missing_ok=True)
    return rows


def enrolled(rows: Sequence[Row], sources: Mapping[str, str], share: float) -> list[Row]:
    """`rows`, then a pending row for each image of `sources` that has none; a split once given is never changed."""
    known = {row.file_name: row.split for row in rows}
    splits = assign_splits(sources, share, known)
    new = [Row(name, split=splits[name], source=source) for name, source in sources.items() if name not in known]
    return [*(replace(row, source=sources.get(row.file_name, row.source)) for row in rows), *new]


def assign_splits(file_names: Iterable[str], share: float, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """File name → train or held_out. `known` splits stay; new names are held out until `share` of all is reached.

    Which of them is settled by a hash of the name. Where there are two and the share is above 0, at least one is
    held out, and never all are.
    """
    known = known or {}
    new = sorted({*file_names} - {*known}, key=lambda name: hashlib.sha256(name.encode()).digest())
    count = len(known) + len(new)
    wanted = min(max(round(share * count), 1 if share > 0 else 0), count - 1)
    lacking = wanted - list(known.values()).count("held_out")
    return {**known, **{name: "held_out" if i < lacking else "train" for i, name in enumerate(new)}}


def captioned(folder: Path, machine: Mapping[str, str], subject: str) -> list[Row]:
    """Enter machine captions (file name → text) in the ledger and return its rows; decided rows stay untouched.

    A pending row whose text a person has changed in a spreadsheet becomes edited and keeps that text.
    """
    rows = [_described(row, machine.get(row.file_name), subject) for row in read_ledger(folder)]
    write_ledger(folder, rows)
    return rows


def read_captions_json(path: Path) -> dict[str, str]:
    """File name → caption, as `captions.json` holds them; raises LedgerError for any other content."""
    try:
        pairs = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_Pairs)
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path} cannot be read: {error}") from error
    if not isinstance(pairs, _Pairs):
        raise LedgerError(f'{path} must hold {{"file name": "caption", …}}, got {type(pairs).__name__}')
    captions: dict[str, str] = {}
    for name, caption in pairs:
        if not isinstance(caption, str) or not caption.strip():
            raise LedgerError(f"{path}: the caption of {name!r} must be words, got {caption!r}")
        if _nfc(name) in captions:
            raise LedgerError(f"{path}: {name!r} stands twice")
        captions[_nfc(name)] = caption
    return captions


def trained(rows: Iterable[Row]) -> list[Row]:
    """The rows to train on: of the train split, not rejected. Raises LedgerError if one has no caption."""
    chosen = [row for row in rows if row.split == "train" and row.status != "rejected"]
    for row in chosen:
        if not row.text.strip():
            raise LedgerError(f"{row.file_name} has no caption: write one in {LEDGER}, reject it, or run 01 again")
    return chosen


def held_out(rows: Iterable[Row]) -> list[Row]:
    """The rows kept from training, not rejected."""
    return [row for row in rows if row.split == "held_out" and row.status != "rejected"]


def caption_statistics(rows: Iterable[Row]) -> pd.DataFrame:
    """Per image: file_name, status, split, words (of the caption)."""
    table = [(row.file_name, row.status, row.split, len(_words(row.text))) for row in rows]
    return pd.DataFrame(table, columns=["file_name", "status", "split", "words"])


def word_counts(texts: Iterable[str], commonest: int = 20) -> pd.DataFrame:
    """The commonest words, little ones ("a", "with") aside: word, captions (how many have it)."""
    counts = Counter(word for text in texts for word in sorted(set(_words(text))) if not COMMON.fullmatch(word))
    return pd.DataFrame(counts.most_common(commonest), columns=["word", "captions"])


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs, so that a name standing twice is seen."""


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:[-'’]\w+)*", text.lower())


def _cells(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file, strict=True))
    except FileNotFoundError as error:
        raise LedgerError(f"{path} does not exist: run 01_data_captioning first") from error
    except UnicodeDecodeError as error:
        raise LedgerError(f"{path} is not UTF-8: save it as “CSV UTF-8”") from error
    except (OSError, csv.Error) as error:
        raise LedgerError(f"{path} cannot be read: {error}") from error


def _row(folder: Path, cells: dict[str, str], count: int, where: str) -> Row:
    if count != len(COLUMNS):
        raise LedgerError(f"{where}: {len(COLUMNS)} cells are needed, got {count}: quote a text that has commas")
    row = Row(**cells)
    where = f"{where} ({row.file_name})"
    for column, value, known in (("status", row.status, STATUSES), ("split", row.split, SPLITS)):
        if value not in known:
            raise LedgerError(f"{where}: unknown {column} {value!r}: use {', '.join(known)}")
    if _leads_out(folder, row.file_name):
        raise LedgerError(f"{where}: file_name must lie in {folder}, without .., drive or link")
    if not (folder / row.file_name).is_file():
        raise LedgerError(f"{where}: there is no such image in {folder}: put it back or delete the row")
    return row


def _leads_out(folder: Path, name: str) -> bool:
    path = PureWindowsPath(name)  # knows both slashes, drives and shares
    if "\0" in name or path.root or path.is_absolute() or ".." in path.parts:
        return True
    return not (folder / name).resolve().is_relative_to(folder.resolve())


def _is_gone(row: Row, images_folder: Path, refused: Collection[str]) -> bool:
    return row.source in refused or not (images_folder / row.source).is_file()


def _with_own_words(rows: Sequence[Row], images_folder: Path) -> list[Row]:
    """The pending rows take the captions of `captions.json`, if there is one, as edited: a person wrote them."""
    path = images_folder / "captions.json"
    if not path.is_file():
        return list(rows)
    captions = read_captions_json(path)
    stray = sorted(set(captions) - {_nfc(p.relative_to(images_folder).as_posix()) for p in images_folder.rglob("*")})
    if stray:
        raise LedgerError(f"{path}: there is no image {stray[0]!r} ({len(stray)} such names): correct or delete them")
    return [_in_own_words(row, captions.get(_nfc(row.source))) for row in rows]


def _in_own_words(row: Row, caption: str | None) -> Row:
    return replace(row, text=caption, status="edited") if caption and row.status == "pending" else row


def _described(row: Row, machine_text: str | None, subject: str) -> Row:
    if machine_text is None or row.status != "pending":
        return row
    suggestion = compose(machine_text, subject)
    if row.text.strip() and row.text != row.suggestion:
        return replace(row, machine_text=machine_text, suggestion=suggestion, status="edited")
    return replace(row, machine_text=machine_text, suggestion=suggestion, text=suggestion)
