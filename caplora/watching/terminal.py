"""A view → what a terminal shows, by rich."""

from contextlib import suppress
from pathlib import Path

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from caplora.jobs import DONE, FAILED, KILLED, RUNNING, Work
from caplora.watching.drawn import curves_of, half_blocks, sparkline
from caplora.watching.view import STATES, WAITING, Job, View, in_words

COLOURS = {DONE: "green", RUNNING: "cyan", FAILED: "red", KILLED: "magenta", WAITING: "bright_black"}
MARKS = {DONE: "✓", RUNNING: "▶", FAILED: "✗", KILLED: "☓", WAITING: "·"}
CURVES = 6  # of a pack, at most
COLUMNS = 18  # of a picture


def rendered(view: View, width: int = 100, pictures: bool = True) -> RenderableType:
    """What a terminal of so many columns shows; with `pictures`, the newest are drawn and not only named."""
    if view.empty:
        return Text(view.to_start())
    parts: list[RenderableType] = [_head(view)]
    if view.jobs:
        parts += [_bar(view, width), _counts(view), Text(), _jobs(view)]
        parts += [_failed(job) for job in view.shown if job.why]
    parts += [_by_hand(work) for work in view.works]
    parts += [_losses(name, work, width) for name, work in view.training]
    if view.pictures:
        parts += [Text("\nNewest pictures", "bold"), *_pictures(view, width, pictures)]
    return Group(*parts, Text(f"\n{view.run}: {view.made_said()}", "bright_black"))


def fitting(view: View, console: Console) -> RenderableType:
    """What a console shows: pictures are drawn where there are colours and lines enough, and named elsewhere."""
    full = rendered(view, console.width)
    enough = console.color_system in ("256", "truecolor") and len(console.render_lines(full)) < console.height
    return full if enough else rendered(view, console.width, pictures=False)


def _head(view: View) -> Text:
    return Text.assemble((f"{view.study} ", "bold"), view.said())


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


def _jobs(view: View) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black", expand=False)
    table.add_column("")
    table.add_column("job", no_wrap=True)
    table.add_column("variants", max_width=32)  # this one and the next give way where there is no room
    table.add_column("on", max_width=20)
    table.add_column("progress", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("left", justify="right", no_wrap=True)
    for job in view.shown:
        table.add_row(*_row(job), style="bright_black" if job.state == WAITING else "")
    hidden = len(view.jobs) - len(view.shown)
    return Group(table, Text(f"   and {hidden} more", "bright_black")) if hidden else table


def _row(job: Job) -> list[RenderableType]:
    """A job as the cells of its line."""
    colour, record = COLOURS[job.state], job.record
    left = job.work.minutes if job.work else None
    return [
        Text(MARKS[job.state], colour),
        Text(job.name, colour if job.state in (FAILED, KILLED) else ""),
        Text(" ".join(record.variants) if record else "", no_wrap=True, overflow="ellipsis"),
        Text(job.where, no_wrap=True, overflow="ellipsis"),
        _progress(job.work) if job.work else Text(job.state, colour),
        Text(in_words(record.seconds) if record else ""),
        Text("" if left is None else in_words(left * 60)),
    ]


def _progress(work: Work) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    bar = ProgressBar(total=max(1, work.total), completed=work.done, width=12, complete_style="cyan")
    table.add_row(bar, Text(f"{work.done}/{work.total} {work.unit}"))
    return table


def _by_hand(work: Work) -> RenderableType:
    left = "" if work.minutes is None else f"{in_words(work.minutes * 60)} left"
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_row(Text("▶", COLOURS[RUNNING]), Text(work.doing), _progress(work), Text(left))
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
    more = [Text(f"  and {len(curves) - CURVES} more", "bright_black")] if len(curves) > CURVES else []
    return Group(Text.assemble(("\nLosses ", "bold"), name), table, *more)


def _pictures(view: View, width: int, drawn: bool) -> list[RenderableType]:
    """The newest pictures: drawn side by side with their arms below, as many as fit, and named by path."""
    shown = view.pictures[: max(1, (width - 2) // (COLUMNS + 2))]
    cells = [cell for path in shown if (cell := _cell(path))] if drawn else []
    paths = [Text(f"  {path.relative_to(view.run)}", "bright_black", no_wrap=True) for path in shown]
    return [*([Padding(Columns(cells, padding=(0, 2, 0, 0)), (0, 0, 0, 2))] if cells else []), *paths]


def _cell(path: Path) -> RenderableType | None:
    with suppress(OSError):
        arm = path.parent.parent.name if path.parent.name == "previews" else path.parent.name
        return Group(half_blocks(path, COLUMNS), Text(arm[:COLUMNS]))
    return None
