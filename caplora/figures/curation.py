"""The table of `images.csv` → figures: what the pictures measure beside the study's limits, and those flagged.

Each function takes the table as `image_table` returns it; what is flagged was decided there.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from caplora.figures.galleries import read_pictures
from caplora.figures.look import GREY, INK, MUTED, STYLE, WIDTH, Figure, footnote
from caplora.images import RULES, Rule
from caplora.study import Curation

PANELS = {  # column → title, unit
    "enlarged": ("Enlargement", "times, to the resolution"),
    "sharpness": ("Sharpness", "variance of the Laplacian"),
    "brightness": ("Brightness", "mean luma, 0 … 1"),
    "clipped": ("Clipped", "share of pixels"),
    "contrast": ("Contrast", "luma, 95th − 5th percentile"),
    "cast": ("Colour cast", "from grey or skin, CIELAB"),
    "light_x": ("Light from the side", "left < 0 < right"),
    "faces": ("Faces", "number found"),
    "face_share": ("Size of the face", "share of the square"),
    "face_cut": ("Face cut off", "share of its box"),
    "likeness": ("Likeness", "cosine to the folder's person"),
    "roll": ("Roll", "degrees, clockwise"),
    "yaw": ("Yaw, estimated", "degrees, to the right"),
}
FLAGGED = "#c8442a"
COLUMNS = 4  # of panels
ACROSS = 5  # pictures in a row of a gallery


@rc_context(STYLE)
def measures_figure(table: pd.DataFrame, curation: Curation) -> Figure:
    """How each measure is distributed, its limits as lines, what they flag in colour; the last panel counts flags.

    A panel of faces is there only where they were looked for.
    """
    shown = [column for column in PANELS if table[column].notna().any()]
    raised = Counter(word for words in table["flagged"] for word in words.split())
    rows, height = -(-(len(shown) + 1) // COLUMNS), max(1.75, 0.7 + 0.14 * len(raised))  # inches
    figure = Figure((WIDTH, 0.75 + height * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes, column in zip(panels, shown, strict=False):
        _distribution(axes, table[["flagged", column]].dropna(), column, curation)
    _flag_counts(panels[len(shown)], raised)
    for axes in panels[: len(shown) : COLUMNS]:
        axes.set_ylabel("images", fontsize=8)
    for axes in panels[len(shown) + 1 :]:
        axes.set_visible(False)
    marks = [Patch(color=GREY, label="within the limit"), Patch(color=FLAGGED, label="flagged for this measure")]
    figure.legend(handles=marks, loc="outside upper right", ncols=2)
    unknown = "" if table["faces"].notna().any() else " Faces were not looked for."
    on_face = int((table["measured_on"] == "face").sum())
    where = f" Measured on the face in {on_face} of them, else on the whole picture." if on_face else ""
    dropped = f"{(table['flagged'] != '').sum()} of them flagged, for any reason"
    note = f"n = {len(table)} images, {dropped}. Dashed: limits (images.curation); ticks below: each image."
    footnote(figure, note + where + unknown)
    return figure


@rc_context(STYLE)
def flagged_gallery(table: pd.DataFrame, folder: Path, at_most: int = 20) -> Figure:
    """The first flagged pictures with their reasons; `folder` holds them by their file_name."""
    rows = table[table["flagged"] != ""]
    cells = [(name, _wrapped(text)) for name, text in rows[["file_name", "reasons"]].head(at_most).to_numpy(str)]
    left = f" The first {at_most} are shown, images.csv has all." if len(rows) > at_most else ""
    note = f"{len(rows)} of {len(table)} images are flagged.{left} Take one as it is: images.accept in the study."
    return _gallery(folder, [cells[i : i + ACROSS] for i in range(0, len(cells), ACROSS)], note)


@rc_context(STYLE)
def duplicate_gallery(table: pd.DataFrame, folder: Path, at_most: int = 8) -> Figure:
    """The first clusters of near-duplicates, a row each, with the first pictures of each side by side."""
    clusters = [list(names) for _, names in table.dropna(subset="cluster").groupby("cluster")["file_name"]]
    rows = [[(name, "") for name in names[:ACROSS]] for names in clusters[:at_most]]
    for row, names in zip(rows, clusters, strict=False):
        row[-1] = (row[-1][0], f"and {len(names) - ACROSS} more" if len(names) > ACROSS else "")
    left = f" The first {at_most} are shown." if len(clusters) > at_most else ""
    note = f"Clusters of near-duplicates among {len(table)} images, a row each: {len(clusters)}.{left}"
    return _gallery(folder, rows, f"{note} Leave one out: images.refuse in the study.")


def _distribution(axes: Axes, values: pd.DataFrame, column: str, curation: Curation) -> None:
    """A histogram, stacked of what the rules on this column do not flag and what they do; each image is a tick."""
    rules = {word: rule for word, rule in RULES.items() if rule.column == column}
    numbers = values[column].to_numpy(float)
    hit = np.array([bool(rules.keys() & set(words.split())) for words in values["flagged"]], bool)
    bounds = [b for word, rule in rules.items() for b in _bounds(rule, getattr(curation, word).flag)]
    edges = np.histogram_bin_edges([*numbers, *bounds], 24)
    if column == "faces":
        edges = np.arange(numbers.max() + 2) - 0.5
    axes.hist([numbers[~hit], numbers[hit]], bins=edges.tolist(), stacked=True, color=[GREY, FLAGGED])
    at_foot = axes.get_xaxis_transform()
    axes.plot(numbers, np.full(len(numbers), 0.025), "|", color=INK, ms=3.5, mew=0.4, alpha=0.6, transform=at_foot)
    for bound in bounds:
        axes.axvline(bound, color=INK, lw=1, ls=(0, (4, 3)))
    title, unit = PANELS[column]
    axes.set_title(title)
    axes.set_xlabel(unit, fontsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _bounds(rule: Rule, bound: float | None) -> tuple[float, ...]:
    """Where a limit is drawn: between the whole numbers for a number of faces."""
    if bound is None:
        return ()
    if rule.column == "faces":
        return (bound - 0.5 if rule.side == "below" else bound + 0.5,)
    return (-bound, bound) if rule.side == "beyond" else (bound,)


def _flag_counts(axes: Axes, raised: Counter[str]) -> None:
    """How many images carry each flag, the most frequent on top."""
    axes.set_title("Flags")
    if not raised:
        axes.axis("off")
        axes.text(0, 0.9, "none", va="top", color=MUTED, transform=axes.transAxes)
        return
    words, counts = zip(*reversed(raised.most_common()), strict=True)
    bars = axes.barh(words, counts, color=FLAGGED, height=0.7)
    axes.bar_label(bars, padding=2, fontsize=7.5)
    axes.set_xlabel("images", fontsize=8)
    axes.tick_params(axis="y", labelsize=7.5, length=0)
    axes.set_ylim(len(raised) - 0.5 - max(len(raised), 7), len(raised) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.grid(False, axis="y")
    axes.set_xlim(0, 1.2 * max(counts))


def _gallery(folder: Path, rows: Sequence[Sequence[tuple[str, str]]], note: str) -> Figure:
    """Rows of pictures, each with its name and a text of ready lines under it."""
    side, line = (WIDTH - 0.1) / ACROSS, 0.125  # inches
    heights = [side + line * (1 + max(1 + text.count("\n") for _, text in row)) for row in rows]
    height = sum(heights) + 0.4
    figure = Figure((WIDTH, height))
    top = height - 0.08
    for row, depth in zip(rows, heights, strict=True):
        pictures = read_pictures(folder, [name for name, _ in row])
        for i, (picture, (name, text)) in enumerate(zip(pictures, row, strict=True)):
            left, size = 0.08 + i * side, side - 0.12
            axes = figure.add_axes((left / WIDTH, (top - size) / height, size / WIDTH, size / height))
            axes.imshow(picture)
            axes.axis("off")
            under = (left / WIDTH, (top - size - 0.05) / height)
            figure.text(*under, _short(name), va="top", fontsize=7, fontweight="bold")
            figure.text(under[0], under[1] - line / height, text, va="top", fontsize=7, color=MUTED, linespacing=1.25)
        top -= depth
    footnote(figure, note)
    return figure


def _short(name: str) -> str:
    """A file name of at most 22 characters: its beginning and its end."""
    return name if len(name) <= 22 else f"{name[:10]}…{name[-11:]}"


def _wrapped(reasons: str) -> str:
    """Each reason on lines of its own, long names shortened, without the keys of the study."""
    plain = re.sub(r" \(images\.curation\.\w+\)", "", reasons)
    plain = re.sub(r"[^\s;:]{23,}", lambda name: _short(name[0]), plain)
    return "\n".join(fill(reason, 27) for reason in plain.split("; "))
