"""Scores at several scales of an adapter → curves: what more of it gains in the subject and costs elsewhere."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from caplora.figures.look import INK, MUTED, STYLE, WIDTH, Figure, appearance, counts, footnote, starred
from caplora.statistics import ScoreError, cells, differences, fidelity_metrics, interval, model_of, prompt_means
from caplora.study import metric_of

HALO = [withStroke(linewidth=2.5, foreground="white")]
COLUMNS = ("metric", "model", "split", "variant", "scale", "mean", "low", "high", "n_prompts", "n_seeds")


def scale_table(scales: pd.DataFrame) -> pd.DataFrame:
    """The mean difference from scale 0 of each variant at each scale, with its 95 % t interval: `COLUMNS`.

    `scales` has the columns of the scores and `scale`, where 0 is the baseline and 1 the adapter as it was trained.
    Of CLIPScore and the first metric of fidelity on the development prompts, and of drift on the unrelated ones, as far
    as they are there. The interval is clustered by prompt, and nan for one prompt. Raises ScoreError as `cells` does.
    """
    found = [
        pd.DataFrame(_rows(own.assign(variant=_labels(own)), str(variant), metric, split), columns=list(COLUMNS))
        for metric, split in _kinds(scales).items()
        for variant, own in scales.groupby("variant", sort=False)
    ]
    if not found:
        raise ScoreError(
            "the table of scales has neither CLIPScore nor fidelity nor drift: score it again (notebook 04)"
        )
    return pd.concat(found, ignore_index=True)


def _kinds(scales: pd.DataFrame) -> dict[str, str]:
    """Metric → the split that it is drawn of, of those that the table has."""
    wanted = [("clip_score", "development"), *((m, "development") for m in fidelity_metrics(scales)[:1])]
    there = set(zip(scales["metric"], scales["split"], strict=True))
    return dict(pair for pair in [*wanted, ("drift", "unrelated")] if pair in there)


def _labels(own: pd.DataFrame) -> pd.Series:
    """Each scale of a variant as an arm by itself."""
    return own["variant"] + " at scale " + own["scale"].map("{:g}".format)


def _rows(own: pd.DataFrame, variant: str, metric: str, split: str) -> list[tuple]:
    """The rows of one variant and metric, the smallest scale first."""
    model, scales = model_of(own, metric), sorted(own["scale"].unique())
    values = cells(own, metric, model, split, reference=f"{variant} at scale 0")
    means = prompt_means(differences(values))
    seeds, rows = len(values) // len(means), []
    for scale in scales:
        own_means = means.get(f"{variant} at scale {scale:g}", means.iloc[:, 0] * 0).to_numpy()  # 0 is the reference
        mean, low, high = interval(own_means) if len(means) > 1 else (own_means.mean(), np.nan, np.nan)
        rows.append((metric, model, split, variant, scale, mean, low, high, len(means), seeds))
    return rows


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
        look = appearance(str(variant))
        axes.plot(own["scale"], own["mean"], **look, **_weight(variant == best))
        if variant == best:
            axes.fill_between(own["scale"], own["low"], own["high"], color=look["color"], alpha=0.18, lw=0)
    axes.axvline(1, color=MUTED, lw=1, linestyle=(0, (4, 2)))
    axes.axhline(0, color=MUTED, lw=0.8)
    axes.set_xticks(sorted(rows["scale"].unique()), [f"{s:g}" for s in sorted(rows["scale"].unique())])
    axes.set(title=f"{metric.name} ({metric.better} is better)", ylabel="difference", xlabel="scale of the adapter")


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


def _note(table: pd.DataFrame, best: str) -> str:
    first = table.drop_duplicates("metric")
    n = ", ".join(counts(rows) for _, rows in first.groupby("split", sort=False))
    by = ", ".join(f"{metric_of(row['metric']).name} by {row['model']}" for row in first.to_dict("records"))
    return (
        f"Differences from the baseline, which is scale 0; dashed: scale 1, as trained. n = {n}.\n"
        f"Band: 95 % t interval of {best}, clustered by prompt. {by}."
    )
