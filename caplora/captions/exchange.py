"""Caption files of other tools ↔ captions: any JSON, JSONL or CSV, a `.txt` or `.caption` beside each image.

Reading gives the cells that a file holds of each image; `matching` finds the rows they belong to.
"""

import csv
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from caplora.captions.history import Cells
from caplora.captions.ledger import COLUMNS, LedgerError, Row, leads_out
from caplora.study import SIDECARS, write_text

BOM = "\ufeff"
FILE_COLUMNS = ("file_name", "filename", "file", "image", "image_name", "image_path", "path", "img")
TEXT_COLUMNS = ("text", "corrected_caption", "corrected", "final_caption", "edited_caption", "caption", "prompt")
MACHINE_COLUMNS = ("machine_text", "blip_caption", "blip", "raw_caption", "machine_caption", "original_caption")


def read_captions(path: Path) -> list[Cells]:
    """The cells that a file, or a folder of `.txt`, holds of each image: `file_name`, `text` and any other of COLUMNS.

    A JSON file is {"file name": "caption"}, kohya's {"file name": {"caption": …, "tags": …}} or a list of objects. A
    CSV may use commas, semicolons or tabs. Objects and tables may have the column names of other tools. All but JSON
    may be CP949 instead of UTF-8. Raises LedgerError naming the file and the place for any other content, and for a
    name that occurs twice.
    """
    readers = {".json": _json, ".jsonl": _jsonl, ".csv": _csv, ".tsv": _csv}
    if not path.is_dir() and path.suffix.lower() not in readers:
        raise LedgerError(f"{path}: captions are read from .json, .jsonl, .csv, .tsv or a folder of .txt")
    rows = text_files(path) if path.is_dir() else readers[path.suffix.lower()](path)
    names = [nfc(row["file_name"]) for row in rows]
    if (twice := _twice(names)) is not None:
        raise LedgerError(f"{path}: {twice!r} stands twice")
    if (broken := next((name for name, row in zip(names, rows, strict=True) if _broken(row)), None)) is not None:
        raise LedgerError(f"{path}: what is said of {broken!r} holds half a character (\\ud800 and the like): mend it")
    return [row | {"file_name": name} for row, name in zip(rows, names, strict=True)]


def write_captions(rows: Iterable[Row], path: Path) -> None:
    """Write rows as the ending of `path` says: `.json` gets the captions alone, `.jsonl` and `.csv` all columns.

    A path without an ending is a folder, which gets a `.txt` with the caption of each image.
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


def _twice(names: Sequence[str]) -> str | None:
    """The first name that stands twice; None if none does."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _broken(cells: Cells) -> bool:
    """Whether cells hold half a character, as JSON can write it; no file can."""
    try:
        "".join(cells.values()).encode()
    except UnicodeEncodeError:
        return True
    return False


def inside(folder: Path, path: Path) -> Path:
    """A file found in `folder`; raises LedgerError for a link that leads out of it, to words that nobody put there."""
    if leads_out(folder, path.relative_to(folder).as_posix()):
        raise LedgerError(f"{path} is a link that leads out of {folder}: put the file itself there, or remove it")
    return path


def nfc(text: str) -> str:
    """A text in Unicode's composed form (NFC): macOS and others write "é" in different ways."""
    return unicodedata.normalize("NFC", text)


def _text_of(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark, or in CP949, which Korean spreadsheets save."""
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


def text_files(folder: Path) -> list[Cells]:
    """The text of each `.txt` or `.caption` below `folder`, under the name of the image beside it, without ending.

    Raises LedgerError where two such files of one image have words that differ, and for a link that leads out.
    """
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SIDECARS and not p.name.startswith("."))
    texts: dict[str, str] = {}
    for path in files:
        name, text = path.relative_to(folder).with_suffix("").as_posix(), _text_of(inside(folder, path))
        before = texts.get(name, "")
        if before.split() and text.split() and before.split() != text.split():
            raise LedgerError(f"{path}: another file of the same name says {before.strip()[:80]!r}: leave one")
        texts[name] = text if text.strip() else before or text
    return [{"file_name": name, "text": text} for name, text in texts.items()]


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as a list of its pairs; a dict would hide a name that occurs twice."""


def _loaded(text: str, where: str) -> Any:
    """What a JSON text holds, its objects as pairs; raises LedgerError naming `where` if it cannot be read."""
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"{where} cannot be read: {error}") from error


