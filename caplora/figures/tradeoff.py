"""The table of the trade-off → planes: alignment against fidelity, and against drift, an ellipse per variant."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

from caplora.figures.look import INK, STYLE, WIDTH, Figure, appearance, counts, footnote, star_note, starred
from caplora.statistics import BOOTSTRAP_MEANS, ellipse
from caplora.study import BASELINE, metric_of


@rc_context(STYLE)
def tradeoff_planes(table: pd.DataFrame, best: str, note: str = "") -> Figure:
    """What each arm of a `tradeoff_table` gains in alignment and in fidelity, and how far it drifts.

    The second plane is left out where nothing is known of drift. Better is up and to the right in both. `note` is small
    print.
    """
    drifts = bool(np.isfinite(table["drift"]).any())
    figure = Figure((WIDTH, 4.5), layout="constrained")
    panels = figure.subplots(1, 1 + drifts, squeeze=False)[0]
    _plane(panels[0], table, "fidelity", "front")
    name = metric_of(str(table["metric"].iloc[0])).name
    panels[0].set(title="Alignment and fidelity", ylabel=f"{name}: difference (more is better ↑)")
    if drifts:
        _plane(panels[1], table.assign(covariance=0.0), "drift", "front_drift")
        panels[1].invert_yaxis()
        panels[1].set(title="Alignment and drift", ylabel="drift, axis turned (less is better ↑)")
    for axes in panels:
        axes.set_xlabel("CLIPScore: difference (more is better →)")
    _legend(figure, table, best)
    footnote(figure, "\n".join(filter(None, [_note(table, drifts), note])))
    return figure


def _plane(axes: Axes, table: pd.DataFrame, y: str, front: str) -> None:
    """Means as markers with their ellipses, the front as a dashed line through what lies on it."""
    for row in table.to_dict("records"):
        look, at = appearance(row["variant"]), (row["alignment"], row[y])
        shared = row["covariance"]
        covariance = np.array([[row["var_alignment"], shared], [shared, row[f"var_{y}"]]])
        width, height, angle = ellipse(covariance)
        for alpha, filled in ((0.06, True), (0.9, False)):
            axes.add_patch(Ellipse(at, width, height, angle=angle, color=look["color"], alpha=alpha, fill=filled, lw=1))
        axes.plot(*at, color=look["color"], marker=look["marker"], ms=7, mec="white", mew=0.8, zorder=3)
    best = table[table[front]].sort_values("alignment")
    axes.plot(best["alignment"], best[y], color=INK, lw=1.2, linestyle=(0, (4, 2)), zorder=2)
    axes.scatter(best["alignment"], best[y], s=120, facecolor="none", edgecolor=INK, lw=1.1, zorder=4)
    axes.autoscale_view()
    axes.margins(0.08)
    axes.locator_params(nbins=6)


def _legend(figure: Figure, table: pd.DataFrame, best: str) -> None:
    variants = table[table["variant"] != BASELINE]
    names = [BASELINE, *starred(variants, best)]
    handles = [
        Line2D([], [], **{**appearance(arm), "linestyle": ""}, ms=7, mec="white", label=name)
        for arm, name in zip([BASELINE, *variants["variant"]], names, strict=True)
    ]
    ring: dict[str, Any] = {"marker": "o", "ms": 10, "mfc": "none", "mec": INK}
    handles.append(Line2D([], [], color=INK, lw=1.2, linestyle=(0, (4, 2)), **ring, label="Pareto front"))
    figure.legend(handles=handles, loc="outside upper left", ncols=5, fontsize=8, columnspacing=1.4)


def _note(table: pd.DataFrame, drifts: bool) -> str:
    drift = f"; drift: {table['n_drift'].iloc[0]} unrelated prompts, drawn by themselves" if drifts else ""
    lines = [
        f"Differences from the baseline, n = {counts(table)}{drift}. On the front: beaten by no other mean.",
        f"Ellipses: 95 %, from the covariance of {BOOTSTRAP_MEANS:,} bootstrap means; prompts are drawn with"
        " replacement, the same ones for every arm.",
        f"CLIPScore by {table['alignment_by'].iloc[0]}, {metric_of(str(table['metric'].iloc[0])).name} by"
        f" {table['fidelity_by'].iloc[0]}. {star_note(table[table['variant'] != BASELINE])}",
    ]
    return "\n".join(line.strip() for line in lines)
