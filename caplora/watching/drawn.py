"""Losses and pictures drawn with letters, for a terminal."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

from caplora.jobs import Work
from caplora.review import jpeg

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], lowest: float, highest: float) -> str:
    """A curve as a letter a point, from `lowest` (▁) to `highest` (█); what is not finite is a gap."""
    span = highest - lowest or 1.0
    steps = [(value - lowest) / span * (len(BARS) - 1) if math.isfinite(value) else None for value in values]
    return "".join(" " if step is None else BARS[min(len(BARS) - 1, max(0, round(step)))] for step in steps)


def curves_of(work: Work, points: int) -> tuple[dict[str, list[float]], float, float]:
    """Variant → its losses as at most so many points; the lowest and the highest of all."""
    curves = {name: smoothed([loss for _, loss in curve], points) for name, curve in work.losses.items() if curve}
    finite = [loss for curve in curves.values() for loss in curve if math.isfinite(loss)]
    return curves, min(finite, default=0.0), max(finite, default=1.0)


def smoothed(values: Sequence[float], points: int) -> list[float]:
    """At most so many means of neighbouring finite values, each over a tenth of them: losses are noisy."""
    count = min(points, len(values))
    found = []
    for place in range(count):
        middle, half = (place + 0.5) * len(values) / count, max(1.0, len(values) / 20)
        own = [v for v in values[max(0, int(middle - half)) : math.ceil(middle + half)] if math.isfinite(v)]
        found.append(sum(own) / len(own) if own else math.nan)
    return found


def half_blocks(path: Path, columns: int) -> Text:
    """A picture as letters, two pixels a letter: the upper in its colour, the lower as its ground.

    Raises OSError where it cannot be read.
    """
    with Image.open(io.BytesIO(jpeg(path, 4 * columns))) as opened:
        rows = max(1, round(columns * opened.height / opened.width / 2))
        small = opened.convert("RGB").resize((columns, 2 * rows), Image.Resampling.LANCZOS)
    pixels = np.asarray(small).tolist()
    text = Text(no_wrap=True)
    for row in range(rows):
        for column in range(columns):
            upper, lower = pixels[2 * row][column], pixels[2 * row + 1][column]
            text.append("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
        text.append("\n" if row + 1 < rows else "")
    return text
