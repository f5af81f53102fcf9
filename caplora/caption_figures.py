"""What the captions are like and what a person changed in them → figures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from caplora.style import GREY, MUTED, RANKS, STYLE, WIDTH, Figure, footnote

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


def _lengths(axes: Axes, tokens: Sequence[int], limit: int) -> None:
    counts, top = np.array(tokens), max([*tokens, limit])
    edges = np.linspace(0, top + 1, 31)
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