def _json(path: Path) -> list[Cells]:
    """The captions of a JSON object by file name, or of a list of objects that have a CSV's columns."""
    try:
        content = _loaded(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(f"{path} cannot be read: {error}") from error
    if isinstance(content, _Pairs):
        return [_captioned(path, name, caption) for name, caption in content]
    if isinstance(content, list) and content and all(isinstance(record, _Pairs) for record in content):
        return [_record(record, f"{path}, record {number}") for number, record in enumerate(content, 1)]
    one, other = '{"file name": "caption", …}', '[{"file_name": …, "text": …}, …]'
    raise LedgerError(f"{path} must hold {one} or {other}, got {type(content).__name__}")


def _captioned(path: Path, name: str, caption: Any) -> Cells:
    """The cells of a file name and its caption, words or an object; raises LedgerError if it is neither."""
    if isinstance(caption, _Pairs):
        own = _Pairs(pair for pair in caption if pair[0] != "file_name")
        return _record(_Pairs([*own, ("file_name", name)]), f"{path}, {name!r}")
    if not isinstance(caption, str):
        raise LedgerError(f"{path}: the caption of {name!r} must be words, got {_shown(caption)}")
    return {"file_name": name, "text": caption}


def _record(pairs: _Pairs, where: str) -> Cells:
    """The cells of an object, whatever it calls them; null is empty. Raises LedgerError if one is no text."""
    if (twice := _twice([name for name, _ in pairs])) is not None:
        raise LedgerError(f"{where}: {twice!r} stands twice")
    record = _tagged(dict(pairs), where)
    names = list(record)
    cells = {column: record[names[i]] for column, i in _columns(names, where).items()}
    return {column: _words(value, f"{where}: {column}") for column, value in cells.items()}


def _tagged(record: dict[str, Any], where: str) -> dict[str, Any]:
    """The object with its tags behind its caption, as kohya's scripts train on it; a text of its own stays as it is."""
    if not record.get("tags") or any(record.get(name) for name in TEXT_COLUMNS if name != "caption"):
        return record
    record = {name: value for name, value in record.items() if name not in TEXT_COLUMNS or name == "caption"}
    tags = record["tags"] if type(record["tags"]) is list else [record["tags"]]
    parts = [_words(record.get("caption"), f"{where}: caption"), *(_words(tag, f"{where}: tags") for tag in tags)]
    return record | {"caption": ", ".join(filter(None, parts))}


def _words(value: Any, what: str) -> str:
    """A text, null as an empty one; raises LedgerError for anything else."""
    if value is not None and not isinstance(value, str):
        raise LedgerError(f"{what} must be text, got {_shown(value)}")
    return value or ""


def _shown(value: Any) -> str:
    """The beginning of a value; what is too deep to be written out is only called so."""
    try:
        return str(value)[:80]
    except RecursionError:
        return "lists in lists without end"


def _jsonl(path: Path) -> list[Cells]:
    """The cells of a file with a JSON object in each line."""
    rows = []
    for number, line in enumerate(_text_of(path).split("\n"), 1):
        where = f"{path}, line {number}"
        cells = _loaded(line, where) if line.strip() else None
        if cells is not None:
            if not isinstance(cells, _Pairs):
                raise LedgerError(f"{where} must be an object, got {_shown(cells)}")
            rows.append(_record(cells, where))
    return rows


def _csv(path: Path) -> list[Cells]:
    """The cells of a table, whatever it calls its columns: see FILE_COLUMNS, TEXT_COLUMNS and MACHINE_COLUMNS."""
    content = _text_of(path)
    head = content.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    try:
        header, *body = list(csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)) or [[]]
    except csv.Error as error:
        raise LedgerError(f"{path} cannot be read: {error}") from error
    columns = _columns(header, str(path))
    for number, cells in enumerate(body, 2):
        if cells and len(cells) != len(header):
            raise LedgerError(f"{path}, row {number}: {len(header)} cells are needed, got {len(cells)}")
    return [{column: cells[i] for column, i in columns.items()} for cells in body if cells]


def _columns(header: Sequence[str], where: str) -> dict[str, int]:
    """Column of the ledger → its place in a header that may use the names of other tools.

    Raises LedgerError naming `where` if no column holds file names, or none captions.
    """
    columns = {name: i for i, name in enumerate(header) if name in COLUMNS}
    for column, names in (("file_name", FILE_COLUMNS), ("text", TEXT_COLUMNS), ("machine_text", MACHINE_COLUMNS)):
        place = next((i for name in names for i, h in enumerate(header) if h.strip().lower() == name), None)
        if place is not None:
            columns[column] = place
    if not {"file_name", "text"} <= {*columns}:
        raise LedgerError(
            f"{where}: a column of file names ({', '.join(FILE_COLUMNS)}) and one of captions"
            f" ({', '.join(TEXT_COLUMNS)}) are needed; got {', '.join(header) or 'none'}"
        )
    return columns
