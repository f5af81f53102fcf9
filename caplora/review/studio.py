"""The review studio: a widget for JupyterLab and Colab in which a person goes through the captions by keyboard.

`studio.js`, with `strip.js`, draws what `view` says and sends back what the person does. Every message names its image,
so that a late one cannot change another image. Texts enter the page as text, never as HTML. Of many images only the
marks near to the one shown are sent.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from caplora.captions import LEDGER, Ledger, LedgerError, read_ledger
from caplora.review.checks import Checks
from caplora.review.corrections import marked
from caplora.review.review import Review
from caplora.review.scripts import script_of
from caplora.review.static_table import jpeg
from caplora.study import BusyError, only_writer

HERE = Path(__file__).resolve().parent
THUMBNAIL, PICTURE = 72, 640  # pixels
AROUND = 60  # marks to either side of the image shown; the strip asks for others when it is scrolled there
LOOKS = {"go", "move", "pending", "filter"}  # deeds that change nothing


class Studio(anywidget.AnyWidget):
    """The studio for the ledger of a folder; `view` is what it shows.

    It holds the ledger until its kernel ends or it is opened again. A second studio, in another kernel, says who holds
    the ledger and changes nothing. `kept` is called after each change, to copy it elsewhere. Raises LedgerError if the
    ledger cannot be read.
    """

    _esm = script_of(HERE / "strip.js", HERE / "studio.js")
    _css = HERE / "studio.css"
    view = traitlets.Dict().tag(sync=True)
    open_ones: ClassVar[dict[Path, "Studio"]] = {}

    def __init__(self, folder: Path, checks: Checks, who: str = "", kept: Callable[[], object] = lambda: None) -> None:
        if not (folder / LEDGER).is_file():
            read_ledger(folder)  # raises an error that says how to make one
        self.kept = kept
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
        """Do nothing any more, and say why; the page keeps a widget for good, but not the rows that it held."""
        self.held.close()
        self.told = why
        self.view = self._view()
        del self.review

    def _received(self, _: Any, message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        """Do what a message asks. An error is shown in the studio, because nobody sees one raised in a callback."""
        answers = {"pictures": self._pictures, "marks": self._strip, "count": self._count, "find": self._find}
        if not hasattr(self, "review"):
            if message["do"] not in answers:
                self.answers += 1
                self.view = self.view | {"answers": self.answers, "failed": True, "saved": f"not done: {self.told}"}
            return
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
        """Do what the person asks, and return the outcome in words."""
        review, do = self.review, message["do"]
        if do not in LOOKS and self.told:
            raise LedgerError(self.told)
        before = len(review.ledger.history)
        said = self._deeds(message)[do]()
        if len(review.ledger.history) == before:
            return said if isinstance(said, str) else ""
        count = f"{said} captions, " if isinstance(said, int) and not isinstance(said, bool) else ""
        return f"{count}saved {datetime.now():%H:%M:%S}{self._kept()}"

    def _kept(self) -> str:
        """Have the change copied; what is to be said if that cannot be done."""
        try:
            self.kept()
        except Exception as error:
            return f" here, but not kept elsewhere: {error}"
        return ""

    def _deeds(self, message: dict[str, Any]) -> dict[str, Callable[[], Any]]:
        """Name of each deed → the function that does it with what the message holds."""
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
        """Decide on one image; if it is the one shown, go on to the next that nobody has decided on."""
        decide()
        if name == self.review.current:
            self.review.next_pending()

    def _pictures(self, message: dict[str, Any]) -> None:
        """Send pictures as JPEG, small or large; one that cannot be read is sent empty."""
        names = [name for name in message["names"] if name in self.review.rows]
        side = PICTURE if message["large"] else THUMBNAIL
        self.send({"pictures": names, "large": message["large"]}, buffers=[self._jpeg(name, side) for name in names])

    def _jpeg(self, name: str, side: int) -> bytes:
        try:
            return jpeg(self.folder / name, side)
        except (OSError, SyntaxError, ValueError):  # what Pillow raises for a damaged file
            return b""

    def _strip(self, message: dict[str, Any]) -> None:
        """Send the marks of a part of the strip, which was scrolled there."""
        self.send(self._marks(message["from"], min(message["to"], message["from"] + 4 * AROUND)))

    def _marks(self, start: int, end: int) -> dict[str, Any]:
        """From a place of the images shown to another: file name, status, how much is doubtful; and the first place."""
        review, first = self.review, max(start, 0)
        marks = [
            [name, review.rows[name].status, len(review.findings.get(name, ())) + bool(review.rows[name].flags)]
            for name in review.shown[first : max(end, 0)]
        ]
        return {"first": first, "marks": marks}

    def _count(self, message: dict[str, Any]) -> None:
        """Send what is known of a text while it is being written: its tokens, what is cut off, what changed."""
        checks, row, text = self.review.checks, self.review.rows.get(message["name"]), message["text"]
        said = {"tokens": checks.count(text), "lost": checks.lost(text)}
        self.send({"count": said, "pieces": marked(row.machine_text if row else "", text), "name": message["name"]})

    def _find(self, message: dict[str, Any]) -> None:
        """Send a preview of replacing: the first dozen captions that would change, and how many there are."""
        try:
            texts = self.review.found(message["find"], message["into"], message["regex"])
            rows = self.review.rows
            shown = [{"name": n, "pieces": marked(rows[n].text, text)} for n, text in list(texts.items())[:12]]
            self.send({"found": shown, "total": len(texts), "error": ""})
        except LedgerError as error:
            self.send({"found": [], "total": 0, "error": str(error)})

    def _view(self) -> dict[str, Any]:
        """Everything that the studio shows, as `studio.js` reads it."""
        review = self.review
        undo, redo = review.stacked()
        at = review.shown.index(review.current) if review.current in review.shown else 0
        self.answers += 1  # so that every message gets an answer, even if nothing else has changed
        return {
            "answers": self.answers,
            "failed": self.failed,
            **self._marks(at - AROUND, at + AROUND + 1),
            "shown": len(review.shown),
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
