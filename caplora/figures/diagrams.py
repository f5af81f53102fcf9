"""Two figures without data, drawn by code: the way from images to figures, and LoRA in the UNet's attention."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from caplora.figures.look import FAINT, GREY, INK, MUTED, RANKS, STYLE, WIDTH, Figure

TRAINED, TINT = "#5b4fc4", "#e9e7fb"  # what training changes; everything else is grey
FROZEN, CARD = "#d3d6db", "#f7f8fa"
Point = tuple[float, float]


def _canvas(height: float) -> tuple[Figure, Axes]:
    """A figure whose coordinates are inches from its lower left corner."""
    figure = Figure((WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def _box(axes: Axes, at: Point, size: Point, face: str = CARD, edge: str = FROZEN, round_: float = 0.08) -> None:
    shape = FancyBboxPatch(at, *size, boxstyle=f"round,pad=0,rounding_size={round_}", fc=face, ec=edge, lw=1)
    axes.add_patch(shape)


def _arrow(axes: Axes, start: Point, end: Point, bend: float = 0.0, colour: str = MUTED) -> None:
    style = f"arc3,rad={bend}"
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, connectionstyle=style, color=colour,
                                   lw=1.3, shrinkA=0, shrinkB=0))  # fmt: skip


def _say(
    axes: Axes,
    at: Point,
    text: str,
    size: float = 8,
    colour: str = INK,
    ha: Any = "center",
    va: Any = "center",
    **font: Any,
) -> None:
    axes.text(*at, text, fontsize=size, color=colour, ha=ha, va=va, linespacing=1.3, **font)


def _square(axes: Axes, x: float, y: float, w: float, h: float, face: str, edge: str = "none") -> None:
    axes.add_patch(Rectangle((x, y), w, h, fc=face, ec=edge, lw=0.9))


# The way of the data: six things, five notebooks.


@rc_context(STYLE)
def pipeline_diagram(study: str = "<study>") -> Figure:
    """The way from a folder of images to figures and a report: what each notebook reads and leaves, and where."""
    figure, axes = _canvas(4.5)
    data, runs = f"datasets/{study}/", f"runs/{study}/"
    things: Sequence[tuple[Callable[[Axes, float, float], None], str, str, str]] = (
        (_images, "your images", "any mess is welcome;\nnever written to", "<any folder>/\n*.jpg  *.png  *.webp"),
        (_captions, "captions", "by BLIP, reviewed by you;\nsafe images beside them", f"{data}\nmetadata.csv  *.png"),
        (_adapters, "adapters", "LoRA on q and v, one per\nrank and alpha", f"{runs}adapters/\nr4_a8/*.safetensors"),
        (_samples, "samples", "baseline and adapters,\nfrom the same noise", f"{runs}samples/\nbaseline/  r4_a8/  …"),
        (_scores, "scores", "alignment, fidelity, drift,\ndiversity, memorisation", f"{runs}\nscores.csv  arms.csv"),
        (_figures, "figures + report", "paired effects with\nintervals", f"figures/{study}/\n{runs}report.html"),
    )  # fmt: skip
    for i, thing in enumerate(things):
        column, y = (i, 2.6) if i < 3 else (5 - i, 0.12)
        _card(axes, 0.1 + 2.89 * column, y, *thing)
    for i, words in enumerate(("data\ncaptioning", "train\nlora", "inference", "clipscore", "analysis"), 1):
        _step(axes, i, words)
    return figure


def _card(
    axes: Axes, x: float, y: float, icon: Callable[[Axes, float, float], None], name: str, what: str, where: str
) -> None:
    _box(axes, (x, y), (2.02, 1.8))
    icon(axes, x + 0.14, y + 1.19)
    _say(axes, (x + 0.78, y + 1.43), name.replace(" + ", " +\n"), 10.5, ha="left", weight="bold")
    _say(axes, (x + 0.14, y + 1.0), what, 8, MUTED, ha="left", va="top")
    _say(axes, (x + 0.14, y + 0.5), where, 7.5, ha="left", va="top", family="DejaVu Sans Mono")


def _step(axes: Axes, number: int, words: str) -> None:
    """The arrow of a notebook: along the upper row, down at the right, back along the lower row."""
    if number == 3:
        start, end, middle, label = (6.89, 2.57), (6.89, 1.95), (6.89, 2.29), (7.1, 2.29)
    else:
        upper = number < 3
        left = 2.12 + 2.89 * (number - 1 if upper else 5 - number)
        y = 3.5 if upper else 1.02
        start, end = ((left + 0.03, y), (left + 0.84, y)) if upper else ((left + 0.84, y), (left + 0.03, y))
        middle, label = (left + 0.435, y), (left + 0.435, y - 0.27)
    _arrow(axes, start, end)
    axes.add_patch(Circle(middle, 0.15, fc=INK, ec="white", lw=1.5, zorder=3))
    _say(axes, middle, f"{number:02d}", 8, "white", weight="bold")
    _say(axes, label, words, 7.5, MUTED, ha="left" if number == 3 else "center", va="center" if number == 3 else "top")


def _images(axes: Axes, x: float, y: float) -> None:
    for shift, face in ((0.1, FAINT), (0.05, FROZEN), (0.0, TINT)):
        _square(axes, x + shift, y + shift, 0.4, 0.4, face, "white")
    axes.add_patch(Circle((x + 0.2, y + 0.25), 0.085, fc=TRAINED))
    axes.add_patch(Polygon([(x + 0.05, y), (x + 0.1, y + 0.12), (x + 0.3, y + 0.12), (x + 0.35, y)], fc=TRAINED))


def _captions(axes: Axes, x: float, y: float) -> None:
    for i, width in enumerate((0.5, 0.42, 0.5, 0.24)):
        _square(axes, x, y + 0.4 - 0.13 * i, width, 0.065, FROZEN if i < 3 else TRAINED)
    axes.plot([x + 0.33, x + 0.39, x + 0.52], [y + 0.05, y - 0.01, y + 0.14], color=TRAINED, lw=2)


def _adapters(axes: Axes, x: float, y: float) -> None:
    _square(axes, x, y, 0.13, 0.48, TRAINED)
    _square(axes, x + 0.18, y + 0.35, 0.34, 0.13, TRAINED)
    _square(axes, x + 0.18, y, 0.34, 0.3, TINT)


def _samples(axes: Axes, x: float, y: float) -> None:
    for column, colour in enumerate((GREY, RANKS[4], RANKS[8])):
        for row in range(3):
            _square(axes, x + 0.17 * column, y + 0.17 * row, 0.14, 0.14, colour)


def _scores(axes: Axes, x: float, y: float) -> None:
    for i, (width, colour) in enumerate(((0.28, GREY), (0.42, RANKS[4]), (0.5, RANKS[8]), (0.46, RANKS[16]))):
        _square(axes, x, y + 0.39 - 0.13 * i, width, 0.09, colour)


def _figures(axes: Axes, x: float, y: float) -> None:
    axes.plot([x, x, x + 0.52], [y + 0.5, y, y], color=MUTED, lw=1.2)
    for i, (height, colour) in enumerate(((0.12, GREY), (0.24, RANKS[4]), (0.36, RANKS[8]), (0.31, RANKS[16]))):
        at = x + 0.09 + 0.125 * i
        axes.plot([at, at], [y + height - 0.07, y + height + 0.07], color=colour, lw=1.3)
        axes.plot([at], [y + height], marker="o", ms=4, color=colour)


# LoRA: the UNet, one of its transformer blocks, one of that block's projections.


@rc_context(STYLE)
def lora_diagram() -> Figure:
    """Where LoRA sits and what it adds: q and v of attn1 and attn2 in every transformer block of the UNet."""
    figure, axes = _canvas(4.2)
    for x, title in ((0.1, "UNet"), (2.75, "transformer block"), (5.45, "one projection, e.g. to_q")):
        _say(axes, (x, 4.0), title, 10.5, ha="left", weight="bold")
    _unet(axes)
    _block(axes)
    _projection(axes)
    _square(axes, 0.1, 0.14, 0.16, 0.16, TRAINED)
    _say(axes, (0.33, 0.22), "trained", 8, ha="left")
    _square(axes, 0.95, 0.14, 0.16, 0.16, FROZEN)
    _say(axes, (1.18, 0.22), "frozen: the base model stays as it is", 8, ha="left")
    return figure


def _unet(axes: Axes) -> None:
    """The U, narrower to the middle and wider again, with skip connections; transformer blocks in every level."""
    heights = (1.8, 1.3, 0.85, 0.5, 0.85, 1.3, 1.8)
    places = [0.14 + 0.3 * i for i in range(7)]
    for i, (x, height) in enumerate(zip(places, heights, strict=True)):
        _box(axes, (x, 2.35 - height / 2), (0.2, height), FROZEN, "white", 0.03)
        _square(axes, x + 0.05, 2.35 - height / 2 + 0.08, 0.1, height - 0.16, TRAINED)
        if i < 3:
            top = 2.35 + height / 2 + 0.05
            across = FancyArrowPatch((x + 0.1, top), (places[6 - i] + 0.1, top), connectionstyle="arc3,rad=-0.13",
                                     arrowstyle="-", color=GREY, lw=0.8, linestyle=(0, (3, 2)))  # fmt: skip
            axes.add_patch(across)
    _say(axes, (0.1, 1.22), "noisy\nlatents", 7.5, MUTED, ha="left")
    _say(axes, (2.18, 1.22), "predicted\nnoise", 7.5, MUTED, ha="right")
    _say(
        axes,
        (0.1, 0.74),
        "SD 1.5 has 16 transformer blocks:\n64 projections, 99 648 · r numbers",
        7.5,
        MUTED,
        ha="left",
    )
    _zoom(axes, (2.14, 2.35), 2.62, 0.62, 3.78)


def _block(axes: Axes) -> None:
    """Self-attention, cross-attention with the prompt, feed-forward; q and v carry an adapter."""
    _box(axes, (2.62, 0.62), (2.3, 3.16))
    for y, name, what in ((0.84, "attn1", "attends to the image"), (1.98, "attn2", "attends to the prompt")):
        _say(axes, (2.76, y + 0.57), name, 9, ha="left", weight="bold")
        _say(axes, (3.27, y + 0.565), what, 8, MUTED, ha="left")
        for i, letter in enumerate(("q", "k", "v", "out")):
            taught = letter in "qv"
            _box(axes, (2.76 + 0.52 * i, y), (0.45, 0.4), TRAINED if taught else FROZEN, "white", 0.06)
            _say(axes, (2.985 + 0.52 * i, y + 0.2), letter, 9, "white" if taught else MUTED, weight="bold")
        _arrow(axes, (3.77, y + 0.74), (3.77, y + 1.04), colour=MUTED)
    _box(axes, (2.76, 3.12), (2.02, 0.42), FROZEN, "white", 0.06)
    _say(axes, (3.77, 3.33), "feed-forward", 8.5, MUTED)
    _zoom(axes, (3.21, 2.18), 5.3, 0.62, 3.78)


def _projection(axes: Axes) -> None:
    """x goes through W and, beside it, down to r numbers and up again; the two are added."""
    _box(axes, (5.3, 0.62), (2.6, 3.16), "white")
    _square(axes, 5.5, 1.45, 1.0, 1.0, FROZEN)
    _say(axes, (6.0, 1.95), "W", 13, MUTED, weight="bold")
    down = [(6.8, 1.3), (7.7, 1.3), (7.38, 1.82), (7.12, 1.82)]
    axes.add_patch(Polygon(down, fc=TRAINED))
    axes.add_patch(Polygon([(x, 3.9 - y) for x, y in down], fc=TRAINED))
    _say(axes, (7.25, 1.52), "A", 11, "white", weight="bold")
    _say(axes, (7.25, 2.38), "B", 11, "white", weight="bold")
    _say(axes, (7.25, 1.95), "r numbers", 7.5, TRAINED)
    _say(axes, (6.55, 0.82), "x", 11, weight="bold", style="italic")
    for x, end in ((6.0, 1.43), (7.25, 1.28)):
        _arrow(axes, (6.55, 0.93), (x, end))
    axes.add_patch(Circle((6.55, 3.0), 0.14, fc="white", ec=MUTED, lw=1.2, zorder=3))
    _say(axes, (6.55, 3.0), "+", 11)
    _arrow(axes, (6.0, 2.47), (6.44, 2.9))
    _arrow(axes, (7.25, 2.62), (6.67, 2.92))
    _say(axes, (7.12, 2.93), "× α / r", 8.5, TRAINED, ha="left", weight="bold")
    _arrow(axes, (6.55, 3.14), (6.55, 3.36))
    _say(axes, (6.6, 3.55), "W x  +  (α / r) · B A x", 10, weight="bold")
    _say(axes, (7.9, 0.22), "B starts at zero: a fresh adapter changes nothing", 8, MUTED, ha="right")


def _zoom(axes: Axes, point: Point, x: float, low: float, high: float) -> None:
    """What is drawn at `x` is inside `point`, larger."""
    axes.add_patch(Polygon([point, (x, low), (x, high)], fc=TINT, ec="none", alpha=0.55, zorder=0))
