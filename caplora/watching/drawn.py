"""Losses and pictures drawn with letters, for a terminal."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

from caplora.review import jpeg

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], lowest: float, highest: float) -> str:
    """A curve as a letter a point, from `lowest` (▁) to `highest` (█); what is not finite is a gap."""
    span = highest - lowest or 1.0
    steps = [(value - lowest) / span * (len(BARS) - 1) if math.isfinite(value) else None for value in values]
    return "".join(" " if step is None else BARS[min(len(BARS) - 1, max(0, round(step)))] for step in steps)


def smoothed(values: Sequence[float], points: int) -> list[float]:
    """At most so many means of neighbouring finite values, over twice the width of a point: losses are noisy."""
    count = min(points, len(values))
    found = []
    for place in range(count):
        middle, half = (place + 0.5) * len(values) / count, max(1.0, len(values) / count)
        own = [v for v in values[max(0, int(middle - half)) : math.ceil(middle + half)] if math.isfinite(v)]
        found.append(sum(own) / len(own) if own else math.nan)
    return found


def half_blocks(path: Path, columns: int) -> Text:
    """A picture as letters, two pixels a letter: the upper in its colour, the lower as its ground.

    Raises OSError where it cannot be read.
    """
    with Image.open(io.BytesIO(jpeg(path, 4 * columns))) as opened:
        rows = max(1, round(columns * opened.height / opened.width / 2))
        pixels = opened.convert("RGB").resize((columns, 2 * rows), Image.Resampling.LANCZOS)
    text = Text(no_wrap=True)
    for row in range(rows):
        for column in range(columns):
            upper, lower = (pixels.getpixel((column, 2 * row + half)) for half in (0, 1))
            text.append("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
        text.append("\n" if row + 1 < rows else "")
    return text
