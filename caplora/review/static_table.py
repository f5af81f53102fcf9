"""The ledger → a table in HTML that needs no kernel, and pictures as small JPEGs."""

import base64
import io
from functools import lru_cache
from html import escape
from pathlib import Path

from PIL import Image

from caplora.captions import LEDGER, read_ledger
from caplora.study import disk_errors_name

COLOURS = {"pending": "#777777", "kept": "#00734c", "edited": "#0059a8", "rejected": "#b03000"}


def html_table(folder: Path, limit: int = 20) -> str:
    """The first `limit` rows of the ledger (0: all) as an HTML table that includes the pictures."""
    rows = read_ledger(folder)
    shown = rows[: limit or None]
    head = "".join(
        f"<th style='text-align:left'>{name}</th>" for name in ("", "machine caption", "caption", "status", "split")
    )
    more = f"<p>… and {len(rows) - len(shown)} more in {LEDGER}</p>" if len(shown) < len(rows) else ""
    lines = []
    for row in shown:
        picture, name = base64.b64encode(jpeg(folder / row.file_name, 112)).decode(), escape(row.file_name, quote=True)
        cells = (
            f"<img src='data:image/jpeg;base64,{picture}' alt='{name}' title='{name}' style='width:96px'>",
            escape(row.machine_text),
            escape(row.text),
            f"<b style='color:{COLOURS[row.status]}'>{row.status}</b>",
            row.split,
        )
        lines.append("<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>{more}"


def jpeg(path: Path, side: int) -> bytes:
    """A picture as JPEG, at most `side` pixels wide and high, and never larger than it is."""
    return _jpeg(path, side, path.stat().st_mtime_ns)


@lru_cache(maxsize=512)
def _jpeg(path: Path, side: int, changed: int) -> bytes:
    """As `jpeg`; `changed` is part of the key, so that a changed file is read again."""
    memory = io.BytesIO()
    with disk_errors_name(path, "read"), Image.open(path) as image:
        small = image.convert("RGB")
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        small.info.clear()  # or Pillow writes the comment of the file into it
        small.save(memory, "JPEG", quality=88)
    return memory.getvalue()
