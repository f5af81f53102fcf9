"""Any folder of pictures and what each of them should show → raw cosine and CLIPScore of each, and their means.

The folder need not come from a study: its `metadata.csv` (file_name, text), or one text for all, says what was asked.
"""

import csv
from collections.abc import Container
from pathlib import Path

import pandas as pd

from caplora.captions import LEDGER, leads_out
from caplora.scoring.clip import ClipEmbeddings
from caplora.scoring.sample_metrics import clip_scores, cosines

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
COLUMNS = ("file_name", "text", "metric", "model", "value", "weights", "prefix", "versions")


def read_texts(folder: Path, text: str | None = None) -> dict[str, str]:
    """File name → text of every picture of a folder, by its `metadata.csv` or, if given, one `text` for all.

    A folder that holds folders with a `metadata.csv` each, as `sample` leaves it, is read as all of these.

    Raises ValueError where there are no pictures, a picture has no text, or a row of the table no picture, stands twice
    or leads out of the folder.
    """
    if not folder.is_dir():
        raise ValueError(f"--images_dir: {folder} is not a folder")
    if text is not None and not text.strip():
        raise ValueError("--text is empty: say what the pictures should show")
    arms = sorted(p.parent for p in folder.glob(f"*/{LEDGER}")) if not (folder / LEDGER).is_file() else []
    if arms:
        return {f"{arm.name}/{name}": said for arm in arms for name, said in read_texts(arm, text).items()}
    names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    texts = read_metadata(folder) if text is None else dict.fromkeys(names, text)
    if not texts:
        raise ValueError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    if lost := [name for name in names if name not in texts]:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise ValueError(f"{folder / lost[0]}{more}: no text in {LEDGER}; write what it should show, or give --text")
    if out := [name for name in texts if leads_out(folder, name)]:
        raise ValueError(f"{folder / out[0]} leads out of {folder}: only pictures that lie in it are scored")
    return texts


def read_metadata(folder: Path) -> dict[str, str]:
    """File name → text of a folder's `metadata.csv`, whatever else it says; raises ValueError as `read_texts`."""
    table = folder / LEDGER
    if not table.is_file():
        raise ValueError(f"{table} does not exist: write it (file_name, text), or give one --text for all pictures")
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            header, *rows = [cells for cells in csv.reader(file, strict=True) if cells] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} cannot be read: {error}; save it as “CSV UTF-8”") from error
    if not {"file_name", "text"} <= {*header}:
        raise ValueError(f"{table}: the columns file_name and text are needed, got {', '.join(header) or 'none'}")
    texts: dict[str, str] = {}
    for number, cells in enumerate(rows, 2):  # as a spreadsheet counts
        row = dict(zip(header, cells, strict=False))
        name, text = row.get("file_name", ""), row.get("text", "").strip()
        if why := _fault(folder, name, text, texts):
            raise ValueError(f"{table}, row {number}: {why}")
        texts[name] = text
    return texts


def _fault(folder: Path, name: str, text: str, known: Container[str]) -> str:
    """What is wrong with a row of the table and the way out; empty if nothing is."""
    if not name or leads_out(folder, name):
        return f"{name!r} must lie in {folder}, without .., drive or link"
    if name in known:
        return f"{name} stands twice: delete one of the rows"
    if not (folder / name).is_file():
        return f"there is no picture {name} in {folder}: put it back or delete the row"
    return "" if text else f"{name} has no text: write what it should show, or give one --text for all"


def score_folder(clip: ClipEmbeddings, folder: Path, texts: dict[str, str], prefix: str) -> pd.DataFrame:
    """Raw cosine and CLIPScore of each picture with its text: `COLUMNS`, a row per picture and metric."""
    images = clip.images([folder / name for name in texts])
    written = clip.texts([prefix + text for text in texts.values()])
    by, tables = clip.encoder, []
    for metric, values in (("clip_cosine", cosines(images, written)), ("clip_score", clip_scores(images, written))):
        own = zip(texts.items(), values.tolist(), strict=True)
        rows = [(name, text, metric, by.label, value, by.weights, prefix, by.versions) for (name, text), value in own]
        tables.append(pd.DataFrame(rows, columns=list(COLUMNS)))
    return pd.concat(tables, ignore_index=True)
