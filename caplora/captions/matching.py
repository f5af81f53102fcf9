"""Captions of another source → the rows of the ledger that they belong to, and where the two disagree.

Names are compared in Unicode's composed form: first the whole name, then without its folder, then without its ending.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path, PurePosixPath

import pandas as pd

from caplora.captions.exchange import inside, nfc, read_captions, text_files
from caplora.captions.history import Cells
from caplora.captions.ledger import LEDGER, LedgerError, Row, checked
from caplora.images import is_picture
from caplora.study import CAPTION_FILES

SHOWN = 10  # names in a message; the rest is only counted


def imported(rows: Mapping[str, Row], given: Sequence[Cells], where: str, partial: bool = False) -> dict[str, Row]:
    """The rows that `given` cells change, by file name. A caption that differs and comes without a status is edited.

    Empty cells, and the status pending, change nothing. Raises LedgerError with the images that only one side has;
    `partial` allows the ledger to have more.
    """
    found, stray = _matched(_finder(rows.values()), given, where)
    names = {row.file_name for row, _ in found}
    lacking = [name for name in rows if name not in names]
    if stray or (lacking and not partial):
        raise LedgerError(
            f"{where} and {LEDGER} do not speak of the same images: only in {where}: {listed(stray)}; only in"
            f" {LEDGER}: {listed(lacking)}. Correct the names" + ("" if stray else ", or import a part (--partial)")
        )
    changed = {row.file_name: checked(_with(row, cells), where) for row, cells in found}
    return {name: row for name, row in changed.items() if row != rows[name]}


def compared(rows: Mapping[str, Row], given: Sequence[Cells], where: str) -> pd.DataFrame:
    """Where the captions of the ledger and those given differ: file_name, and the caption of each."""
    found, stray = _matched(_finder(rows.values()), given, where)
    theirs = {row.file_name: in_one_line(cells["text"]) for row, cells in found}
    theirs |= {cells["file_name"]: in_one_line(cells["text"]) for cells in given if cells["file_name"] in stray}
    return disagreements({name: in_one_line(row.text) for name, row in rows.items()}, theirs, (LEDGER, where))


def disagreements(first: Mapping[str, str], second: Mapping[str, str], names: tuple[str, str]) -> pd.DataFrame:
    """Where two sources of captions differ: file_name, and the caption of each, None where it lacks the image."""
    keys = sorted({*first, *second})
    table = [(key, first.get(key), second.get(key)) for key in keys if first.get(key) != second.get(key)]
    return pd.DataFrame(table, columns=["file_name", *names])


def own_words(folder: Path) -> dict[str, str]:
    """Image (its path in `folder`) → the caption that a person keeps among their images, in any form.

    Raises LedgerError for a caption without an image and for a link that leads out; and if two forms disagree, with a
    list of what each says.
    """
    finder = _finder_below(folder)
    files = [folder / name for name in CAPTION_FILES if (folder / name).is_file()]
    sources = {path.name: read_captions(inside(folder, path)) for path in files}
    texts = [cells for cells in text_files(folder) if _find(finder, cells["file_name"], str(folder))]
    sources |= {"the files beside the images": texts} if texts else {}
    captions: dict[str, dict[str, str]] = {}
    for source, given in sources.items():
        found = _all_matched(finder, given, folder / source)
        captions[source] = {name: in_one_line(cells["text"]) for name, cells in found.items()}
    return _agreed(folder, {source: words for source, words in captions.items() if any(words.values())})


def cells_in(folder: Path, file: Path) -> dict[str, Cells]:
    """Image (its path in `folder`) → what a caption file, wherever it lies, says of it.

    Raises LedgerError for a caption without an image.
    """
    return _all_matched(_finder_below(folder), read_captions(file), file)


def _finder_below(folder: Path) -> list[dict[str, list[Row]]]:
    """A finder of the pictures in a folder."""
    images = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if is_picture(p)]
    return _finder(Row(name, source=name) for name in images)


def _all_matched(finder: Sequence[Mapping[str, list[Row]]], given: Iterable[Cells], where: Path) -> dict[str, Cells]:
    """Image → its cells; raises LedgerError naming `where` for cells without an image."""
    found, stray = _matched(finder, given, str(where))
    if stray:
        raise LedgerError(f"{where}: there is no image {stray[0]!r} ({len(stray)} such names): correct or delete them")
    return {nfc(row.file_name): cells for row, cells in found}


def _agreed(folder: Path, captions: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The captions on which all sources agree, a blank one with any; raises LedgerError if two do not."""
    agreed: dict[str, str] = {}
    for (name, first), (other, second) in combinations(captions.items(), 2):
        blank = {image for image in {*first, *second} if "" in (first.get(image), second.get(image))}
        told = [{image: text for image, text in one.items() if image not in blank} for one in (first, second)]
        table = disagreements(told[0], told[1], (name, other))
        if len(table):
            lines = [f"  {file}: {a!r} in {name}, {b!r} in {other}" for file, a, b in table.head(SHOWN).values]
            raise LedgerError(
                f"{folder} has captions in {name} and in {other}, and they disagree about {len(table)} images:\n"
                + "\n".join(lines)
                + "\nDelete one of the two, or make them agree"
            )
    for words in captions.values():
        agreed |= {image: text for image, text in words.items() if text}
    return agreed


