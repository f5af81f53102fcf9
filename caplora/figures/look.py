"""The one look of every figure: colours, markers and lines of the arms, type, small print, how prompts are shortened.

One rank has one colour and one alpha one marker and line, wherever they are drawn; the baseline is grey.
"""

import io
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from textwrap import fill
from typing import Any
from unicodedata import east_asian_width

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib import font_manager, rc_context
from matplotlib.textpath import text_to_path
from PIL import Image

from caplora.study import replacing, write_text

INK, MUTED, GREY, FAINT = "#22252a", "#5c626b", "#8a8f98", "#e6e8eb"
SMALL = 7.5  # points, of small print
SHOWN = 24  # variants beside each other in a figure at most
RANKS = {1: "#882255", 2: "#999933", 4: "#0072b2", 8: "#e08e00", 16: "#009e73", 32: "#c8442a", 64: "#b35c9e"}
MARKERS, LINES = "oDs^vPX", ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 1.6, 1.2, 1.6)))
CAPTIONED: dict[str, Any] = {  # kind of captions that a variant is trained on → what tells it from the ledger's
    "none": {"marker": "X", "linestyle": (0, (1, 2.4))},
    "subject": {"marker": "P", "linestyle": (0, (3, 1, 1, 1, 1, 1))},
    "machine": {"marker": "v", "linestyle": (0, (2.4, 1.2))},
    "shuffled": {"marker": "d", "linestyle": (0, (9, 3))},
}
FALLBACKS = ("Noto Sans CJK KR", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")  # prompts in Hangul
STYLE: Any = {  # rcParams
    "font.family": ["DejaVu Sans", *(f for f in FALLBACKS if f in font_manager.get_font_names())],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a prompt may hold a $
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "svg.hashsalt": "caplora",
}
WIDTH = 8.0  # inches: at 800 pixels wide, 9 points are 12 pixels


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that a notebook shows by itself, without pyplot."""

    _drawn = b""

    def png(self) -> bytes:
        """The figure as PNG; the same figure gives the same bytes. It is drawn again only once it has changed."""
        if self.stale or not self._drawn:
            self._drawn, self.stale = _rendered(self, "png", {"Software": None}), False
        return self._drawn

    def image(self) -> Image.Image:
        """The figure as a picture."""
        return Image.open(io.BytesIO(self.png())).convert("RGB")

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return self.png(), {"width": round(100 * self.get_figwidth())}  # pixels on the page


def appearance(arm: str) -> dict[str, Any]:
    """Colour, marker and line style of an arm: the rank tells the colour, the alpha the rest; the baseline is grey.

    In a caption ablation the kind of captions tells marker and line.
    """
    named = re.match(r"r(\d+)_a([\d.]+)", arm)
    if not named:
        return {"color": GREY, "marker": "o", "linestyle": "-"}
    rank, alpha = int(named[1]), float(named[2])
    step = round(np.log2(alpha)) if alpha > 0 else 0
    colour = RANKS.get(rank, list(RANKS.values())[rank % len(RANKS)])
    look = {"color": colour, "marker": MARKERS[(step - 2) % len(MARKERS)], "linestyle": LINES[(step - 2) % len(LINES)]}
    return look | CAPTIONED.get(arm.rsplit("_", 1)[-1], {})


def shared_opening(prompts: Sequence[str]) -> str:
    """The words that all prompts start with, so that a figure says them once; empty for one prompt."""
    columns = zip(*(p.split(" ")[:-1] for p in prompts), strict=False) if len(prompts) > 1 else ()
    return " ".join(words[0] for words in takewhile(lambda words: len(set(words)) == 1, columns))


def shorten(prompts: Sequence[str], width: int, max_lines: int | None = None) -> list[str]:
    """Each prompt after their shared opening, in at most `max_lines` lines of `width` characters."""
    opening = len(shared_opening(prompts))
    texts = [("… " if opening else "") + p[opening:].strip() for p in prompts]
    return [fill(t, max(_fitting(t, width), 8), max_lines=max_lines, placeholder=" …") for t in texts]


def _fitting(text: str, width: int) -> int:
    """How many characters of a text are as wide as `width` Latin ones: half as many where it has Hangul or Han."""
    return width // 2 if any(east_asian_width(letter) in "WF" for letter in text) else width


def opening_note(prompts: Sequence[str]) -> str:
    """What the … of `shorten` stands for; empty if there is none."""
    opening = shared_opening(prompts)
    return f"… = “{opening}”" if opening else ""


def wrapped(text: str, width: float = WIDTH) -> str:
    """Small print whose lines are at most `width` inches wide."""
    return "\n".join(_filled(line, width) for line in text.split("\n"))


def _filled(line: str, width: float) -> str:
    """A line broken so that it fits: by the mean width of a letter, by fewer letters where it has many wide ones."""
    columns = _fitting(line, int(width / 0.056))
    while columns > 8 and any(_inches(part) > 0.96 * width for part in fill(line, columns).split("\n")):
        columns -= 1
    return fill(line, columns)


@lru_cache(4096)
def _inches(text: str) -> float:
    """How wide small print is, by the first of the fonts: one M stands for a Hangul or Han letter, which it lacks."""
    text = "".join("M" if east_asian_width(letter) in "WF" else letter for letter in text)
    font = font_manager.FontProperties(family=STYLE["font.family"][0], size=SMALL)
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / 72


def footnote(figure: Figure, text: str) -> None:
    """Small print under everything."""
    text = wrapped(text, figure.get_figwidth())
    figure.supxlabel(text, x=0.01, ha="left", fontsize=SMALL, color=MUTED, linespacing=1.4)


def starred(effects: pd.DataFrame, best: str) -> list[str]:
    """The variants as labels, the chosen one with a star where there was a choice."""
    variants = list(dict.fromkeys(effects["variant"]))
    return [f"{v} ★" if v == best and len(variants) > 1 else v for v in variants]


def star_note(effects: pd.DataFrame) -> str:
    """What the star of `starred` means; empty where there is none."""
    return "★ chosen on the development prompts." if effects["variant"].nunique() > 1 else ""


def left_out(shown: Sequence[str], names: Sequence[str]) -> str:
    """Which of these variants a figure shows, where it does not show them all; else empty."""
    if len(shown) == len(names):
        return ""
    return f"Shown: the {len(shown)} best of {len(names):,} variants on the development prompts."


def counts(effects: pd.DataFrame) -> str:
    """`16 test prompts × 4 seeds`, of a table of effects on one split."""
    row = effects.iloc[0]
    seeds = f"{row['n_seeds']:.0f} seed" + ("s" if row["n_seeds"] != 1 else "")
    return f"{row['n_prompts']:.0f} {row['split']} prompts × {seeds}"


def save_figure(figure: Figure, folder: Path, name: str, table: pd.DataFrame | None = None) -> Path:
    """Writes `name`.png, `name`.svg and, of a figure of numbers, its `table` as `name`.csv; the path of the PNG.

    The same figure gives the same bytes.
    """
    drawn = {".png": figure.png(), ".svg": _rendered(figure, "svg", {"Date": None, "Creator": None})}
    figure.stale = False  # drawing as SVG changed nothing
    for suffix, content in drawn.items():
        with replacing(folder / f"{name}{suffix}") as part:
            part.write_bytes(content)
    if table is not None:
        write_text(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    return folder / f"{name}.png"


def _rendered(figure: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    """A figure as a file of a kind, without what would be another each time."""
    memory = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(memory, metadata=metadata, format=kind, facecolor="white")
    return memory.getvalue()
