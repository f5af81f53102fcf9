"""Captions as other tools keep them ↔ rows: `captions.json`, `metadata.jsonl`, any CSV, a `.txt` beside each image.

Names are compared in NFC, by the whole name, then without its folder, then without its ending.
"""

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from caplora.captions import COLUMNS, LEDGER, LedgerError, Row, checked
from caplora.files import write_text
from caplora.history import Cells

BOM = "\ufeff"
SHOWN = 10  # names, before the rest is counted
FILE_COLUMNS = ("file_name", "filename", "file", "image", "image_name", "image_path", "path", "img")
TEXT_COLUMNS = ("text", "corrected_caption", "corrected", "final_caption", "edited_caption", "caption", "prompt")
MACHINE_COLUMNS = ("machine_text", "blip_caption", "blip", "raw_caption", "machine_caption", "original_caption")
SOURCES = ("captions.json", "metadata.jsonl", "metadata.csv")  # among a person's own images


def read_captions(path: Path) -> list[Cells]:
    """The cells that a file, or a folder of `.txt`, holds of each image: `file_name`, `text`, what else of COLUMNS.

    CSV may have commas, semicolons or tabs and other people's column names; CSV and `.txt` may be CP949 instead of
    UTF-8. Raises LedgerError naming the file and the place for any other content, and for a name that stands twice.
    """
    readers = {".json": _json, ".jsonl": _jsonl, ".csv": _csv, ".tsv": _csv}
    if not path.is_dir() and path.suffix.lower() not in readers:
        raise LedgerError(f"{path}: captions are read from .json, .jsonl, .csv, .tsv or a folder of .txt")
    rows = _sidecars(path) if path.is_dir() else readers[path.suffix.lower()](path)
    names = [nfc(row["file_name"]) for row in rows]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LedgerError(f"{path}: {twice[0]!r} stands twice")
    return [row | {"file_name": name} for row, name in zip(rows, names, strict=True)]


def write_captions(rows: Iterable[Row], path: Path) -> None:
    """Write rows as the ending of `path` says: `.json` the captions, `.jsonl` and `.csv` everything.

    Without an ending it is a folder, of a `.txt` with the caption of each image.
    """
    rows = list(rows)
    if path.suffix.lower() == ".json":
        captions = {row.file_name: row.text for row in rows}
        write_text(path, json.dumps(captions, ensure_ascii=False, indent=1) + "\n")
    elif path.suffix.lower() == ".jsonl":
        write_text(path, "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows))
    elif path.suffix.lower() == ".csv":
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows([COLUMNS, *(asdict(row).values() for row in rows)])
        write_text(path, BOM + lines.getvalue())
    elif path.suffix:
        raise LedgerError(f"{path}: captions are written as .json, .jsonl, .csv or a folder of .txt")
    else:
        for row in rows:
            mark = BOM if row.text.startswith(BOM) else ""
            write_text(path / f"{PurePosixPath(row.file_name).with_suffix('.txt')}", mark + row.text)


def imported(rows: Mapping[str, Row], given: Sequence[Cells], where: str, partial: bool = False) -> dict[str, Row]:
    """The rows that `given` cells change; a caption without a status is a person's: edited, where it differs.

    Empty cells, and a status of pending, change nothing. Raises LedgerError listing both ways the images that only one
    side has, unless `partial` allows that the ledger has more.
    """
    found, stray = _matched(_finder(rows.values()), given)
    names = {row.file_name for row, _ in found}
    lacking = [name for name in rows if name not in names]
    if stray or (lacking and not partial):
        raise LedgerError(
            f"{where} and {LEDGER} do not speak of the same images: only in {where}: {_listed(stray)}; only in"
            f" {LEDGER}: {_listed(lacking)}. Correct the names" + ("" if stray else ", or import a part (--partial)")
        )
    changed = {row.file_name: checked(_with(row, cells), where) for row, cells in found}
    return {name: row for name, row in changed.items() if row != rows[name]}


def compared(rows: Mapping[str, Row], given: Sequence[Cells], where: str) -> pd.DataFrame:
    """Where the captions of the ledger and those given differ, as `disagreements` has it."""
    found, stray = _matched(_finder(rows.values()), given)
    theirs = {row.file_name: cells["text"] for row, cells in found}
    theirs |= {cells["file_name"]: cells["text"] for cells in given if cells["file_name"] in stray}
    return disagreements({name: row.text for name, row in rows.items()}, theirs, (LEDGER, where))


def disagreements(first: Mapping[str, str], second: Mapping[str, str], names: tuple[str, str]) -> pd.DataFrame:
    """Where two sources of captions differ: file_name and each one's caption, none where it has no such image."""
    keys = sorted({*first, *second})
    table = [(key, first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)]
    return pd.DataFrame(table, columns=["file_name", *names])


def own_words(folder: Path) -> dict[str, str]:
    """Image (as a path in `folder`) → the caption that a person keeps among their images, in any form.

    Raises LedgerError for a caption of no image, and where two forms disagree, with a list of both.
    """
    images = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.suffix.lower() != ".txt"]
    finder = _finder(Row(name, source=name) for name in images)
    sources = {name: read_captions(folder / name) for name in SOURCES if (folder / name).is_file()}
    texts = [cells for cells in _sidecars(folder) if _find(finder, cells["file_name"])]
    sources |= {"the .txt files": texts} if texts else {}
    captions: dict[str, dict[str, str]] = {}
    for source, given in sources.items():
        found, stray = _matched(finder, given)
        if stray:
            raise LedgerError(
                f"{folder / source}: there is no image {stray[0]!r} ({len(stray)} such names): correct or delete them"
            )
        captions[source] = {nfc(row.file_name): cells["text"] for row, cells in found if cells["text"].strip()}
    return _agreed(folder, captions)


