"""The figure of results/resources.json: memory and time against images, and resident memory against rounds."""

from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes

from caplora.figures.look import GREY, INK, MUTED, RANKS, STYLE, WIDTH, Figure, footnote

COLOURS = dict(zip(("training", "sampling", "scoring", "studio"), list(RANKS.values())[2:], strict=False))
PARTS = {"scan": "scan and measure", "caption": "caption", "enrol": "enter into the ledger"}


@rc_context(STYLE)
def resources_figure(found: dict[str, Any]) -> Figure:
    """Three axes: memory beyond libraries and models, processor seconds, and memory over repeated work."""
    figure = Figure((WIDTH, 3.5))
    memory, seconds, loops = figure.subplots(1, 3)
    _memory(memory, found.get("images", []))
    _seconds(seconds, found.get("images", []))
    _loops(loops, found.get("loops", []))
    figure.subplots_adjust(left=0.075, right=0.985, top=0.9, bottom=0.27, wspace=0.34)
    said = "Images of 384 pixels through notebook 01, each number in a process of its own; without a face detector."
    footnote(figure, f"{said} Right: resident memory since the end of the warm-up.")
    return figure


def _memory(axes: Axes, rows: list[dict[str, Any]]) -> None:
    counts = [row["images"] for row in rows]
    axes.plot(counts, [row["pixels_mb"] for row in rows], "o--", color=GREY, label="all pixels, were they held")
    axes.plot(counts, [row["beyond_mb"] for row in rows], "o-", color=RANKS[4], label="most memory beyond models")
    for row in rows:
        place = (row["images"], row["beyond_mb"])
        axes.annotate(f"{row['beyond_mb']:.0f}", place, (0, -14), textcoords="offset points", ha="center", fontsize=8)
    axes.set(title="Memory, MB", xlabel="images", xscale="log", yscale="log", ylim=(10, 60_000))
    _plain(axes, (100, 1000, 10_000), (10, 100, 1000, 10_000))
    axes.legend(loc="upper left", fontsize=7.5)


def _seconds(axes: Axes, rows: list[dict[str, Any]]) -> None:
    counts = [row["images"] for row in rows]
    for (part, name), color in zip(PARTS.items(), (RANKS[16], RANKS[8], MUTED), strict=True):
        axes.plot(counts, [row["parts"][part]["cpu_seconds"] for row in rows], "o-", color=color, label=name)
    axes.set(title="Time on one core", xlabel="images", ylabel="processor seconds")
    axes.set(xscale="log", yscale="log", ylim=(0.03, 1500))
    _plain(axes, (100, 1000, 10_000), (0.1, 1, 10, 100))
    axes.legend(loc="upper left", fontsize=7.5)


def _plain(axes: Axes, across: tuple[float, ...], up: tuple[float, ...]) -> None:
    """Numbers as people write them, at these places."""
    axes.set_xticks(across, [f"{x:,}" for x in across])
    axes.set_yticks(up, [f"{y:,}" for y in up])
    axes.minorticks_off()


def _loops(axes: Axes, loops: list[dict[str, Any]]) -> None:
    for loop in loops:
        warm = [point for point in loop["points"] if point[0] > loop["rounds"] / 4]
        shares = [100 * (point[1] / warm[0][1] - 1) for point in warm]
        places = [100 * point[0] / loop["rounds"] for point in warm]
        label = f"{loop['loop']}, {loop['rounds']} rounds"
        axes.plot(places, shares, "-", color=COLOURS[loop["loop"]], label=label, lw=1.4)
    for limit in (-2, 2):
        axes.axhline(limit, color=INK, lw=0.7, ls=(0, (4, 3)))
    axes.annotate("2 %", (100, 2), (0, -3), textcoords="offset points", ha="right", va="top", fontsize=8, color=MUTED)
    axes.set(title="Again and again", xlabel="part of the rounds, %", ylabel="resident memory, % more", ylim=(-3, 4.6))
    axes.legend(loc="upper left", fontsize=7.5)
