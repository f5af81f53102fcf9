"""Effects → a forest plot: a row per variant, its difference from the baseline as points, intervals and numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from caplora.figures.look import (
    GREY,
    INK,
    MUTED,
    STYLE,
    WIDTH,
    Figure,
    appearance,
    counts,
    footnote,
    star_note,
    starred,
)
from caplora.statistics import differences, prompt_means
from caplora.study import metric_of, p_number, signed, towards

ROW = 0.36  # inches


@rc_context(STYLE)
def forest_plot(values: pd.DataFrame, effects: pd.DataFrame, best: str, note: str = "") -> Figure:
    """What each variant adds to the baseline: prompts as points, t and bootstrap interval, and the numbers beside them.

    `values` is a table of `cells`, `effects` the rows of the same metric, model and split, `best` the variant chosen;
    `note` is small print.
    """
    prompts = prompt_means(differences(values))
    figure = Figure((WIDTH, 2.15 + ROW * len(effects)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=GREY, lw=1.2)
    margin = float(effects["margin"].iloc[0])
    if np.isfinite(margin):
        axes.axvspan(-margin, margin, color=GREY, alpha=0.2, lw=0)
    for y, row in enumerate(effects.to_dict("records")):
        _row(axes, y, row, prompts[row["variant"]].to_numpy())
    axes.set_yticks(range(len(effects)), starred(effects, best))
    metric = metric_of(effects["metric"].iloc[0])
    way = towards(metric)
    axes.set(ylim=(len(effects) - 0.4, -0.6), xlabel=f"difference of {metric.unit}" + (f"   ({way})" if way else ""))
    axes.grid(False, axis="y")
    _beside(
        axes,
        -0.62,
        ("difference, 95 % t interval", "corrected p" if effects["n_variants"].iloc[0] > 1 else "p"),
        va="bottom",
        color=MUTED,
    )
    _legend(figure)
    footnote(figure, "\n".join(filter(None, [_note(effects), note])))
    return figure


def _row(axes: Axes, y: int, row: Mapping, prompts: np.ndarray) -> None:
    """One variant: its prompts above the line, the t interval on it, the bootstrap interval below, numbers beside."""
    look = appearance(row["variant"])
    axes.scatter(prompts, np.full(len(prompts), y - 0.24), s=8, color=look["color"], alpha=0.5, lw=0)
    axes.plot([row["low"], row["high"]], [y, y], color=look["color"], lw=2.6, solid_capstyle="butt")
    axes.plot([row["bootstrap_low"], row["bootstrap_high"]], [y + 0.2] * 2, color=look["color"], lw=1, marker="|", ms=4)
    axes.plot([row["difference"]], [y], color=look["color"], marker=look["marker"], ms=7, mec="white", mew=0.8)
    interval = f"{signed(row['difference'])}  ({signed(row['low'])} to {signed(row['high'])})"
    _beside(axes, y, (interval, p_number(row["p_corrected"])), va="center", color=INK)


def _beside(axes: Axes, y: float, words: tuple[str, str], **look: Any) -> None:
    for x, text in zip((8, 132), words, strict=True):  # points from the right edge
        axes.annotate(text, (1, y), (x, 0), ("axes fraction", "data"), textcoords="offset points", fontsize=8, **look)


def _legend(figure: Figure) -> None:
    handles = [
        Line2D([], [], color=INK, lw=2.6, marker="o", mec="white", ms=7, label="mean, 95 % t interval"),
        Line2D([], [], color=INK, lw=1, marker="|", ms=6, label="95 % bootstrap interval"),
        Line2D([], [], color=INK, lw=0, marker="o", ms=3, alpha=0.6, label="prompts"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8)


def _note(effects: pd.DataFrame) -> str:
    margin, test = float(effects["margin"].iloc[0]), "p: sign flips, corrected over {} variants (max-T)."
    n = int(effects["n_variants"].iloc[0])
    band = f"Band: ±{margin:g}, too small to matter." if np.isfinite(margin) else ""
    lines = [
        f"{metric_of(effects['metric'].iloc[0]).name} by {effects['model'].iloc[0]}, n = {counts(effects)}, paired"
        " (same prompt, same noise).",
        f"Both intervals are clustered by prompt, and not corrected. {test.format(n) if n > 1 else ''}",
        " ".join(filter(None, [band, star_note(effects)])),
    ]
    return "\n".join(line.strip() for line in lines if line.strip())
