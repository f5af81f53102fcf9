"""Tables → figures: a DataFrame comes in, a matplotlib `Figure` goes out, nothing is shown.

Points are prompt means, intervals are named, n is stated. Statistics come ready in the tables of `effects` and `cells`.
"""

from pathlib import Path
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from caplora.files import write_text
from caplora.intervals import LEVEL
from caplora.metrics import metric_of, towards
from caplora.style import GREY, STYLE, WIDTH, Figure, appearance, counts, footnote, star_note, starred

COLUMNS = 4  # metrics of the panel side by side


def save_figure(figure: Figure, folder: Path, name: str, table: pd.DataFrame | None = None) -> Path:
    """Writes `name`.png, `name`.svg and, of a figure of numbers, its `table` as `name`.csv; the path of the PNG.

    The same figure gives the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    nothing: dict[str, Any] = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
    with rc_context(STYLE):
        for suffix, metadata in nothing.items():
            part = folder / f".{name}{suffix}"
            figure.savefig(part, metadata=metadata, format=suffix[1:], facecolor="white")
            part.replace(folder / f"{name}{suffix}")
    if table is not None:
        write_text(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    return folder / f"{name}.png"


def curve_table(losses: pd.DataFrame, validation: pd.DataFrame | None = None) -> pd.DataFrame:
    """What `loss_curves` draws: variant, step, split (train, held_out), loss, smoothed, minus_mean.

    `smoothed` is the running mean of the loss, `minus_mean` the same without the mean of the variants; both of train.
    """
    table = _by_variant(losses)
    curves = {"loss": table, "smoothed": _smoothed(table), "minus_mean": _smoothed(_minus_mean(table))}
    train = pd.concat({name: curve.unstack() for name, curve in curves.items()}, axis=1).reset_index()
    parts = [train.assign(split="train")]
    if validation is not None and len(validation):
        parts.append(validation.assign(split="held_out"))
    return pd.concat(parts, ignore_index=True)[["variant", "step", "split", *curves]]


@rc_context(STYLE)
def loss_curves(losses: pd.DataFrame, validation: pd.DataFrame | None = None) -> Figure:
    """The training loss of each variant (variant, step, loss): smoothed over raw, and, for several, their differences.

    Variants of a study see the same images, noise and timesteps, so the noise cancels in the differences. A third
    panel has the loss on held-out images, the lowest of each variant marked.
    """
    table = _by_variant(losses)
    panels = 1 + (table.shape[1] > 1) + (validation is not None and len(validation) > 0)
    figure = Figure((WIDTH, 3.3), layout="constrained")
    axes = iter(figure.subplots(1, panels, squeeze=False)[0])
    first = next(axes)
    _curves(first, _smoothed(table), table)
    first.set(title="Loss", ylabel="error of the predicted noise (MSE)", ylim=(0, None))
    if table.shape[1] > 1:
        second = next(axes)
        _curves(second, _smoothed(_minus_mean(table)))
        second.axhline(0, color=GREY, lw=0.8)
        second.set(title="Minus the variants' mean")
    if validation is not None and len(validation):
        _validation(next(axes), _by_variant(validation))
    handles = [Line2D([], [], **{**appearance(v), "marker": ""}, label=v, lw=1.8) for v in table.columns]
    figure.legend(handles=handles, loc="outside right center", handlelength=2.8)
    steps = f"n = {len(table)} steps per variant"
    footnote(figure, f"Lines: running mean of {_window(table)} steps; faint: each step. {steps}.")
    return figure


def _by_variant(losses: pd.DataFrame) -> pd.DataFrame:
    return losses.pivot(index="step", columns="variant", values="loss")[list(dict.fromkeys(losses["variant"]))]


def _validation(axes: Axes, table: pd.DataFrame) -> None:
    for variant in table.columns:
        look, curve = appearance(variant), table[variant].dropna()
        axes.plot(curve.index, curve, color=look["color"], linestyle=look["linestyle"], lw=1.6)
        lowest = curve[curve == curve.min()]
        axes.plot(lowest.index, lowest, color=look["color"], marker="o", ms=4)
    axes.set(title="Held-out loss (dot: lowest)", xlabel="training step")


def _window(table: pd.DataFrame) -> int:
    """Steps of the running mean."""
    return max(1, len(table) // 15)


def _smoothed(table: pd.DataFrame) -> pd.DataFrame:
    return table.rolling(_window(table), center=True, min_periods=1).mean()


def _minus_mean(table: pd.DataFrame) -> pd.DataFrame:
    """What is left of each variant's loss without what they share, the noise."""
    return table.sub(table.mean(axis=1), axis=0)


def _curves(axes: Axes, smooth: pd.DataFrame, raw: pd.DataFrame | None = None) -> None:
    for variant in smooth.columns:
        look = appearance(variant)
        if raw is not None:
            axes.plot(raw.index, raw[variant], color=GREY, lw=0.4, alpha=0.6 / raw.shape[1])
        axes.plot(smooth.index, smooth[variant], color=look["color"], linestyle=look["linestyle"], lw=1.6)
    axes.margins(x=0)
    axes.set(xlabel="training step")


def panel_table(effects: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    """Effects, and after them the rows of an `arm_table`, which have no interval: what `panel` draws.

    Diversity is in both, there as a ratio: it is taken from the effects if they have it.
    """
    twice = "diversity" in set(effects["metric"])
    more = arms[arms["metric"] != "diversity"] if twice else arms.replace({"metric": {"diversity": "diversity_ratio"}})
    return pd.concat([effects, more[[column for column in more if column in effects]]], ignore_index=True)


@rc_context(STYLE)
def panel(effects: pd.DataFrame, best: str) -> Figure:
    """Every metric beside the primary score: the difference from the baseline of each variant, with its interval.

    `effects` is a table of effects on any metrics, models and splits, or a `panel_table`. A marker is hollow where the
    corrected p is above 0.05.
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
    footnote(figure, _panel_note(effects))
    return figure


def _axis_label(rows: pd.DataFrame, width: int) -> str:
    """What one metric of the panel is, whether more of it is better, by whom it was measured and on what."""
    metric = metric_of(str(rows["metric"].iloc[0]))
    by = f"by {rows['model'].iloc[0]}, {rows['split'].iloc[0]}".replace("/", "/\n")
    words = [towards(metric), f"difference of {metric.unit}", *by.split("\n")]
    return "\n".join(fill(text, width) for text in words if text)


def _panel_note(effects: pd.DataFrame) -> str:
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
