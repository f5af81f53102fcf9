"""Stored images ↔ the table of `datasets/<study>/images.csv`: a row per image, its measures and why it is flagged.

What was refused has a table of its own, `refused.csv`.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from caplora.images.curation import clusters
from caplora.images.intake import Refused, Stored
from caplora.study import Curation, disk_errors_name, write_text

ABOUT = ("file_name", "source", "width", "height", "flagged", "reasons", "cluster")
MEASURES = (
    "enlarged", "sharpness", "brightness", "black", "white", "clipped", "contrast", "light_x", "light_y", "light_angle",
    "light_strength", "cast_a", "cast_b", "cast", "look", "measured_on", "faces",
)  # fmt: skip
OF_A_FACE = ("face_share", "face_cut", "confidence", "roll", "yaw")  # empty where there is none
OF_A_PERSON = ("person", "likeness")  # empty where persons were not told apart


def image_table(stored: Iterable[Stored], curation: Curation) -> pd.DataFrame:
    """A row per image: its flags as words, their reasons, its cluster (empty if none), and what `Measure` says."""
    items = list(stored)
    numbers = clusters([item.measure.look for item in items], curation)
    rows = [_row(item) | {"cluster": int(number) or None} for item, number in zip(items, numbers, strict=True)]
    kinds = dict.fromkeys(("cluster", "faces", "person"), "Int64") | dict.fromkeys((*OF_A_FACE, "likeness"), "float64")
    return pd.DataFrame(rows, columns=[*ABOUT, *MEASURES, *OF_A_FACE, *OF_A_PERSON]).astype(kinds)


def write_refused(refused: Iterable[Refused], path: Path) -> None:
    """Write `refused.csv` with the columns file and reason; only the header if nothing was refused."""
    lines = io.StringIO(newline="")
    csv.writer(lines).writerows([("file", "reason"), *((item.named, item.reason) for item in refused)])
    write_text(path, lines.getvalue())


def near_duplicates(dataset: Path) -> dict[str, int]:
    """File name → the number that it shares with its near-duplicates, of those in `images.csv`; none without it."""
    file = dataset / "images.csv"
    with disk_errors_name(file, "read"):
        table = pd.read_csv(file) if file.is_file() else pd.DataFrame()
    return clusters_of(table) if "cluster" in table else {}


def clusters_of(table: pd.DataFrame) -> dict[str, int]:
    """File name → the number that it shares with its near-duplicates; those that have none are left out."""
    joined = table.dropna(subset="cluster").astype({"cluster": int})
    return dict(joined[["file_name", "cluster"]].itertuples(index=False, name=None))


def _row(item: Stored) -> dict[str, object]:
    about = {
        "file_name": item.file_name,
        "source": item.source.as_posix(),
        "width": item.width,
        "height": item.height,
        "flagged": " ".join(flag.word for flag in item.flags),
        "reasons": "; ".join(flag.reason for flag in item.flags),
    }
    return about | {name: getattr(item.measure, name) for name in (*MEASURES, *OF_A_FACE, *OF_A_PERSON)}