def _with(row: Row, cells: Cells) -> Row:
    """`row` with the given cells that say something new."""
    given = {key: value for key, value in cells.items() if value and key not in ("file_name", "source", "text")}
    text = in_one_line(cells["text"])
    if text and text != in_one_line(row.text):
        given["text"] = text
    if given.get("status") == "pending":  # nobody has decided there, so a decision here stays
        del given["status"]
    now = replace(row, **given)
    return replace(now, status="edited") if "status" not in given and now.text != row.text else now


def _finder(rows: Iterable[Row]) -> list[dict[str, list[Row]]]:
    """Rows by name, in four forms: whole, without ending, without folder, without both."""
    finder: list[dict[str, list[Row]]] = [{}, {}, {}, {}]
    for row in rows:
        for known, keys in zip(
            finder, zip(_keys(row.file_name), _keys(row.source or row.file_name), strict=True), strict=True
        ):
            for key in {*keys}:
                known.setdefault(key, []).append(row)
    return finder


def _matched(
    finder: Sequence[Mapping[str, list[Row]]], given: Iterable[Cells], where: str
) -> tuple[list[tuple[Row, Cells]], list[str]]:
    """Pairs of a row and its cells, and the names that no row has; raises LedgerError for two names of one row."""
    pairs = [(_find(finder, cells["file_name"], where), cells) for cells in given]
    found: dict[str, str] = {}
    for row, cells in pairs:
        if row and found.setdefault(row.file_name, cells["file_name"]) != cells["file_name"]:
            raise LedgerError(
                f"{where}: {found[row.file_name]!r} and {cells['file_name']!r} are both of {row.file_name}: leave one"
            )
    return [(row, cells) for row, cells in pairs if row], [cells["file_name"] for row, cells in pairs if not row]


def _find(finder: Sequence[Mapping[str, list[Row]]], name: str, where: str) -> Row | None:
    """The row that a name belongs to, or None: the most exact form of the name that any row has decides."""
    whole, bare, base, stem = _keys(name)
    for level, key in ((0, whole), (1, whole), (1, bare), (2, base), (3, base), (3, stem)):
        rows = finder[level].get(key, [])
        if len(rows) > 1:
            others = " and ".join(row.source or row.file_name for row in rows[:2])
            raise LedgerError(f"{where}: {name!r} may be {others}: write its folder and its ending")
        if rows:
            return rows[0]
    return _find(finder, name.replace("\\", "/"), where) if "\\" in name else None  # a path of Windows


def _keys(name: str) -> tuple[str, str, str, str]:
    """A name whole, without ending, without folder, without both."""
    path = PurePosixPath(nfc(name))
    return str(path), str(path.with_suffix("")) if path.name else "", path.name, path.stem


def in_one_line(text: str) -> str:
    """The text in one line, as every text encoder reads it: a caption of several lines is one caption."""
    return " ".join(text.split())


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more if names else "none"
