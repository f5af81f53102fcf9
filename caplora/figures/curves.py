"""Scores over a number (the scale of an adapter, its training images) → curves: what more of it gains, and costs."""

from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from caplora.figures.look import INK, LINES, MUTED, STYLE, WIDTH, Figure, appearance, counts, footnote, starred
from caplora.statistics import COPIES, ScoreError, axis_kinds, axis_table
from caplora.study import metric_of

HALO = [withStroke(linewidth=2.5, foreground="white")]
COLUMNS = ("metric", "model", "split", "variant", "scale", "mean", "low", "high", "n_prompts", "n_seeds")


def scale_table(scales: pd.DataFrame) -> pd.DataFrame:
    """The mean difference from scale 0 of each variant at each scale, with its 95 % t interval: `COLUMNS`.

    `scales` has the columns of the scores and `scale`, where 0 is the baseline and 1 the adapter as it was trained.
    Of CLIPScore and the first metric of fidelity on the development prompts, and of drift on the unrelated ones, as far
    as they are there. The interval is clustered by prompt, and nan for one prompt. Raises ScoreError as `cells` does.
    """
    found = []
    for metric, split in axis_kinds(scales, "development"):
        for variant, own in scales.groupby("variant", sort=False):
            arms = {scale: f"{variant} at scale {scale:g}" for scale in sorted(own["scale"].unique())}
            table = axis_table(own.assign(variant=own["scale"].map(arms)), arms, [(metric, split)], arms[0.0])
            found.append(table.rename(columns={"at": "scale"}).assign(variant=variant)[list(COLUMNS)])
    if not found:
        raise ScoreError(
            "the table of scales has neither CLIPScore nor fidelity nor drift: score it again (notebook 04)"
        )
    return pd.concat(found, ignore_index=True)


