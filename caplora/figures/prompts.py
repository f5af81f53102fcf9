"""Cells → what one variant does prompt by prompt: as slopes that show the whole, as rows that name every prompt."""

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
    opening_note,
    shorten,
)
from caplora.statistics import prompt_means
from caplora.study import BASELINE, metric_of, signed

COLUMNS = ("prompt", "variant", "baseline", "adapter", "difference")


def prompt_table(values: pd.DataFrame) -> pd.DataFrame:
    """The mean over seeds of each prompt and variant of a table of `cells`, beside the baseline's: `COLUMNS`."""
    means = prompt_means(values)
    arms = [arm for arm in means.columns if arm != BASELINE]
    found = means.melt(BASELINE, arms, "variant", "adapter", ignore_index=False).reset_index()
    found = found.rename(columns={BASELINE: "baseline"})
    return found.assign(difference=found["adapter"] - found["baseline"])[list(COLUMNS)]


@rc_context(STYLE)
def prompt_slopes(table: pd.DataFrame, effect: pd.Series) -> Figure:
    """A line per prompt from the baseline to the variant of `effect`, the row of its table of effects.

    `table` is a `prompt_table`, of which the rows of that variant are drawn; gains are solid, losses dashed and dark,
    and the largest of each is named.
    """
    variant = str(effect["variant"])
    rows = table[table["variant"] == variant].sort_values("difference", kind="stable")
    figure = Figure((WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    for row in rows.to_dict("records"):
        axes.plot([0, 1], [row["baseline"], row["adapter"]], **_look(variant, row["difference"]))
    means = [effect["baseline"], effect["adapter"]]
    axes.plot([0, 1], means, color=INK, lw=3.2, marker="o", ms=7, mec="white", zorder=3)
    axes.set_xticks([0, 1], [BASELINE, variant])
    axes.set(xlim=(-0.12, 2.15), ylabel=metric_of(effect["metric"]).name)
    axes.grid(False, axis="x")
    axes.spines["bottom"].set_bounds(0, 1)
    _name_extremes(axes, rows)
    _legend(figure, variant, rows["difference"])
    note = [
        f"n = {counts(effect.to_frame().T)}, scored by {effect['model']}. Thin: mean of a prompt's samples; thick: of"
        f" all prompts. Mean difference {signed(effect['difference'])}, 95 % t interval, clustered by prompt:"
        f" {signed(effect['low'])} to {signed(effect['high'])}.",
        opening_note(list(rows["prompt"])),
    ]
    footnote(figure, "\n".join(filter(None, note)))
    return figure


def _look(variant: str, difference: float) -> dict:
    """A gain has the variant's colour, a loss is dashed, dark and hollow, no change is thin and grey."""
    if difference > 0:
        return {"color": appearance(variant)["color"], "lw": 1.3, "marker": "o", "ms": 4, "alpha": 0.75}
    if difference < 0:
        return {"color": INK, "lw": 1.5, "linestyle": (0, (4, 2)), "marker": "o", "ms": 4.5, "mfc": "white"}
    return {"color": GREY, "lw": 0.8, "marker": "o", "ms": 3}


def _name_extremes(axes: Axes, rows: pd.DataFrame) -> None:
    """The largest gain and the largest loss of the sorted `rows` in words beside the ends of their lines."""
    texts = dict(zip(rows["prompt"], shorten(list(rows["prompt"]), 48, max_lines=4), strict=True))
    worst, most = rows.iloc[0].to_dict(), rows.iloc[-1].to_dict()
    named = [("largest gain", most)] if most["difference"] > 0 else []
    named += [("largest loss", worst)] if worst["difference"] < 0 else []
    named.sort(key=lambda pair: -pair[1]["adapter"])  # the higher end above, so that the lines do not cross
    for (word, row), y in zip(named, (0.75, 0.25), strict=False):
        text = f"{word}, {signed(row['difference'])}\n{texts[row['prompt']]}"
        line = {"arrowstyle": "-", "color": MUTED, "lw": 0.8, "shrinkA": 2, "shrinkB": 4, "relpos": (0, 0.5)}
        axes.annotate(text, (1, row["adapter"]), (0.55, y), "data", "axes fraction", va="center", fontsize=8,
                      linespacing=1.3, arrowprops=line)  # fmt: skip


def _legend(figure: Figure, variant: str, differences: pd.Series) -> None:
    kinds = [("gain", 1.0, int((differences > 0).sum())), ("loss", -1.0, int((differences < 0).sum())),
             ("no change", 0.0, int((differences == 0).sum()))]  # fmt: skip
    handles = [
        Line2D([], [], **_look(variant, sign), label=f"{word} ({n} of {len(differences)})")
        for word, sign, n in kinds
        if n
    ]
    handles.append(Line2D([], [], color=INK, lw=3.2, marker="o", ms=7, mec="white", label="mean"))
    figure.legend(handles=handles, loc="outside upper left", ncols=4, handlelength=3.2)


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
    axes.set(xlabel=f"{metric_of(effect['metric']).name} by {effect['model']}", ylim=(0, heights.sum()))
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
