"""The review studio: a widget for JupyterLab and Colab in which a person goes through the captions by keyboard.

`studio.js` draws what `view` says and sends back what the person does; every message names the image it is about, so
one that comes late cannot change another. Texts go through the DOM as text, never as HTML.
"""

import base64
import io
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets
from PIL import Image

from caplora.captions import LEDGER, LedgerError, read_ledger
from caplora.files import BusyError, only_writer
from caplora.history import Ledger
from caplora.review import Checks, Review
from caplora.wording import marked

HERE = Path(__file__).resolve().parent
THUMBNAIL, PICTURE = 72, 640  # pixels
COLOURS = {"pending": "#777777", "kept": "#00734c", "edited": "#0059a8", "rejected": "#b03000"}
LOOKS = {"go", "move", "pending", "filter"}  # what changes nothing


class Studio(anywidget.AnyWidget):
    """The studio over the ledger of a folder; `view` is what it shows.

    It holds the ledger until its kernel ends or it is opened again: a second one, in another kernel, says who holds it
    and changes nothing. Raises LedgerError if the ledger cannot be read.
    """

    _esm = HERE / "studio.js"
    _css = HERE / "studio.css"
    view = traitlets.Dict().tag(sync=True)
    open_ones: ClassVar[dict[Path, "Studio"]] = {}

    def __init__(self, folder: Path, checks: Checks, who: str = "") -> None:
        read_ledger(folder)  # or an error that says how to make one
        self.folder, self.saved, self.told, self.failed = folder.resolve(), "", "", False
        self.review, self.held, self.answers = Review(Ledger(folder, who), checks), ExitStack(), 0
        if (earlier := self.open_ones.pop(self.folder, None)) is not None:
            earlier.shut("This studio was opened again: go on there.")
        try:
            self.held.enter_context(only_writer(self.folder / LEDGER))
            self.open_ones[self.folder] = self
        except BusyError as error:
            self.told = f"Another studio is open here, so this one only shows: {error}."
        super().__init__(view=self._view())
        self.on_msg(self._received)

    def shut(self, why: str) -> None:
        """Change nothing any more, and say why."""
        self.held.close()
        self.told = why
        self.view = self._view()

    def _received(self, _: Any, message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        """Do what a message says; an error is shown, because one raised in a callback is seen by nobody."""
        answers = {"pictures": self._pictures, "count": self._count, "find": self._find}
        try:
            if answer := answers.get(message["do"]):
                answer(message)
                return
            said = self._done(message)
            self.saved = said or ("" if self.failed else self.saved)
            self.failed = False
        except Exception as error:
            self.failed, self.saved = True, f"not done: {error}"
        self.view = self._view()

    def _done(self, message: dict[str, Any]) -> str:
        """What the person's deed has come to, in words."""
        review, do = self.review, message["do"]
        if do not in LOOKS and self.told:
            raise LedgerError(self.told)
        before = len(review.ledger.history)
        said = self._deeds(message)[do]()
        if len(review.ledger.history) == before:
            return said if isinstance(said, str) else ""
        count = f"{said} captions, " if isinstance(said, int) and not isinstance(said, bool) else ""
        return f"{count}saved {datetime.now():%H:%M:%S}"

    def _deeds(self, message: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        review, name = self.review, message.get("name", "")
        text, value = message.get("text", ""), message.get("value", "")
        replaced = (message.get("find", ""), message.get("into", ""), message.get("regex", False))
        return {
            "go": lambda: review.go(value),
            "move": lambda: review.move(value),
            "pending": lambda: None if review.next_pending() else "nothing is pending here",
            "filter": lambda: review.look_for(value),
            "keep": lambda: self._decided(name, lambda: review.keep(name, text, message.get("seen"))),
            "save": lambda: review.write(name, text, message.get("seen")),
            "reject": lambda: self._decided(name, lambda: review.reject(name, value)),
            "split": lambda: review.put(name, value),
            "undo": review.undo,
            "redo": review.redo,
            "replace": lambda: review.replace_all(*replaced),
            "all": lambda: review.decide_all(value),
            "add": lambda: review.add_to_all(value),
        }

    def _decided(self, name: str, decide: Callable[[], None]) -> None:
        """Decide on one image, then go on from it to the next that nobody has decided on."""
        decide()
        if name == self.review.current:
            self.review.next_pending()

    def _pictures(self, message: dict[str, Any]) -> None:
        """Send pictures, thumbnails or large, as JPEG; one that cannot be read is empty."""
        names = [name for name in message["names"] if name in self.review.rows]
        side = PICTURE if message["large"] else THUMBNAIL
        self.send({"pictures": names, "large": message["large"]}, buffers=[self._jpeg(name, side) for name in names])

    def _jpeg(self, name: str, side: int) -> bytes:
        try:
            return jpeg(self.folder / name, side)
        except (OSError, SyntaxError, ValueError):  # what Pillow raises for a damaged file
            return b""

    def _count(self, message: dict[str, Any]) -> None:
        """Say what is to be known of a text while it is being written: its tokens, what falls off, what changed."""
        checks, row, text = self.review.checks, self.review.rows.get(message["name"]), message["text"]
        said = {"tokens": checks.count(text), "lost": checks.lost(text)}
        self.send({"count": said, "pieces": marked(row.machine_text if row else "", text), "name": message["name"]})

    def _find(self, message: dict[str, Any]) -> None:
        """Show what replacing would make of the captions, the first dozen of them."""
        try:
            texts = self.review.found(message["find"], message["into"], message["regex"])
            rows = self.review.rows
            shown = [{"name": n, "pieces": marked(rows[n].text, text)} for n, text in list(texts.items())[:12]]
            self.send({"found": shown, "total": len(texts), "error": ""})
        except LedgerError as error:
            self.send({"found": [], "total": 0, "error": str(error)})

    def _view(self) -> dict[str, Any]:
        review = self.review
        undo, redo = review.stacked()
        self.answers += 1  # so that every message is answered, though nothing else has changed
        return {
            "answers": self.answers,
            "failed": self.failed,
            "marks": [
                [name, review.rows[name].status, len(review.findings.get(name, ())) + bool(review.rows[name].flags)]
                for name in review.shown
                if name in review.rows
            ],
            "card": self._card(review.current) if review.current in review.rows else None,
            "progress": review.progress(),
            "words": review.words(),
            "filter": review.filter,
            "undo": undo,
            "redo": redo,
            "saved": self.saved,
            "told": self.told,
        }

    def _card(self, name: str) -> dict[str, Any]:
        """Everything that is shown of one image."""
        review, row = self.review, self.review.rows[name]
        checks = review.checks
        return asdict(row) | {
            "pieces": marked(row.machine_text, row.text),
            "findings": [finding.message for finding in review.findings.get(name, ())],
            "tokens": checks.count(row.text),
            "lost": checks.lost(row.text),
            "limit": checks.limit,
            "agreement": checks.agreement.get(name),
            "at": [review.shown.index(name) + 1 if name in review.shown else 0, len(review.shown)],
        }


def static_table(folder: Path, limit: int = 20) -> str:
    """The first `limit` rows of the ledger, 0 for all, as HTML that needs no kernel; pictures included."""
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
    memory = io.BytesIO()
    with Image.open(path) as image:
        small = image.convert("RGB")
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        small.save(memory, "JPEG", quality=88)
    return memory.getvalue()
