"""A view → what a notebook shows: one piece of HTML that needs nothing besides, in light and in dark themes."""

import base64
import math
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from pathlib import Path

from caplora.jobs import DONE, FAILED, KILLED, RUNNING, Work
from caplora.review import jpeg
from caplora.watching.drawn import curves_of
from caplora.watching.view import STATES, WAITING, Job, View, left_of

COLOURS = {DONE: "#009e73", RUNNING: "#0072b2", FAILED: "#d55e00", KILLED: "#cc79a7", WAITING: "#999999"}
LINES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")  # of curves: Okabe and Ito 2008
GREY = "opacity:.65"
WIDTH, HEIGHT = 420, 90  # of the curves of a pack, in pixels
CELL = "text-align:left;padding:2px 14px 2px 0;white-space:nowrap"


def html(view: View) -> str:
    """The view as HTML; every text in it is escaped."""
    if view.empty:
        return f"<p>{escape(view.to_start())}</p>"
    parts = [f"<p style='margin:4px 0'><b>{escape(view.study)}</b> {escape(view.said())}</p>"]
    if view.jobs:
        parts += [_bar(view), _counts(view), _jobs(view), *(_failed(job) for job in view.shown() if job.why)]
    parts += [f"<p>{escape(work.doing)} {_progress(work)}</p>" for work in view.works]
    parts += [_losses(name, work) for name, work in view.training]
    parts += [f"<div style='display:flex;flex-wrap:wrap;gap:10px;margin:10px 0'>{_pictures(view)}</div>"]
    parts += [f"<p style='{GREY}'>{escape(str(view.run))}: {escape(view.made_said())}</p>"]
    return f"<div class='caplora-watch' style='font-size:13px;line-height:1.5'>{''.join(parts)}</div>"


def _bar(view: View) -> str:
    counts = [(len(view.of(state)), COLOURS[state]) for state in STATES]
    spans = "".join(f"<span style='flex:{number};background:{colour}'></span>" for number, colour in counts if number)
    return f"<div style='display:flex;height:6px;max-width:720px;border-radius:3px;overflow:hidden'>{spans}</div>"


def _counts(view: View) -> str:
    counts = [(len(view.of(state)), state) for state in STATES]
    said = " · ".join(f"<b style='color:{COLOURS[state]}'>{number}</b> {state}" for number, state in counts if number)
    return f"<p style='margin:4px 0'>{said}</p>"


def _jobs(view: View) -> str:
    heads = "".join(f"<th style='{CELL}'>{name}</th>" for name in ("", "job", "variants", "on", "progress", "took"))
    rows = "".join(f"<tr style='background:none'>{_row(job)}</tr>" for job in view.shown())
    hidden = len(view.jobs) - len(view.shown())
    more = f"<p style='{GREY};margin:2px 0'>and {hidden} more</p>" if hidden else ""
    return f"<table style='border-collapse:collapse;font-size:13px'><tr>{heads}</tr>{rows}</table>{more}"


def _row(job: Job) -> str:
    """The cells of a job."""
    record, faint = job.record, GREY if job.state == WAITING else ""
    progress = _progress(job.work) if job.work else f"<span style='color:{COLOURS[job.state]}'>{job.state}</span>"
    cells = [
        f"<span style='color:{COLOURS[job.state]}'>●</span>",
        escape(job.name),
        _short(" ".join(record.variants) if record else ""),
        _short(job.where),
        progress,
        job.took,
    ]
    return "".join(f"<td style='{CELL};{faint}'>{cell}</td>" for cell in cells)


def _short(text: str, most: int = 40) -> str:
    """A text that is cut where it is long; the whole of it shows under the pointer."""
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return f"<span title='{escape(text, quote=True)}'>{escape(cut)}</span>"


def _progress(work: Work) -> str:
    left = f", {left_of(work)} left" if left_of(work) else ""
    size = "style='width:110px;vertical-align:middle'"
    bar = f"<progress max='{max(1, work.total)}' value='{work.done}' {size}></progress>"
    return f"{bar} {work.done}/{work.total} {escape(work.unit)}{left}"


def _failed(job: Job) -> str:
    notebook = job.record.notebook if job.record else ""
    edge = f"border-left:3px solid {COLOURS[job.state]};padding-left:8px;margin:8px 0"
    return (
        f"<div style='{edge}'><b>{escape(job.name)} {job.state}</b> <code>{escape(notebook)}</code><br>"
        f"{escape(job.why)}</div>"
    )


def _losses(name: str, work: Work) -> str:
    """The curves of a pack in one picture, with their last values."""
    curves, low, high = curves_of(work, 60)
    lines, legend = [], []
    for number, (variant, curve) in enumerate(curves.items()):
        colour = LINES[number % len(LINES)]
        lines.append(
            f"<polyline points='{_points(curve, low, high)}' fill='none' stroke='{colour}' stroke-width='1.6'/>"
        )
        legend.append(f"<span style='color:{colour}'>━</span> {escape(variant)} {curve[0]:.4f} → {curve[-1]:.4f}")
    box = f"viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}'"
    edge = "border-left:1px solid rgba(128,128,128,.5);border-bottom:1px solid rgba(128,128,128,.5)"
    return (
        f"<p style='margin:10px 0 2px'><b>Losses</b> {escape(name)}, from {low:.4f} to {high:.4f}</p>"
        f"<div style='display:flex;gap:14px;align-items:center'><svg {box} style='{edge}'>{''.join(lines)}</svg>"
        f"<div>{'<br>'.join(legend)}</div></div>"
    )


def _points(curve: Sequence[float], low: float, high: float) -> str:
    """A curve as the points of a line in the picture; what is not finite is left out."""
    span, last = high - low or 1.0, max(1, len(curve) - 1)
    places = [(i / last * WIDTH, 2 + (HEIGHT - 4) * (high - y) / span) for i, y in enumerate(curve) if math.isfinite(y)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _pictures(view: View) -> str:
    return "".join(picture for path in view.pictures if (picture := _picture(path, view.run)))


def _picture(path: Path, run: Path) -> str:
    """A picture with its path below; nothing where it is gone by now."""
    with suppress(OSError):
        shown, name = base64.b64encode(jpeg(path, 128)).decode(), str(path.relative_to(run))
        image = f"<img src='data:image/jpeg;base64,{shown}' alt='{escape(name, quote=True)}' style='width:128px'>"
        folder, file = name.rsplit("/", 1) if "/" in name else ("", name)
        return f"<div style='{GREY};font-size:11px'>{image}<br>{escape(folder)}<br>{escape(file)}</div>"
    return ""
