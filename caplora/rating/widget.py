"""The comparison as a widget for JupyterLab and Colab: two pictures, some words, two questions, answered by keyboard.

`rating.js` draws what `view` says and sends back what the rater does; the page without a kernel uses it too. It knows
pictures by their hashes and is never told an arm. The next pair is shown once the answer to the last is on disk.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from caplora.rating.design import QUESTIONS, Pair, picture_id
from caplora.rating.power import design_sentence
from caplora.rating.seat import Seat
from caplora.review import jpeg, script_of
from caplora.study import Study

HERE = Path(__file__).resolve().parent
SIDE, PORTRAIT = 640, 160  # pixels
PORTRAITS = 8


class RatingWidget(anywidget.AnyWidget):
    """The comparison of `pairs`; `view` is what it shows. `rater` sits down at once where a name is given.

    Without `portraits`, held-out pictures of the person, nobody is asked for likeness. `kept` is called after each
    answer, to copy it elsewhere.
    """

    _esm = script_of(HERE / "rating.js")
    _css = HERE / "rating.css"
    view = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        study: Study,
        pairs: Sequence[Pair],
        portraits: Sequence[Path] = (),
        rater: str = "",
        kept: Callable[[], object] = lambda: None,
    ) -> None:
        self.study, self.pairs, self.kept = study, pairs, kept
        self.questions = asked(portraits)
        self.design = design_sentence(pairs, len(self.questions))
        self.files = picture_files(pairs)
        self.portraits = dict(zip(map("portrait {}".format, range(PORTRAITS)), portraits, strict=False))
        self.seat: Seat | None = None
        self.said, self.failed, self.answers = "", False, 0
        super().__init__(view=self._view())
        if rater:
            self._received(self, {"do": "begin", "rater": rater}, [])
        self.on_msg(self._received)

    def _received(self, _: Any, message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        """Do what a message asks. An error is shown in the widget, because nobody sees one raised in a callback."""
        deeds = {"begin": self._begin, "answer": self._answer, "undo": self._undo, "leave": self._leave}
        deeds["pictures"] = self._pictures
        try:
            deeds[message["do"]](message)
            self.failed = False
        except Exception as error:
            self.failed, self.said = True, f"not done: {error}"
        if message["do"] != "pictures":
            self.view = self._view()

    def _begin(self, message: dict[str, Any]) -> None:
        self.seat = Seat(self.study, self.pairs, list(self.questions), message["rater"])
        self.said = f"{self.seat.done} answers are on disk" if self.seat.done else ""

    def _answer(self, message: dict[str, Any]) -> None:
        if self.seat:
            self.seat.answer(message["at"], message["answer"], message["seconds"])
            self.said = f"saved {datetime.now():%H:%M:%S}{self._kept()}"

    def _undo(self, message: dict[str, Any]) -> None:
        if self.seat:
            self.seat.undo()
            self.said = f"taken back {datetime.now():%H:%M:%S}{self._kept()}"

    def _leave(self, message: dict[str, Any]) -> None:
        """Let another rater sit down."""
        if self.seat:
            self.seat.leave()
        self.seat, self.said = None, ""

    def _kept(self) -> str:
        """Have the answers copied; what is to be said if that cannot be done."""
        try:
            self.kept()
        except Exception as error:
            return f" here, but not kept elsewhere: {error}"
        return ""

    def _pictures(self, message: dict[str, Any]) -> None:
        """Send pictures as JPEG, which says nothing of how it was drawn; one that cannot be read is sent empty."""
        names = [name for name in message["names"] if name in self.files or name in self.portraits]
        self.send({"pictures": names}, buffers=[self._jpeg(name) for name in names])

    def _jpeg(self, name: str) -> bytes:
        with suppress(OSError, SyntaxError, ValueError):  # what Pillow raises for a damaged file
            return jpeg(self.portraits[name], PORTRAIT) if name in self.portraits else jpeg(self.files[name], SIDE)
        return b""

    def _view(self) -> dict[str, Any]:
        """Everything that the widget shows, as `rating.js` reads it."""
        self.answers += 1  # so that every message gets an answer, even if nothing else has changed
        seat = self.seat
        return {
            "answers": self.answers,
            "rater": seat.rater if seat else "",
            "questions": list(self.questions.items()),
            "design": self.design,
            "steps": seat.shown() if seat else [],
            "done": seat.done if seat else 0,
            "portraits": list(self.portraits),
            "said": self.said,
            "failed": self.failed,
            "where": f"Your answers are in {seat.path.relative_to(self.study.path(''))}." if seat else "",
            "download": False,
        }


def asked(portraits: Sequence[Path]) -> dict[str, str]:
    """The questions by name; nobody can be asked for the likeness of a person who is not shown."""
    return {name: said for name, said in QUESTIONS.items() if name != "person" or portraits}


def picture_files(pairs: Sequence[Pair]) -> dict[str, Path]:
    """What a picture is called in a comparison → its file."""
    return {picture_id(sample): sample.path for pair in pairs for sample in pair}
