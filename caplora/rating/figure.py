"""What people said → one figure: whom they prefer, and which metrics say the same."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from caplora.figures import GREY, INK, MUTED, STYLE, WIDTH, Figure, appearance, footnote
from caplora.rating.design import QUESTIONS
from caplora.rating.opinions import Opinions
from caplora.study import counted, metric_of, number

TITLES = {"words": "fits the words better", "person": "is more this person"}


def people_table(opinions: Opinions) -> pd.DataFrame:
    """The numbers of the figure: preferences, then the metrics."""
    parts = {"preference": opinions.preferences, "agreement of a metric": opinions.metrics}
    return pd.concat([table.assign(of=of) for of, table in parts.items() if len(table)], ignore_index=True)


@rc_context(STYLE)
def people_figure(opinions: Opinions) -> Figure:
    """Above, how often each arm was preferred, by question; below, the AUC of every metric, by question."""
    asked = [q for q in QUESTIONS if (opinions.preferences["question"] == q).any()]
    metrics = opinions.metrics.drop_duplicates(["metric", "model"]) if len(opinions.metrics) else opinions.metrics
    rows = int(opinions.preferences["question"].value_counts().max())
    heights = [0.5 + 0.42 * rows, 0.6 + 0.27 * len(metrics)]
    figure = Figure((WIDTH, 1.3 + sum(heights[: 1 + bool(len(metrics))])), layout="constrained")
    grid = figure.subplots(1 + bool(len(metrics)), len(asked), squeeze=False, sharey="row",
                           height_ratios=heights[: 1 + bool(len(metrics))])  # fmt: skip
    for axes, question in zip(grid[0], asked, strict=True):
        _preferences(axes, opinions.preferences[opinions.preferences["question"] == question])
        axes.set_title(f"Which {TITLES[question]}?")
    if len(metrics):
        for axes, question in zip(grid[1], asked, strict=True):
            _areas(axes, opinions.metrics[opinions.metrics["question"] == question], metrics)
        _legend(figure)
    footnote(figure, _note(opinions))
    return figure


def _preferences(axes: Axes, table: pd.DataFrame) -> None:
    axes.axvline(50, color=GREY, lw=1.2)
    for y, row in enumerate(table.to_dict("records")):
        look = appearance(row["arm"])
        axes.plot([100 * row["low"], 100 * row["high"]], [-y, -y], color=look["color"], lw=2.6, solid_capstyle="butt")
        axes.plot([100 * row["preference"]], [-y], color=look["color"], marker=look["marker"], ms=8, mec="white")
        said = f"{100 * row['preference']:.0f} %  ({100 * row['low']:.0f} to {100 * row['high']:.0f})"
        axes.annotate(said, (100 * row["preference"], -y), (0, 9), textcoords="offset points", ha="center", fontsize=8,
                      color=INK, annotation_clip=False)  # fmt: skip
    names = [f"{row['arm']}\nto {row['reference']}" for row in table.to_dict("records")]
    axes.set_yticks(range(0, -len(names), -1), names)
    axes.set(xlim=(0, 100), ylim=(0.5 - len(names), 0.75), xlabel="answers for it, %   (50: no preference)")
    axes.grid(False, axis="y")


def _areas(axes: Axes, table: pd.DataFrame, metrics: pd.DataFrame) -> None:
    axes.axvline(0.5, color=GREY, lw=1.2)
    places = {key: -y for y, key in enumerate(zip(metrics["metric"], metrics["model"], strict=True))}
    for row in table.to_dict("records"):
        y = places[row["metric"], row["model"]]
        _area(axes, (row["low"], row["auc"], row["high"]), y + 0.14, color=INK, lw=2)
        _area(axes, (row["within_low"], row["within"], row["within_high"]), y - 0.17, color=MUTED, lw=1.2, mfc="white")
    names = [f"{metric_of(metric).name} · {model}" for metric, model in places]
    axes.set_yticks(list(places.values()), names)
    axes.set(xlim=(0, 1), ylim=(0.5 - len(metrics), 0.5), xlabel="AUC   (0.5: knows nothing, 1: agrees)")
    axes.grid(False, axis="y")


def _area(axes: Axes, found: tuple[float, float, float], y: float, **look: Any) -> None:
    low, value, high = found
    if np.isfinite(value):
        axes.plot([low, high], [y, y], color=look["color"], lw=look["lw"])
        axes.plot([value], [y], marker="o", ms=5.5, **look)


def _legend(figure: Figure) -> None:
    handles = [
        Line2D([], [], color=INK, lw=2, marker="o", ms=5.5, label="which picture people prefer"),
        Line2D([], [], color=MUTED, lw=1.2, marker="o", mfc="white", ms=5.5, label="where they prefer the arm"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, fontsize=8)


def _note(opinions: Opinions) -> str:
    table, raters = opinions.preferences, int(opinions.preferences["n_raters"].max())
    by = "for other prompts and raters" if raters > 1 else "for other prompts, of this one rater"
    alpha = ", ".join(f"{number(row['alpha'])} ({row['question']})" for row in opinions.alpha.to_dict("records"))
    answers = " and ".join(
        f"{n} ({question})" for question, n in table.groupby("question", sort=False)["n"].sum().items()
    )
    prompts = "–".join(str(n) for n in sorted({table["n_prompts"].min(), table["n_prompts"].max()}))
    of = "prompts" if len(table) == table["question"].nunique() else "prompts for each two arms"
    lines = [
        f"Answers: {answers}, by {counted(raters, 'rater')} on {prompts} {of}, blind, sides by chance. Bars above: 95 %"
        f" intervals {by}.",
        "Below: bars are 95 % bootstrap intervals, clustered by prompt. Hollow: among pairs of the same two arms,"
        " whether a metric gains more where people prefer the arm.",
        f"Krippendorff’s α between raters: {alpha}." if alpha else "",
    ]
    return "\n".join(line for line in lines if line)
