"""Any folder of pictures and what each of them should show → raw cosine and CLIPScore of each, and their means.

The folder need not come from a study: what was asked for stands in its `metadata.csv` (file_name, text), in the
pictures themselves, as caplora and A1111 write it, in files of captions among them, or in one text for all.
"""

import csv
import math
import unicodedata
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from caplora.captions import LEDGER, leads_out, own_words
from caplora.sampling import asked_of, read_written, said_of
from caplora.scoring.clip import ClipEmbeddings
from caplora.scoring.sample_metrics import clip_scores, cosines

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
COLUMNS = ("file_name", "text", "metric", "model", "value", "weights", "prefix", "versions", "flag")
SHOWN = 10  # names in a sentence; the rest is only counted


class Picture(NamedTuple):
    """What is known of a picture."""

    text: str  # what it should show
    flag: str = ""  # why it cannot be scored: black, not finite


def read_pictures(folder: Path, text: str | None = None) -> dict[str, Picture]:
    """File name → what is known of every picture of a folder.

    Its text is the `text` given for all, or stands in `metadata.csv`, or in the picture itself, or in any other form in
    which captions lie among images, such as `a.txt` beside `a.png`. A folder of folders, as `sample` leaves it, is read
    as all of these, with what lies beside them and has a text; `unread` names the rest. Raises ValueError where there
    are no pictures, a picture has no text, or a row of the table no picture, stands twice or leads out of the folder.
    """
    if not folder.is_dir():
        raise ValueError(f"--images_dir: {folder} is not a folder")
    if text is not None and not text.strip():
        raise ValueError("--text is empty: say what the pictures should show")
    arms = [] if (folder / LEDGER).is_file() else [p for p in sorted(folder.iterdir()) if p.is_dir() and _is_arm(p)]
    found = _own(folder, text)
    if arms:
        found = {name: said for name, said in found.items() if said.text}
        found |= {f"{arm.name}/{name}": said for arm in arms for name, said in read_pictures(arm, text).items()}
    if not found:
        raise ValueError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    if out := [name for name in found if leads_out(folder, name)]:
        raise ValueError(f"{folder / out[0]} leads out of {folder}: only pictures that lie in it are scored")
    if lost := [name for name, picture in found.items() if not picture.text]:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        table = (folder / LEDGER).is_file()
        where = f"no text in {LEDGER}" if table else f"says no prompt, and no .txt beside it nor a {LEDGER} does"
        raise ValueError(
            f"{folder / lost[0]}{more}: {where}: write there what it should show, or give one --text for all pictures"
        )
    return found


def unread(folder: Path, pictures: Container[str]) -> str:
    """Which pictures below a folder `read_pictures` did not find a text for, in words; empty if there is none."""
    paths = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    lost = sorted(name for p in paths if (name := p.relative_to(folder).as_posix()) not in pictures)
    return f"not scored, because nothing says what they should show: {_listed(lost)}" if lost else ""


def _own(folder: Path, text: str | None) -> dict[str, Picture]:
    """File name → what is known of every picture that lies in a folder itself; the text may be empty."""
    names = _pictures(folder)
    table = read_metadata(folder) if text is None and (folder / LEDGER).is_file() else {}
    found = table | {name: _picture(folder / name, text) for name in names if name not in table}
    if text is None and not table and any(not picture.text for picture in found.values()):
        words = own_words(folder)
        found = {name: said if said.text else _in_words(said, words, name) for name, said in found.items()}
    return found


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _pictures(folder: Path) -> list[str]:
    """The pictures that lie in a folder, by name."""
    return sorted(p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _is_arm(folder: Path) -> bool:
    """Whether a folder says what a picture of it should show."""
    drawn = any(asked_of(folder / name) for name in _pictures(folder))
    return (folder / LEDGER).is_file() or drawn or bool(own_words(folder))


def _in_words(picture: Picture, words: Mapping[str, str], name: str) -> Picture:
    """A picture that says no prompt, with the words that a file of captions has for it."""
    return picture._replace(text=read_written(words.get(unicodedata.normalize("NFC", name), "")).prompt)


def _picture(path: Path, text: str | None) -> Picture:
    """A picture that no table speaks of, with the text given for all or its own."""
    return Picture(asked_of(path) if text is None else text, said_of(path).get("flag", ""))


def read_metadata(folder: Path) -> dict[str, Picture]:
    """File name → what a folder's `metadata.csv` says of it; raises ValueError as `read_pictures`."""
    table = folder / LEDGER
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            header, *rows = [cells for cells in csv.reader(file, strict=True) if cells] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} cannot be read: {error}; save it as “CSV UTF-8”") from error
    if not {"file_name", "text"} <= {*header}:
        raise ValueError(f"{table}: the columns file_name and text are needed, got {', '.join(header) or 'none'}")
    found: dict[str, Picture] = {}
    for number, cells in enumerate(rows, 2):  # as a spreadsheet counts
        row = dict(zip(header, cells, strict=False))
        name, text = row.get("file_name", ""), row.get("text", "").strip()
        if why := _fault(folder, name, text, found):
            raise ValueError(f"{table}, row {number}: {why}")
        found[name] = Picture(text, row.get("flag", "") or said_of(folder / name).get("flag", ""))
    return found


def _fault(folder: Path, name: str, text: str, known: Container[str]) -> str:
    """What is wrong with a row of the table and the way out; empty if nothing is."""
    if not name or leads_out(folder, name):
        return f"{name!r} must lie in {folder}, without .., drive or link"
    if name in known:
        return f"{name} stands twice: delete one of the rows"
    if not (folder / name).is_file():
        return f"there is no picture {name} in {folder}: put it back or delete the row"
    return "" if text else f"{name} has no text: write what it should show, or give one --text for all"


def scored_paths(folder: Path, pictures: Mapping[str, Picture]) -> list[Path]:
    """The pictures that can be scored; raises ValueError where every one is flagged."""
    paths = [folder / name for name, picture in pictures.items() if not picture.flag]
    if not paths:
        raise ValueError(f"{folder}: {left_out(pictures)}, which leaves none to score")
    return paths


def left_out(pictures: Mapping[str, Picture]) -> str:
    """Which pictures are flagged and hence not scored; empty if none is."""
    flagged = [f"{name} ({picture.flag})" for name, picture in pictures.items() if picture.flag]
    if not flagged:
        return ""
    return f"{len(flagged)} of {len(pictures)} pictures flagged and left out of the means: {_listed(flagged)}"


def score_folder(clip: ClipEmbeddings, folder: Path, pictures: Mapping[str, Picture]) -> pd.DataFrame:
    """Raw cosine and CLIPScore of each picture with its text: `COLUMNS`, a row per picture and metric.

    A flagged picture has its rows, and no value.
    """
    paths = scored_paths(folder, pictures)
    names = [name for name, picture in pictures.items() if not picture.flag]
    images, texts = clip.images(paths), clip.texts([clip.prefix + pictures[name].text for name in names])
    by, rows = clip.encoder, []
    for metric, values in (("clip_cosine", cosines(images, texts)), ("clip_score", clip_scores(images, texts))):
        own = dict(zip(names, values.tolist(), strict=True))
        for name, (text, flag) in pictures.items():
            value = own.get(name, math.nan)
            rows.append((name, text, metric, by.label, value, by.weights, clip.prefix, by.versions, flag))
    return pd.DataFrame(rows, columns=list(COLUMNS))