def nfc(text: str) -> str:
    """A name as every system writes it alike."""
    return unicodedata.normalize("NFC", text)


def _agreed(folder: Path, captions: dict[str, dict[str, str]]) -> dict[str, str]:
    if not captions:
        return {}
    (name, first), *others = captions.items()
    for other, second in others:
        table = disagreements(first, second, (name, other))
        if len(table):
            lines = [f"  {file}: {a!r} in {name}, {b!r} in {other}" for file, a, b in table.head(SHOWN).values]
            raise LedgerError(
                f"{folder} has captions in {name} and in {other}, and they disagree about {len(table)} images:\n"
                + "\n".join(lines)
                + "\nDelete one of the two, or make them agree"
            )
    return first


def _with(row: Row, cells: Cells) -> Row:
    given = {key: value for key, value in cells.items() if value and key not in ("file_name", "source")}
    if not cells["text"].strip():
        given.pop("text", None)
    if given.get("status") == "pending":  # nobody decided there; a decision here stays
        del given["status"]
    now = replace(row, **given)
    return replace(now, status="edited") if "status" not in given and now.text != row.text else now


def _finder(rows: Iterable[Row]) -> list[dict[str, list[Row]]]:
    """Rows by their names: the whole, without the ending, without the folder, without both."""
    finder: list[dict[str, list[Row]]] = [{}, {}, {}, {}]
    for row in rows:
        for known, keys in zip(
            finder, zip(_keys(row.file_name), _keys(row.source or row.file_name), strict=True), strict=True
        ):
            for key in {*keys}:
                known.setdefault(key, []).append(row)
    return finder


def _matched(
    finder: Sequence[Mapping[str, list[Row]]], given: Iterable[Cells]
) -> tuple[list[tuple[Row, Cells]], list[str]]:
    """The rows that cells are of, with them, and the names that no row has; raises LedgerError for a name of two."""
    pairs = [(_find(finder, cells["file_name"]), cells) for cells in given]
    found: dict[str, str] = {}
    for row, cells in pairs:
        if row and found.setdefault(row.file_name, cells["file_name"]) != cells["file_name"]:
            raise LedgerError(
                f"{found[row.file_name]!r} and {cells['file_name']!r} are both of {row.file_name}: leave one"
            )
    return [(row, cells) for row, cells in pairs if row], [cells["file_name"] for row, cells in pairs if not row]