@rc_context(STYLE)
def scale_curves(table: pd.DataFrame, best: str) -> Figure:
    """A panel per metric of a `scale_table` over the scale, a line per variant, the interval of the `best` as a band.

    Where fidelity and drift are both there, a last panel has one against the other.
    """
    metrics = list(dict.fromkeys(table["metric"]))
    fidelity = next((metric for metric in metrics if metric not in ("clip_score", "drift")), None)
    traded = fidelity is not None and "drift" in metrics
    count = len(metrics) + traded
    columns = 2 if count in (2, 4) else count
    figure = Figure((WIDTH, 1.3 + 2.5 * -(-count // columns)), layout="constrained")
    panels = figure.subplots(-(-count // columns), columns, squeeze=False).flat
    for axes, metric in zip(panels, metrics, strict=False):
        _curves(axes, table[table["metric"] == metric], best)
    if traded:
        _trade(panels[count - 1], table, str(fidelity), best)
    variants = list(dict.fromkeys(table["variant"]))
    handles = [
        Line2D([], [], **{**appearance(v), "lw": 2.4 if v == best else 1.2}, ms=5, mec="white", label=name)
        for v, name in zip(variants, starred(table, best), strict=True)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=6, fontsize=8, handlelength=2.8)
    footnote(figure, _note(table, best))
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, best: str) -> None:
    """One metric over the scale."""
    metric = metric_of(str(rows["metric"].iloc[0]))
    for variant, own in rows.groupby("variant", sort=False):
        _line(axes, own["scale"], own, appearance(str(variant)), variant == best)
    axes.axvline(1, color=MUTED, lw=1, linestyle=(0, (4, 2)))
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.set_xticks(sorted(rows["scale"].unique()), [f"{s:g}" for s in sorted(rows["scale"].unique())])
    axes.set(title=f"{metric.name} ({metric.better} is better)", ylabel="difference", xlabel="scale of the adapter")


def _line(axes: Axes, places: pd.Series, own: pd.DataFrame, look: dict[str, Any], chosen: bool) -> None:
    """The means of one variant over the places, the interval as a band where it is the chosen one."""
    axes.plot(places, own["mean"], **look, **_weight(chosen))
    if chosen:
        axes.fill_between(places, own["low"], own["high"], color=look["color"], alpha=0.18, lw=0)


def _weight(chosen: bool) -> dict[str, Any]:
    """The line of the chosen variant is thick and above the others."""
    return {"lw": 2.4 if chosen else 1.2, "ms": 7 if chosen else 5, "mec": "white", "zorder": 4 if chosen else 3}


def _trade(axes: Axes, table: pd.DataFrame, fidelity: str, best: str) -> None:
    """Fidelity against drift, a line per variant from scale 0 on; the scales of the best are said."""
    wide = table.pivot(index=["variant", "scale"], columns="metric", values="mean")
    for variant in dict.fromkeys(table["variant"]):
        own, look = wide.loc[variant], appearance(variant)
        axes.plot(own["drift"], own[fidelity], **look, **_weight(variant == best))
        if variant == best:
            for scale, row in own.iterrows():
                axes.annotate(f"{scale:g}", (row["drift"], row[fidelity]), (9, -11), textcoords="offset points",
                              ha="center", fontsize=8, color=INK, path_effects=HALO)  # fmt: skip
    axes.margins(0.1)
    name = metric_of(fidelity).name
    axes.set(title=f"{name} for drift", xlabel="drift (← less is better)", ylabel=f"{name} (more is better ↑)")


def _counted(table: pd.DataFrame) -> tuple[str, str]:
    """How many prompts and seeds each split has, and which model each metric is by."""
    rows = table.drop_duplicates("metric")
    asked = table[table["metric"] == COPIES[0][0]].drop_duplicates("split")["n_prompts"].tolist()
    drawn = [counts(own) for _, own in rows[rows["metric"] != COPIES[0][0]].groupby("split", sort=False)]
    drawn += [f"{asked[0]} captions of training images and {asked[1]} of held-out ones"] if asked else []
    n = ", ".join(drawn)
    return n, ", ".join(f"{metric_of(row['metric']).name} by {row['model']}" for row in rows.to_dict("records"))


def _note(table: pd.DataFrame, best: str) -> str:
    n, by = _counted(table)
    return (
        f"Differences from the baseline, which is scale 0; dashed: scale 1, as trained. n = {n}.\n"
        f"Band: 95 % t interval of {best}, clustered by prompt. {by}."
    )


@rc_context(STYLE)
def images_curves(table: pd.DataFrame) -> Figure:
    """A panel per metric of `axis_table`s over the number of images trained on, a line with a band per `variant`."""
    variants = list(dict.fromkeys(table["variant"]))
    looks = {v: appearance(v) | {"linestyle": LINES[i % len(LINES)]} for i, v in enumerate(variants)}
    figure, panels = _panels(table)
    for axes, (metric, rows) in zip(panels, table.groupby("metric", sort=False), strict=False):
        for variant, own in rows.groupby("variant", sort=False):
            _both(axes, own, looks[str(variant)])
        axes.set_xscale("log")
        axes.set_xticks(places := sorted(rows["at"].unique()), [f"{at:g}" for at in places])
        axes.minorticks_off()
        _name(axes, str(metric), "images trained on")
    if len(variants) > 1:
        handles = [Line2D([], [], **look, **_weight(True), label=v) for v, look in looks.items()]
        figure.legend(handles=handles, loc="outside upper left", ncols=6, fontsize=8, handlelength=2.8)
    names = ", ".join(variants)
    footnote(figure, _axis_note(table, f"Trained on some of the images, smaller sets within larger ones: {names}."))
    return figure


@rc_context(STYLE)
def steps_curves(table: pd.DataFrame, variant: str, chosen: float) -> Figure:
    """A panel per metric of an `axis_table` over the steps at which an adapter was kept; dashed: the chosen one."""
    figure, panels = _panels(table)
    for axes, (metric, rows) in zip(panels, table.groupby("metric", sort=False), strict=False):
        _both(axes, rows, appearance(variant) | {"linestyle": "-"})
        if rows["at"].max() > 10 * rows["at"].min():  # steps that double would stand on each other
            axes.set_xscale("log")
        axes.set_xticks(places := sorted(rows["at"].unique()), [f"{at:g}" for at in places])
        axes.minorticks_off()
        axes.axvline(chosen, color=MUTED, lw=1, linestyle=(0, (4, 2)))
        _name(axes, str(metric), "steps trained")
    footnote(figure, _axis_note(table, f"{variant}; dashed: step {chosen:g}, chosen on the development prompts."))
    return figure


def _both(axes: Axes, rows: pd.DataFrame, look: dict[str, Any]) -> None:
    """One metric over the places; of memorisation two lines, that of held-out images being the null."""
    null = rows["split"] == COPIES[1][1]
    own, other = rows[~null], rows[null]
    _line(axes, own["at"], own, look, chosen=True)
    if len(other):
        _line(axes, other["at"], other, look | {"color": MUTED}, chosen=True)
        ends = {"training images": own.iloc[-1], "held-out images": other.iloc[-1]}
        upper = max(ends, key=lambda name: ends[name]["mean"])
        for name, end in ends.items():
            axes.annotate(name, (end["at"], end["mean"]), (-4, 9 if name == upper else -15), textcoords="offset points",
                          ha="right", fontsize=8, color=INK, path_effects=HALO)  # fmt: skip


def _panels(table: pd.DataFrame) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each metric of a table, two in a row."""
    count = table["metric"].nunique()
    figure = Figure((WIDTH, 0.7 + 2.4 * -(-count // 2)), layout="constrained")
    panels = list(figure.subplots(-(-count // 2), min(count, 2), squeeze=False).flat)
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure, panels


def _name(axes: Axes, name: str, along: str) -> None:
    """Title, labels and the line at zero of a panel."""
    metric = metric_of(name)
    axes.axhline(0, color=MUTED, lw=0.8)
    title = f"{metric.name} ({'the gap: ' if name == COPIES[0][0] else ''}{metric.better} is better)"
    axes.set(title=title, ylabel="difference from the baseline", xlabel=along)


def _axis_note(table: pd.DataFrame, first: str) -> str:
    """What is drawn, of how much, by whom."""
    n, by = _counted(table)
    asked = " Memorisation: the cosine of a sample to the image whose caption it was drawn from."
    copies = asked if (table["metric"] == COPIES[0][0]).any() else ""
    return (
        f"{first} Band: 95 % t interval, clustered by prompt; n = {n}. The line at zero is the baseline.{copies}\n{by}."
    )
