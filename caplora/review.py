"""The ledger → a table to review it in → the ledger: keep, edit or reject; every decision is saved at once.

This file does not know models or training. File names and captions are text to it: it escapes them in all HTML.
"""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from html import escape
from pathlib import Path

import ipywidgets as widgets  # type: ignore[import-untyped]
from PIL import Image

from caplora.captions import LEDGER, SPLITS, LedgerError, Row, change_row, read_ledger

COLOURS = {"pending": "#777777", "kept": "#00734c", "edited": "#0059a8", "rejected": "#b03000"}


def review_table(folder: Path) -> widgets.VBox:
    """A scrolling table of the ledger in `folder`: picture, machine caption, text to edit, split, keep, reject.

    Leaving an edited text saves it, as every button does; the line then says when, or why it could not be saved.
    Raises LedgerError if the ledger cannot be read.
    """
    lines = [_line(folder, row) for row in read_ledger(folder)]
    return widgets.VBox(lines, layout=widgets.Layout(max_height="640px", overflow="auto"))


def kept(row: Row, text: str) -> Row:
    """`row` with `text` as its caption: kept as suggested, or edited. Raises LedgerError for a blank one."""
    if not text.strip():
        raise LedgerError("a caption needs words: write some, or reject the image")
    return replace(row, text=text, status="kept" if text == row.suggestion else "edited")


def static_table(folder: Path, limit: int = 20) -> str:
    """The first `limit` rows of the ledger, 0 for all, as HTML that needs no kernel; pictures included."""
    rows = read_ledger(folder)
    shown = rows[: limit or None]
    head = "".join(
        f"<th style='text-align:left'>{name}</th>" for name in ("", "machine caption", "caption", "status", "split")
    )
    more = f"<p>… and {len(rows) - len(shown)} more in {LEDGER}</p>" if len(shown) < len(rows) else ""
    return f"<table><tr>{head}</tr>{''.join(_static_line(folder, row) for row in shown)}</table>{more}"


def _line(folder: Path, row: Row) -> widgets.HBox:
    text = widgets.Textarea(value=row.text, rows=5, continuous_update=False, layout=widgets.Layout(width="340px"))
    split = widgets.Dropdown(options=SPLITS, value=row.split, layout=widgets.Layout(width="104px"))
    keep, reject = (widgets.Button(description=d, layout=widgets.Layout(width="104px")) for d in ("keep", "reject"))
    state = widgets.HTML(_state(row), layout=widgets.Layout(width="160px"))

    def save(change: Callable[[Row], Row]) -> None:
        state.value = _saved(folder, row.file_name, change)

    text.observe(lambda _: save(lambda now: kept(now, text.value)), names="value")
    split.observe(lambda _: save(lambda now: replace(now, split=split.value)), names="value")
    keep.on_click(lambda _: save(lambda now: kept(now, text.value)))
    reject.on_click(lambda _: save(lambda now: replace(now, status="rejected")))
    buttons = widgets.VBox([keep, reject, split], layout=widgets.Layout(flex="0 0 auto"))
    layout = widgets.Layout(flex="0 0 auto", align_items="flex-start")  # a line keeps its height when the table scrolls
    return widgets.HBox([*_picture(folder, row), text, buttons, state], layout=layout)


def _picture(folder: Path, row: Row) -> tuple[widgets.Image, widgets.HTML]:
    said = f"<div style='line-height:1.35'><b>{escape(row.file_name)}</b><br>{escape(row.machine_text)}</div>"
    layout = widgets.Layout(flex="0 0 auto", width="112px", height="112px", margin="2px")
    picture = widgets.Image(value=_thumbnail(folder / row.file_name), format="jpeg", layout=layout)
    return picture, widgets.HTML(said, layout=widgets.Layout(width="260px"))


def _saved(folder: Path, file_name: str, change: Callable[[Row], Row]) -> str:
    """Save a decision and say so; an error is shown, because one raised in a callback is seen by nobody."""
    try:
        row = change_row(folder, file_name, change)
    except (OSError, LedgerError) as error:
        return f"<b style='color:{COLOURS['rejected']}'>not saved: {escape(str(error))}</b>"
    return f"{_state(row)}<br>saved {datetime.now():%H:%M:%S}"


def _state(row: Row) -> str:
    return f"<b style='color:{COLOURS[row.status]}'>{row.status}</b>"


def _static_line(folder: Path, row: Row) -> str:
    picture = base64.b64encode(_thumbnail(folder / row.file_name)).decode()
    name = escape(row.file_name, quote=True)
    cells = (
        f"<img src='data:image/jpeg;base64,{picture}' alt='{name}' title='{name}' style='width:96px;max-width:none'>",
        escape(row.machine_text),
        escape(row.text),
        _state(row),
        row.split,
    )
    return "<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>"


def _thumbnail(path: Path) -> bytes:
    memory = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").resize((112, 112), Image.Resampling.LANCZOS).save(memory, "JPEG", quality=85)
    return memory.getvalue()