def _find(finder: Sequence[Mapping[str, list[Row]]], name: str) -> Row | None:
    """The row that a name is of, the whole name first; one without an ending is another's without it."""
    whole, bare, base, stem = _keys(name)
    for level, key in ((0, whole), (1, whole), (1, bare), (2, base), (3, base), (3, stem)):
        rows = finder[level].get(key, [])
        if len(rows) > 1:
            others = " and ".join(row.source or row.file_name for row in rows[:2])
            raise LedgerError(f"{name!r} may be {others}: write its folder and its ending")
        if rows:
            return rows[0]
    return None


def _keys(name: str) -> tuple[str, str, str, str]:
    path = PurePosixPath(nfc(name))
    return str(path), str(path.with_suffix("")) if path.name else "", path.name, path.stem


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more if names else "none"


def _text_of(path: Path) -> str:
    """The text of a file, UTF-8 with or without a mark, or CP949, as Korean spreadsheets save."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error}") from error
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise LedgerError(f"{path} is neither UTF-8 nor CP949: save it as UTF-8")


def _sidecars(folder: Path) -> list[Cells]:
    files = sorted(p for p in folder.rglob("*.txt") if not p.name.startswith("."))
    return [{"file_name": p.relative_to(folder).with_suffix("").as_posix(), "text": _text_of(p)} for p in files]


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs, so that a name standing twice is seen."""


def _json(path: Path) -> list[Cells]:
    try:
        pairs = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_Pairs)
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path} cannot be read: {error}") from error
    if not isinstance(pairs, _Pairs):
        raise LedgerError(f'{path} must hold {{"file name": "caption", …}}, got {type(pairs).__name__}')
    for name, caption in pairs:
        if not isinstance(caption, str):
            raise LedgerError(f"{path}: the caption of {name!r} must be words, got {caption!r}")
    return [{"file_name": name, "text": caption} for name, caption in pairs]


def _jsonl(path: Path) -> list[Cells]:
    rows = []
    for number, line in enumerate(_text_of(path).split("\n"), 1):
        try:
            cells = json.loads(line) if line.strip() else None
        except ValueError as error:
            raise LedgerError(f"{path}, line {number} cannot be read: {error}") from error
        if cells is not None:
            rows.append(_known_cells(cells, f"{path}, line {number}"))
    return rows


def _known_cells(cells: Any, where: str) -> Cells:
    if not isinstance(cells, dict) or not {"file_name", "text"} <= {*cells}:
        raise LedgerError(f'{where} must be {{"file_name": …, "text": …}}, got {str(cells)[:80]}')
    known = {key: value for key, value in cells.items() if key in COLUMNS}
    for key, value in known.items():
        if not isinstance(value, str):
            raise LedgerError(f"{where}: {key} must be text, got {value!r}")
    return known


def _csv(path: Path) -> list[Cells]:
    content = _text_of(path)
    head = content.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    try:
        header, *body = list(csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)) or [[]]
    except csv.Error as error:
        raise LedgerError(f"{path} cannot be read: {error}") from error
    columns = {name: i for i, name in enumerate(header) if name in COLUMNS}
    for column, names in (("file_name", FILE_COLUMNS), ("text", TEXT_COLUMNS), ("machine_text", MACHINE_COLUMNS)):
        place = next((i for name in names for i, h in enumerate(header) if h.strip().lower() == name), None)
        if place is not None:
            columns[column] = place
    if not {"file_name", "text"} <= {*columns}:
        raise LedgerError(
            f"{path}: a column of file names ({', '.join(FILE_COLUMNS)}) and one of captions"
            f" ({', '.join(TEXT_COLUMNS)}) are needed; got {', '.join(header) or 'none'}"
        )
    for number, cells in enumerate(body, 2):
        if cells and len(cells) != len(header):
            raise LedgerError(f"{path}, row {number}: {len(header)} cells are needed, got {len(cells)}")
    return [{column: cells[i] for column, i in columns.items()} for cells in body if cells]
