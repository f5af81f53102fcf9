"""Effects → a heat map over rank and alpha: what each variant adds, and where there is no variant to say it of.

Variants that share rank and alpha (rsLoRA, another learning rate, seed or target) share a cell, a strip each.
"""

import math
import re
from collections.abc import Mapping
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle

from caplora.figures.look import GREY, INK, MUTED, STYLE, WIDTH, Figure, counts, footnote, star_note
from caplora.statistics import LEVEL
from caplora.study import metric_of, signed

COLUMNS = ("rank", "alpha", "kind", "variant", "status", "difference", "low", "high", "p_corrected", "survives", "why")
COLOURS = LinearSegmentedColormap.from_list("below and above zero", ["#e08e00", "#f7f8fa", "#8878c3"])
EMPTY: dict[str, tuple[str, dict[str, Any]]] = {  # status → what is said where there is no difference, and its edge
    "missing": ("not in the study", {"ec": "#d3d6db", "linestyle": (0, (3, 2))}),
    "failed": ("failed", {"ec": GREY, "hatch": "////"}),
    "judged": ("not a number", {"ec": GREY}),
}
STRIP = 0.62  # inches
STRIPS = 24  # below each other at most
WIDE = 5  # alphas up to which an interval is one line


def heat_map_table(effects: pd.DataFrame, failed: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A row per variant and per combination of rank and alpha that has none: `COLUMNS`.

    `effects` are the rows of one metric, model and split of `effect_table`, and `failed` is variant → why it cannot be
    judged, as `failures` has it. `kind` is what a variant's name says beside rank and alpha, `status` judged, failed or
    missing; only what is judged has numbers, and `survives` says that p_corrected is at most 0.05.
    """
    judged = effects[["variant", "difference", "low", "high", "p_corrected"]].to_dict("records")
    rows: list[dict[Any, Any]] = [
        _place(str(row["variant"])) | {"status": "judged", **row, "why": ""} for row in judged
    ]
    rows += [_place(name) | {"variant": name, "status": "failed", "why": why} for name, why in (failed or {}).items()]
    if not rows:
        raise ValueError("a heat map needs a variant, judged or failed: there is none")
    there = {(row["rank"], row["alpha"]) for row in rows}
    ranks, alphas = sorted({rank for rank, _ in there}), sorted({alpha for _, alpha in there})
    empty = [(rank, alpha) for rank in ranks for alpha in alphas if (rank, alpha) not in there]
    rows += [{"rank": r, "alpha": a, "kind": "", "variant": "", "status": "missing", "why": ""} for r, a in empty]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["survives"] = table["p_corrected"] <= 1 - LEVEL + 1e-12  # a p that is no number survives nothing
    return table.sort_values(["rank", "alpha", "kind"], ignore_index=True)


def leading_strips(table: pd.DataFrame, best: str, most: int = STRIPS) -> pd.DataFrame:
    """The rows of a `heat_map_table` that a figure can show: of each cell the best, `most` strips in all.

    One strip stands for a cell at least, and `best` is among them. The column `others` counts what its cell leaves out.
    """
    cells = table.groupby(["rank", "alpha"])["variant"]
    tall = cells.transform("size").groupby(table["rank"]).max()
    if tall.sum() <= most:
        return table.assign(others=0)
    gain = table["difference"].mask(table["variant"] == best, np.inf)
    place = gain.groupby([table["rank"], table["alpha"]]).rank(ascending=False, method="first", na_option="bottom")
    kept = table[place <= max(1, most // len(tall))]
    left = cells.transform("size") - kept.groupby(["rank", "alpha"])["variant"].transform("size")
    return kept.assign(others=left.loc[kept.index])


def _place(variant: str) -> dict[Any, Any]:
    """Rank, alpha and the rest of a variant's name."""
    named = re.fullmatch(r"r(\d+)_a([\d.]+(?:e[+-]?\d+)?)(?:_(.*))?", variant)
    if not named:
        raise ValueError(f"{variant!r} names no rank and alpha: a variant is called r4_a8 or r4_a8_lr0.001")
    return {"rank": int(named[1]), "alpha": float(named[2]), "kind": named[3] or ""}


@rc_context(STYLE)
def rank_alpha_heat_map(table: pd.DataFrame, effects: pd.DataFrame, best: str) -> Figure:
    """The cells of `heat_map_table`: the difference from the baseline, its interval, and what survives the correction.

    `effects` are the rows that the table was made of, `best` the variant chosen.
    """
    ranks, alphas = sorted(table["rank"].unique()), sorted(table["alpha"].unique())
    tall = [int(table[table["rank"] == rank].groupby("alpha").size().max()) for rank in ranks]  # strips of each row
    strip = STRIP if len(alphas) <= WIDE else STRIP + 0.14
    figure = Figure((WIDTH, 1.75 + strip * max(sum(tall), 2)), layout="constrained")
    axes, edges = figure.subplots(), np.concatenate([[0], np.cumsum(tall)]).astype(float)
    largest = float(np.nanmax(table["difference"].abs(), initial=0)) or 1.0
    colours = ScalarMappable(Normalize(-largest, largest), COLOURS)
    axes.set(xlim=(0, len(alphas)), ylim=(edges[-1], 0), xlabel="alpha", ylabel="rank")
    for (rank, alpha), cell in table.groupby(["rank", "alpha"]):
        row, column = ranks.index(rank), alphas.index(alpha)
        height = tall[row] / len(cell)
        for strip, variant in enumerate(cell.to_dict("records")):
            corner = (float(column), edges[row] + strip * height)
            _cell(axes, corner, height, variant, colours, str(variant["variant"]) == best)
    axes.set_xticks(np.arange(len(alphas)) + 0.5, [f"{alpha:g}" for alpha in alphas])
    axes.set_yticks((edges[:-1] + edges[1:]) / 2, [str(rank) for rank in ranks])
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    bar = figure.colorbar(colours, ax=axes, pad=0.02, fraction=0.05, aspect=15)
    bar.set_label(f"difference of {metric_of(str(effects['metric'].iloc[0])).unit}")
    footnote(figure, _note(table, effects))
    return figure


def _cell(
    axes: Axes, corner: tuple[float, float], height: float, row: Mapping, colours: ScalarMappable, chosen: bool
) -> None:
    """A variant's strip of a cell: numbers on its colour, or hatched with the word that there are none."""
    x, y = corner[0] + 0.5, corner[1] + height / 2
    width = int(88 / axes.get_xlim()[1])  # of a cell, in characters
    kind = fill(row["kind"].replace("_", " "), width)
    if row["status"] == "judged" and math.isfinite(row["difference"]):
        face = colours.to_rgba(row["difference"])
        frame: dict[str, Any] = {"ec": INK, "lw": 2.2} if row["survives"] else {"ec": "white", "lw": 0}
        axes.add_patch(Rectangle((corner[0] + 0.025, corner[1] + 0.045), 0.95, height - 0.09, fc=face, **frame))
        said = signed(row["difference"]) + (" *" if row["survives"] else "") + (" ★" if chosen else "")
        under = f"{signed(row['low'])}{' ' if axes.get_xlim()[1] <= WIDE else chr(10)}to {signed(row['high'])}"
        _say(axes, x, y, said, "\n".join(filter(None, [under, kind])))
        return
    words, edge = EMPTY[row["status"]]
    axes.add_patch(Rectangle((corner[0] + 0.04, corner[1] + 0.07), 0.92, height - 0.14, fc="white", lw=0.8, **edge))
    said = "\n".join(filter(None, [fill(words, width), kind]))
    axes.text(x, y, said, ha="center", va="center", fontsize=8, color=MUTED,
              bbox={"fc": "white", "ec": "none", "pad": 1.5})  # fmt: skip


def _say(axes: Axes, x: float, y: float, above: str, below: str) -> None:
    lines = below.count("\n") + 1
    axes.annotate(above, (x, y), (0, 5 * lines), textcoords="offset points", ha="center", va="center",
                  fontsize=10, fontweight="bold")  # fmt: skip
    axes.annotate(below, (x, y), (0, -7), textcoords="offset points", ha="center", va="center",
                  fontsize=7.5, linespacing=1.2)  # fmt: skip


def _others(table: pd.DataFrame) -> str:
    """How many variants the cells have beside the best of each, which are shown."""
    left = int(table.groupby(["rank", "alpha"])["others"].first().sum()) if "others" in table else 0
    return f"The best of each cell are shown, and {left:,} others not." if left else ""


def _note(table: pd.DataFrame, effects: pd.DataFrame) -> str:
    metric = metric_of(str(effects["metric"].iloc[0])).name
    failed = table.loc[table["status"] == "failed", "variant"].tolist()
    chose = effects["split"].iloc[0] == "development"
    star = "★ chosen by these means; the test prompts judge it." if chose else star_note(effects)
    lines = [
        f"{metric} by {effects['model'].iloc[0]}: difference from the baseline, n = {counts(effects)}.",
        "Below it the 95 % t interval, clustered by prompt, not corrected. Frame and *: p ≤ 0.05"
        + (f", corrected over the {len(effects)} variants." if len(effects) > 1 else "."),
        " ".join(filter(None, [star, f"Failed: {', '.join(failed)}." if failed else "", _others(table)])),
    ]
    return "\n".join(filter(None, lines))
