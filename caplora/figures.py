"""Tables → figures: a DataFrame comes in, a matplotlib `Figure` goes out, nothing is shown.

Points are prompt means, intervals are named, n is stated. Statistics come ready in the tables of `effects` and `cells`.
"""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from caplora.files import write_text
from caplora.study import BASELINE
from caplora.style import (
    CAPTIONS,
    GREY,
    METRICS,
    STYLE,
    WIDTH,
    Figure,
    appearance,
    counts,
    footnote,
    opening_note,
    percent,
    shorten,
    star_note,
    starred,
)


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


@rc_context(STYLE)
def loss_curves(losses: pd.DataFrame, validation: pd.DataFrame | None = None) -> Figure:
    """The training loss of each variant (variant, step, loss): smoothed over raw, and, for several, their differences.

    Variants of a study see the same images, noise and timesteps, so the noise cancels in the differences. A third
    panel has the loss on held-out images, the lowest of each variant marked.
    """
    table = _by_variant(losses)
    window = max(1, len(table) // 15)
    panels = 1 + (table.shape[1] > 1) + (validation is not None and len(validation) > 0)
    figure = Figure((WIDTH, 3.3), layout="constrained")
    axes = iter(figure.subplots(1, panels, squeeze=False)[0])
    first = next(axes)
    _curves(first, table, window, raw=True)
    first.set(title="Loss", ylabel="error of the predicted noise (MSE)", ylim=(0, None))
    if table.shape[1] > 1:
        second = next(axes)
        _curves(second, table.sub(table.mean(axis=1), axis=0), window, raw=False)
        second.axhline(0, color=GREY, lw=0.8)
        second.set(title="Minus the variants' mean")
    if validation is not None and len(validation):
        _validation(next(axes), _by_variant(validation))
    handles = [Line2D([], [], **{**appearance(v), "marker": ""}, label=v, lw=1.8) for v in table.columns]
    figure.legend(handles=handles, loc="outside right center", handlelength=2.8)
    footnote(figure, f"lines: running mean of {window} steps; faint: each step. n = {len(table)} steps per variant")
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


def _curves(axes: Axes, table: pd.DataFrame, window: int, raw: bool) -> None:
    smooth = table.rolling(window, center=True, min_periods=1).mean()
    for variant in table.columns:
        look = appearance(variant)
        if raw:
            axes.plot(table.index, table[variant], color=GREY, lw=0.4, alpha=0.6 / table.shape[1])
        axes.plot(table.index, smooth[variant], color=look["color"], linestyle=look["linestyle"], lw=1.6)
    axes.margins(x=0)
    axes.set(xlabel="training step")


@rc_context(STYLE)
def score_by_rank_and_alpha(values: pd.DataFrame, effects: pd.DataFrame, best: str) -> Figure:
    """The level of every arm and what each variant adds, side by side for one metric, model and split.

    `values` is a table of `cells`, `effects` the rows of the same metric, model and split, `best` the variant chosen.
    """
    prompts = values.groupby(level="prompt", sort=False).mean()
    figure = Figure((WIDTH, 5.4), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _levels(top, prompts, effects)
    _gains(bottom, effects)
    bottom.set_xticks(range(-1, len(effects)), [BASELINE, *starred(effects, best)])
    top.set(ylabel=METRICS[effects["metric"].iloc[0]][0], xlim=(-1.6, 1.06 * len(effects) - 0.4))
    top.grid(False, axis="x")
    bottom.grid(False, axis="x")
    bottom.set(ylabel="difference from baseline", xlabel="arm: rank and alpha")
    footnote(
        figure,
        f"n = {counts(effects)}, scored by {effects['model'].iloc[0]}. Small points: prompt means.\n"
        "Bars and band: 95 % t intervals, clustered by prompt. The lower panel is paired (same prompt, same noise)\n"
        f"and is the one to judge by; percentages are of the baseline's mean. {star_note(effects)}",
    )
    return figure


def _levels(axes: Axes, prompts: pd.DataFrame, effects: pd.DataFrame) -> None:
    """Prompt means as points, the mean of each arm with its interval, the baseline as line and band."""
    base = effects.iloc[0]
    axes.axhspan(base["baseline_low"], base["baseline_high"], color=GREY, alpha=0.18, lw=0)
    axes.axhline(base["baseline"], color=GREY, lw=1.2)
    spread = np.linspace(-0.22, 0.22, len(prompts))
    for x, arm in enumerate([BASELINE, *effects["variant"]], -1):
        look = appearance(arm)
        axes.scatter(x + spread, prompts[arm], s=9, color=look["color"], alpha=0.45, lw=0, marker=look["marker"])
    _bar(axes, -1, BASELINE, base["baseline"], base["baseline_low"], base["baseline_high"])
    for x, row in enumerate(effects.to_dict("records")):
        _bar(axes, x, row["variant"], row["adapter"], row["adapter_low"], row["adapter_high"])


def _gains(axes: Axes, effects: pd.DataFrame) -> None:
    """The paired difference of each variant with its interval, and what it is relative to the baseline."""
    axes.axhline(0, color=GREY, lw=1.2)
    for x, row in enumerate(effects.to_dict("records")):
        _bar(axes, x, row["variant"], row["difference"], row["low"], row["high"])
        if np.isfinite(row["relative"]):
            text = percent(row["relative"])
            axes.annotate(text, (x, row["difference"]), (9, 0), textcoords="offset points", va="center", fontsize=8)


def _bar(axes: Axes, x: float, arm: str, mean: float, low: float, high: float) -> None:
    look = appearance(arm)
    axes.plot([x, x], [low, high], color=look["color"], lw=2, solid_capstyle="butt")
    axes.plot([x], [mean], color=look["color"], marker=look["marker"], ms=7, mec="white", mew=0.8)


@rc_context(STYLE)
def per_prompt_differences(values: pd.DataFrame, effect: pd.Series) -> Figure:
    """Baseline → variant for each prompt of a table of `cells`, the largest gain of the variant of `effect` on top."""
    pair = values[[BASELINE, effect["variant"]]]
    means = pair.groupby(level="prompt", sort=False).mean()
    gains = (means[effect["variant"]] - means[BASELINE]).sort_values(kind="stable")
    prompts = list(gains.index)
    lines = shorten(prompts, 56)
    heights = np.array([1.6 + t.count("\n") for t in lines])  # in lines of text
    places = np.cumsum(heights) - heights / 2
    figure = Figure((WIDTH, 1.2 + 0.145 * heights.sum()), layout="constrained")
    axes = figure.subplots()
    for y, prompt in zip(places, prompts, strict=True):
        _dumbbell(axes, y, pair.loc[prompt])
        text = f"{gains[prompt]:+.3f}".replace("-", "−")
        axes.annotate(text, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.set_yticks(places, lines, fontsize=8)
    axes.set(xlabel=f"{METRICS[effect['metric']][0]} by {effect['model']}", ylim=(0, heights.sum()))
    axes.grid(False, axis="y")
    handles = [Line2D([], [], **{**appearance(a), "linestyle": ""}, ms=7, mec="white", label=a) for a in pair.columns]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    note = (
        f"n = {counts(effect.to_frame().T)}. Large: prompt means and, at the right, their difference; small: samples."
    )
    footnote(figure, "\n".join(filter(None, [note, opening_note(prompts)])))
    return figure


def _dumbbell(axes: Axes, y: float, pair: pd.DataFrame) -> None:
    """One prompt: the samples of both arms as small points, their means as large ones, joined."""
    means, colour = pair.mean(), appearance(pair.columns[1])["color"]
    axes.plot(means, [y, y], color=colour, lw=2.2, alpha=0.55, zorder=2)
    for arm in pair.columns:
        look = appearance(arm)
        axes.scatter(pair[arm], [y] * len(pair), s=7, color=look["color"], alpha=0.45, lw=0, zorder=1)
        axes.scatter(means[arm], y, s=46, color=look["color"], marker=look["marker"], ec="white", lw=0.8, zorder=3)


@rc_context(STYLE)
def panel(effects: pd.DataFrame, best: str) -> Figure:
    """Every metric beside the primary score: the difference from the baseline of each variant, with its interval."""
    kinds = list(effects.groupby(["metric", "model"], sort=False))
    labels = starred(effects, best)
    figure = Figure((WIDTH, 1.9 + 0.24 * len(labels)), layout=ConstrainedLayoutEngine(wspace=0.08))
    grid = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, (_, rows) in zip(grid, kinds, strict=True):
        _intervals(axes, rows)
        metric, model = str(rows["metric"].iloc[0]), str(rows["model"].iloc[0])
        name, unit = METRICS.get(metric, (metric, metric))
        axes.set_title(name)
        by = "by " + model.replace("/", "/\n")
        axes.set_xlabel(fill(f"difference of {unit}", 22) + f"\n{by}", fontsize=8)
        axes.locator_params(axis="x", nbins=3)
        axes.tick_params(axis="x", labelsize=8)
    grid[0].set_yticks(range(0, -len(labels), -1), labels)
    note = f"n = {counts(effects)}. Bars: 95 % t intervals of the paired difference, clustered by prompt. "
    footnote(figure, note + star_note(effects))
    return figure


@rc_context(STYLE)
def caption_ablation(scores: pd.DataFrame, table: pd.DataFrame, note: str = "") -> Figure:
    """What captions are worth: a row per kind, the primary CLIPScore and identity side by side, the baseline a line.

    `table` is the `ablation_table` of these scores; `note` ends the small print.
    """
    first = table.drop_duplicates(["metric", "captions"])  # the models after the first confirm, in the table
    panels = [rows for metric, rows in first.groupby("metric", sort=False) if metric in ("clip_score", "identity")]
    labels = [CAPTIONS[kind] for kind in panels[0]["captions"]]
    figure = Figure((WIDTH, 1.9 + 0.55 * len(labels)), layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, rows in zip(grid, panels, strict=True):
        _arms_of_kinds(axes, scores, rows)
    grid[0].set_yticks(range(0, -len(labels), -1), labels)
    grid[0].set(ylabel="trained on captions", ylim=(0.5 - len(labels), 0.5))
    n = f"{table['n_prompts'].iloc[0]} test prompts × {table['n_seeds'].iloc[0]} seeds"
    footnote(
        figure,
        f"n = {n}. Small points: prompt means; grey line: the baseline. Bars: 95 % t intervals, clustered by\n"
        "prompt. At the right, what to judge by: the paired difference from reviewed (same prompt, same noise), its\n"
        f"95 % t interval, clustered by prompt, and p corrected over the arms. One training each. {note}".rstrip(),
    )
    return figure


def _arms_of_kinds(axes: Axes, scores: pd.DataFrame, rows: pd.DataFrame) -> None:
    """The prompt means and level of each arm, one below the other from 0 down, and its difference from the reviewed."""
    metric, model, baseline = rows[["metric", "model", "baseline"]].iloc[0]
    chosen = scores[(scores["metric"] == metric) & (scores["model"] == model) & (scores["split"] == "test")]
    axes.axvline(baseline, color=GREY, lw=1.2)
    axes.grid(False, axis="y")
    for y, row in enumerate(rows.to_dict("records")):
        look, points = appearance(row["variant"]), chosen[chosen["variant"] == row["variant"]]
        means = points.groupby("prompt", sort=False)["value"].mean()
        spread = np.linspace(-0.25, 0.25, len(means)) - y
        axes.scatter(means, spread, s=9, color=look["color"], alpha=0.45, lw=0, marker=look["marker"])
        axes.plot([row["mean_low"], row["mean_high"]], [-y, -y], color=look["color"], lw=2)
        axes.plot([row["mean"]], [-y], color=look["color"], marker=look["marker"], ms=7, mec="white", mew=0.8)
        axes.annotate(_beside(row), (1.03, -y), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.set_title(METRICS[metric][0])
    axes.set_xlabel(f"{METRICS[metric][1]}, by {model}\n(baseline {baseline:.3f})", fontsize=8)


def _beside(row: Mapping[Any, Any]) -> str:
    """The paired difference of an arm as print has it."""
    if not np.isfinite(row["difference"]):
        return "the reference"
    said = f"{row['difference']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})".replace("-", "−")
    return f"{said}\np {'< 0.001' if row['p_corrected'] < 0.001 else '= ' + format(row['p_corrected'], '.3f')}"


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
    footnote(figure, note + "Bars: 95 % t intervals, clustered by prompt.")
    return figure


def _intervals(axes: Axes, rows: pd.DataFrame) -> None:
    """The paired difference of each row with its interval, one below the other from 0 down."""
    axes.axvline(0, color=GREY, lw=1.2)
    axes.grid(False, axis="y")
    for y, row in enumerate(rows.to_dict("records")):
        look = appearance(row["variant"])
        axes.plot([row["low"], row["high"]], [-y, -y], color=look["color"], lw=2)
        axes.plot([row["difference"]], [-y], color=look["color"], marker=look["marker"], ms=6.5, mec="white", mew=0.8)
