"""Effects on every metric → rows of differences with intervals, and the judge's attributes one by one."""

from textwrap import fill

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine

from caplora.figures.look import GREY, STYLE, WIDTH, Figure, appearance, counts, footnote, star_note, starred
from caplora.statistics import LEVEL
from caplora.study import metric_of, towards

COLUMNS = 4  # metrics side by side


def metrics_table(effects: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Effects, and after them the rows of an `arm_table`, which have no interval: what `metrics_figure` draws.

    Diversity is in both, there as a ratio: it is taken from the effects if they have it.
    """
    twice = "diversity" in set(effects["metric"])
    more = arms[arms["metric"] != "diversity"] if twice else arms.replace({"metric": {"diversity": "diversity_ratio"}})
    return pd.concat([effects, more[[column for column in more if column in effects]]], ignore_index=True)


@rc_context(STYLE)
def metrics_figure(effects: pd.DataFrame, best: str, note: str = "") -> Figure:
    """Every metric beside the primary score: the difference from the baseline of each variant, with its interval.

    `effects` is a table of effects on any metrics, models and splits, or a `metrics_table`. A marker is hollow where
    the corrected p is above 0.05. `note` is small print.
    """
    kinds = [rows for _, rows in effects.groupby(["metric", "model", "split"], sort=False)]
    labels, columns = starred(effects, best), min(len(kinds), COLUMNS)
    lines = -(-len(kinds) // columns)
    width = int((WIDTH - 0.3 - 0.075 * max(map(len, labels))) / columns / 0.062) - 1  # of an axis, in characters
    words = [_axis_label(rows, width) for rows in kinds]
    tall = 0.6 + 0.2 * len(labels) + 0.14 * max(text.count("\n") + 1 for text in words)
    figure = Figure((WIDTH, 0.6 + lines * tall), layout=ConstrainedLayoutEngine(wspace=0.06))
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes, rows, text in zip(grid.flat, kinds, words, strict=False):
        _intervals(axes, rows.set_index("variant", drop=False).loc[list(dict.fromkeys(effects["variant"]))])
        axes.set_title(metric_of(str(rows["metric"].iloc[0])).name)
        axes.set_xlabel(text, fontsize=8)
        axes.locator_params(axis="x", nbins=3)
        axes.tick_params(axis="x", labelsize=8)
    for axes in grid.flat[len(kinds) :]:
        axes.remove()
    for axes in grid[:, 0]:
        axes.set_yticks(range(0, -len(labels), -1), labels)
    grid[0, 0].set_ylim(0.5 - len(labels), 0.5)
    footnote(figure, "\n".join(filter(None, [_note(effects), note])))
    return figure


def _axis_label(rows: pd.DataFrame, width: int) -> str:
    """What one metric is, whether more of it is better, by whom it was measured and on what."""
    metric = metric_of(str(rows["metric"].iloc[0]))
    by = f"by {rows['model'].iloc[0]}, {rows['split'].iloc[0]}".replace("/", "/\n")
    words = [towards(metric), f"difference of {metric.unit}", *by.split("\n")]
    return "\n".join(fill(text, width) for text in words if text)


def _note(effects: pd.DataFrame) -> str:
    known = effects.dropna(subset="low")
    n = ", ".join(dict.fromkeys(counts(rows) for _, rows in known.groupby(["metric", "model", "split"], sort=False)))
    arms = " Metrics of a whole arm have no interval." if effects["low"].isna().any() else ""
    lines = [
        f"n = {n}. Bars: 95 % t intervals of the paired difference, clustered by prompt.",
        f"Hollow: p > 0.05, corrected over the variants of a metric, or not tested (drift).{arms} {star_note(effects)}",
    ]
    return "\n".join(line.strip() for line in lines)


@rc_context(STYLE)
def attribute_differences(effects: pd.DataFrame) -> Figure:
    """What one variant shows more of, or less: a row per attribute that the judge tells apart, largest gain on top."""
    rows = effects.sort_values("difference", ascending=False, kind="stable")
    labels = [
        f"{r['metric'].removeprefix('judge_').replace('_', ' ')}  ({r['n_prompts']} prompts)"
        for r in rows.to_dict("records")
    ]
    figure = Figure((WIDTH, 1.2 + 0.24 * len(rows)), layout="constrained")
    axes = figure.subplots()
    _intervals(axes, rows)
    axes.set_yticks(range(0, -len(labels), -1), labels)
    axes.set(xlabel=f"{rows['variant'].iloc[0]} − baseline: share of samples that show what the prompt names")
    note = f"{rows['split'].iloc[0]} prompts × {rows['n_seeds'].iloc[0]} seeds, judged by {rows['model'].iloc[0]}. "
    footnote(
        figure, note + "Bars: 95 % t intervals, clustered by prompt.\nHollow: p > 0.05, not corrected over attributes."
    )
    return figure


def _intervals(axes: Axes, rows: pd.DataFrame) -> None:
    """The paired difference of each row with its interval, one below the other from 0 down; hollow if p > 0.05."""
    axes.axvline(0, color=GREY, lw=1.2)
    axes.grid(False, axis="y")
    for y, row in enumerate(rows.to_dict("records")):
        look, shown = appearance(row["variant"]), row["p_corrected"] <= 1 - LEVEL + 1e-12
        inside = {"mfc": look["color"], "mec": "white", "mew": 0.8} if shown else {"mfc": "white", "mew": 1.3}
        axes.plot([row["low"], row["high"]], [-y, -y], color=look["color"], lw=2)
        axes.plot([row["difference"]], [-y], color=look["color"], marker=look["marker"], ms=6.5, **inside)
