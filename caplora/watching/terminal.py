"""A view → what a terminal shows, by rich."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from caplora.jobs import DONE, FAILED, KILLED, RUNNING, Work, harmless
from caplora.watching.drawn import curves_of, half_blocks, sparkline
from caplora.watching.view import SHOWN, STATES, WAITING, Job, View, left_of

FAINT = "bright_black"
COLOURS = {DONE: "green", RUNNING: "cyan", FAILED: "red", KILLED: "magenta", WAITING: FAINT}
MARKS = {DONE: "✓", RUNNING: "▶", FAILED: "✗", KILLED: "☓", WAITING: "·"}
HEADS, ENDS = ("", "job", "variants", "on", "progress", "took", "left"), ("took", "left")
WIDE = 100  # columns that say where a job runs
CURVES = 6  # of a pack, at most
COLUMNS = 18  # of a picture


class Harmless:
    """What rich makes of something, whose texts give the terminal no orders: only rich's own colours are left."""

    def __init__(self, made: RenderableType) -> None:
        self.made = made

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.made, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


def rendered(view: View, width: int = 100, pictures: bool = True, jobs: int = SHOWN) -> RenderableType:
    """What a terminal of so many columns shows, of at most so many jobs.

    With `pictures`, the newest are drawn and not only named.
    """
    if view.empty:
        return Harmless(Text(view.to_start()))
    parts: list[RenderableType] = [Text.assemble((f"{view.study} ", "bold"), view.said())]
    if view.jobs:
        parts += [_bar(view, width), _counts(view), Text(), _jobs(view, width, jobs)]
        parts += [_failed(job) for job in view.shown(jobs) if job.why]
    parts += [_by_hand(work) for work in view.works]
    parts += [_losses(name, work, width) for name, work in view.training]
    if view.pictures:
        parts += [Text("\nNewest pictures", "bold"), *_pictures(view, width, pictures)]
    return Harmless(Group(*parts, Text(f"\n{view.run}: {view.made_said()}", FAINT)))


def fitting(view: View, console: Console) -> RenderableType:
    """What a console has lines for: pictures are drawn or only named, and of the jobs fewer are shown."""
    choices = [(in_colour(console), SHOWN), (False, SHOWN), (False, 8), (False, 4)]
    for pictures, jobs in choices:
        shown = rendered(view, console.width, pictures, jobs)
        if len(console.render_lines(shown)) < console.height:
            break
    return shown


def in_colour(console: Console) -> bool:
    """Whether a console has colours enough for pictures."""
    return console.color_system in ("256", "truecolor")


def _bar(view: View, width: int) -> Text:
    """All jobs as one line, each part as long as its share."""
    bar, place = Text(no_wrap=True), 0
    for number, job in enumerate(sorted(view.jobs, key=lambda job: STATES.index(job.state)), 1):
        end = round(number * width / len(view.jobs))
        bar.append("━" * (end - place), COLOURS[job.state])
        place = end
    return bar


def _counts(view: View) -> Text:
    counts = [(state, len(view.of(state))) for state in STATES]
    parts = [(f"{MARKS[state]} {number} {state}   ", COLOURS[state]) for state, number in counts if number]
    return Text.assemble(*parts)


def _jobs(view: View, width: int, most: int) -> RenderableType:
    """A line for each job; a narrow terminal does not say where it runs."""
    cells = {job.name: _cells(job) for job in view.shown(most)}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=FAINT)
    heads = [head for head in HEADS if head != "on" or width >= WIDE]
    for head in heads:
        gives_way = head in ("variants", "on")  # where there is no room
        table.add_column(head, no_wrap=not gives_way, max_width=32, justify="right" if head in ENDS else "left")
    for own in cells.values():
        table.add_row(*(own[head] for head in heads))
    hidden = len(view.jobs) - len(cells)
    return Group(table, Text(f"   and {hidden} more", FAINT)) if hidden else table


def _cells(job: Job) -> dict[str, RenderableType]:
    """Head → what a job has below it."""
    colour, variants = COLOURS[job.state], " ".join(job.record.variants) if job.record else ""
    return {
        "": Text(MARKS[job.state], colour),
        "job": Text(job.name, colour if job.state in (FAILED, KILLED, WAITING) else ""),
        "variants": Text(variants, no_wrap=True, overflow="ellipsis"),
        "on": Text(job.where, no_wrap=True, overflow="ellipsis"),
        "progress": _progress(job.work) if job.work else Text(job.state, colour),
        "took": Text(job.took),
        "left": Text(job.left),
    }


def _progress(work: Work) -> RenderableType:
    bar = ProgressBar(total=max(1, work.total), completed=work.done, width=12, complete_style=COLOURS[RUNNING])
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_row(bar, Text(f"{work.done}/{work.total} {work.unit}"))
    return table


def _by_hand(work: Work) -> RenderableType:
    left = f"{left_of(work)} left" if left_of(work) else ""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_row(Text(MARKS[RUNNING], COLOURS[RUNNING]), Text(work.doing), _progress(work), Text(left))
    return table


def _failed(job: Job) -> RenderableType:
    """Why a job came to nothing, and where its notebook lies."""
    colour, notebook = COLOURS[job.state], job.record.notebook if job.record else ""
    title = Text.assemble((f"\n{MARKS[job.state]} ", colour), (job.name, f"bold {colour}"), f"  {notebook}")
    return Group(title, Padding(Text(job.why, colour), (0, 0, 0, 2)))


def _losses(name: str, work: Work, width: int) -> RenderableType:
    """The curves of a pack, all on one scale, each with its last value."""
    curves, low, high = curves_of(work, max(10, min(60, width - 40)))
    table = Table.grid(padding=(0, 2, 0, 0))
    for variant, curve in list(curves.items())[:CURVES]:
        line = sparkline(curve, low, high)
        table.add_row(Text(f"  {variant}"), Text(line, "cyan"), Text(f"{curve[0]:.4f} → {curve[-1]:.4f}"))
    more = [Text(f"  and {len(curves) - CURVES} more", FAINT)] if len(curves) > CURVES else []
    return Group(Text.assemble(("\nLosses ", "bold"), name), table, *more)


def _pictures(view: View, width: int, drawn: bool) -> list[RenderableType]:
    """The newest pictures: drawn side by side with their arms below, as many as fit, and named by path."""
    shown = view.pictures[: max(1, (width - 2) // (COLUMNS + 2))]
    cells = [cell for path in shown if (cell := _cell(path))] if drawn else []
    paths = [Text(f"  {path.relative_to(view.run)}", FAINT, no_wrap=True) for path in shown]
    return [*([Padding(Columns(cells, padding=(0, 2, 0, 0)), (0, 0, 0, 2))] if cells else []), *paths]


def _cell(path: Path) -> RenderableType | None:
    with suppress(OSError):
        arm = path.parent.parent.name if path.parent.name == "previews" else path.parent.name
        return Group(half_blocks(path, COLUMNS), Text(arm[:COLUMNS]))
    return None
