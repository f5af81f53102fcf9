"""What captions are like, what a person changed in them and what they are worth → figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from caplora.captions import SAYS, Row, word_counts, words_of
from caplora.figures.look import GREY, MUTED, RANKS, STYLE, WIDTH, Figure, appearance, footnote
from caplora.study import CAPTIONS, metric_of, p_value, signed

STATUSES = {"pending": "nobody has looked", "kept": "looked at, kept", "edited": "edited"}
SUMMARY = ("measure", "value", "captions", "share")
OVER, CHANGED = "#c8442a", RANKS[4]


@rc_context(STYLE)
def captions_figure(tokens: Sequence[int], limit: int, words: pd.DataFrame) -> Figure:
    """How many tokens the captions have beside how many fit, and the commonest words (word, captions)."""
    figure = Figure((WIDTH, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _lengths(left, tokens, limit)
    _bars(right, words["word"].tolist(), words["captions"].tolist())
    right.set(xlabel=f"captions with the word, of {len(tokens)}", title="Commonest words, the subject aside")
    over = sum(count > limit for count in tokens)
    footnote(
        figure,
        f"n = {len(tokens)} captions. Dashed: the {limit} tokens that the text encoder reads; {over} are longer.",
    )
    return figure


def caption_summary(rows: Sequence[Row], facets: Sequence[str], subject: str = "", commonest: int = 15) -> pd.DataFrame:
    """What the captions of these rows are like, a row per count: `SUMMARY`.

    `measure` is words (`value` many of them in a caption), facet (said of, of `facets`), status (of the review) or word
    (the commonest, after the `subject`); `captions` counts them, `share` is of all, 0 … 1. Raises ValueError for none.
    """
    if not rows:
        raise ValueError("there are no captions to describe: caption the images first (notebook 01)")
    texts = [row.text for row in rows]
    lengths, statuses = Counter(len(words_of(text)) for text in texts), Counter(row.status for row in rows)
    common = word_counts([text.removeprefix(subject) for text in texts], commonest)
    found: list[tuple[str, str, int]] = [("words", str(words), lengths[words]) for words in sorted(lengths)]
    found += [("facet", facet, sum(bool(SAYS[facet].search(text)) for text in texts)) for facet in facets]
    found += [("status", status, statuses[status]) for status in STATUSES]
    found += [("word", word, count) for word, count in common.itertuples(index=False, name=None)]
    return pd.DataFrame([(*row, row[2] / len(rows)) for row in found], columns=list(SUMMARY))


@rc_context(STYLE)
def summary_figure(summary: pd.DataFrame) -> Figure:
    """A `caption_summary`: how long captions are, what they speak of, who looked at them, and their commonest words."""
    parts = {str(measure): rows for measure, rows in summary.groupby("measure", sort=False)}
    figure = Figure((WIDTH, 4.8), layout="constrained")
    names: Any = [["words", "word"], ["facet", "word"], ["status", "word"]]
    axes = figure.subplot_mosaic(names, height_ratios=(4, 4, 3))
    n = int(parts["status"]["captions"].sum())
    axes["words"].bar(parts["words"]["value"].astype(int), parts["words"]["captions"], color=GREY, width=0.86)
    axes["words"].set(title="Length", xlabel="words", ylabel="captions")
    axes["words"].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes["words"].yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    for name, title in (("facet", "Captions that speak of"), ("status", "Review"), ("word", "Commonest words")):
        rows = parts.get(name, summary[:0])
        labels = [STATUSES.get(value, value) for value in rows["value"]] if name == "status" else rows["value"].tolist()
        _bars(axes[name], labels, rows["captions"].tolist())
        axes[name].set(title=title, xlim=(0, n * 1.16))
        axes[name].xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
        for y, (count, share) in enumerate(zip(rows["captions"][::-1], rows["share"][::-1], strict=True)):
            axes[name].annotate(f"{100 * share:.0f} %", (count, y), (4, 0), textcoords="offset points", va="center",
                                fontsize=8, color=MUTED)  # fmt: skip
    axes["facet"].set_xlabel("captions")
    axes["status"].set_xlabel("captions")
    axes["word"].set_xlabel("captions with the word")
    footnote(figure, f"n = {n} captions that were trained on, the words of the study's subject aside at the right.")
    return figure


@rc_context(STYLE)
def corrections_figure(distances: pd.DataFrame, corrections: pd.DataFrame) -> Figure:
    """How many words reviewed captions changed (changed), and the commonest corrections (machine, person, captions)."""
    figure = Figure((WIDTH, 3.2 if len(distances) else 0.8), layout="constrained")
    if not len(distances):
        figure.text(0.01, 0.5, "Nobody has decided on a caption of the machine yet: nothing was changed.", color=MUTED)
        return figure
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    changed = distances["changed"].to_numpy()
    left.hist(changed, bins=np.arange(changed.max() + 2) - 0.5, color=CHANGED, rwidth=0.86)
    left.set(xlabel="words changed", ylabel="reviewed captions", title="How much was changed")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    labels = [f"{_short(a)} → {_short(b)}" for a, b in corrections[["machine", "person"]].to_numpy(str)]
    _bars(right, labels, corrections["captions"].tolist())
    right.set(xlabel="captions", title="Commonest corrections")
    as_said = (changed == 0).mean()
    footnote(
        figure,
        f"n = {len(distances)} reviewed captions; {as_said:.0%} were kept word for word, the others changed"
        f" {np.median(changed[changed > 0]) if as_said < 1 else 0:g} words (median). – is nothing.",
    )
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
    axes.set_title(metric_of(metric).name)
    axes.set_xlabel(f"{metric_of(metric).unit}, by {model}\n(baseline {baseline:.3f})", fontsize=8)


def _beside(row: Mapping[Any, Any]) -> str:
    """The paired difference of an arm as print has it."""
    if not np.isfinite(row["difference"]):
        return "the reference"
    interval = f"{signed(row['low'])} to {signed(row['high'])}"
    return f"{signed(row['difference'])} ({interval})\n{p_value(row['p_corrected'])}"


def _lengths(axes: Axes, tokens: Sequence[int], limit: int) -> None:
    counts, top = np.array(tokens), max([*tokens, limit])
    edges = np.linspace(0, top + 1, 31).tolist()
    axes.hist(counts[counts <= limit], bins=edges, color=GREY)
    axes.hist(counts[counts > limit], bins=edges, color=OVER)
    axes.axvline(limit, color=OVER, linestyle=(0, (4, 2)), linewidth=1.2)
    axes.set(xlabel="tokens", ylabel="captions", title="Length")


def _bars(axes: Axes, labels: Sequence[str], counts: Sequence[int]) -> None:
    places = np.arange(len(labels))[::-1]
    axes.barh(places, counts, color=CHANGED, height=0.7)
    axes.set_yticks(places, labels)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _short(words: str) -> str:
    return (words if len(words) <= 24 else f"{words[:23]}…") or "–"
