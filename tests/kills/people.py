"""A reviewer in the studio and a rater in the widget, spoken to as their front ends do: no pause between two deeds.

Each says how far it is once the widget has said that the deed is saved, and goes on where an earlier one was killed.
"""

from collections.abc import Callable
from pathlib import Path

from caplora.captions.ledger import Row
from caplora.captions.open_ledger import Ledger
from caplora.notebooks.people import People
from caplora.rating.answers import read_answers
from caplora.review.checks import Checks
from caplora.review.studio import Studio
from caplora.study.study import Study, read_study
from tests.kills.tiny_study import NAME

MISTAKEN = "by mistake"  # why an image is rejected whose rejection is taken back
RATER, ANSWERS = "Mina", ("left", "right", "equal")
Say = Callable[[int], None]

CHECKS = Checks(
    count=lambda text: len(text.split()), lost=lambda text: "", lint=lambda captions: [], doubt=lambda findings: {},
    agreement={}, limit=75,
)  # fmt: skip


def study_in(folder: Path) -> Study:
    """The tiny study in a folder."""
    return read_study(str(folder / f"{NAME}.yaml"))


def review(folder: Path, say: Say) -> None:
    """Decide on every image, one of three by way of a rejection that is taken back, then replace a word in all."""
    studio = Studio(study_in(folder).dataset, CHECKS, "mina")

    def do(what: str, **more: object) -> None:
        studio._received(studio, {"do": what, **more}, [])
        if studio.failed:
            raise RuntimeError(studio.saved)
        say(len(studio.review.ledger.history))

    for number, name in enumerate(sorted(studio.review.rows)):
        row = studio.review.rows[name]
        if number % 3 == 2 and row.status == "pending":
            do("reject", name=name, value=MISTAKEN)
            row = studio.review.rows[name]
        if row.reason == MISTAKEN:
            do("undo")
        if studio.review.rows[name].status == "pending":
            text = row.text if number % 2 else f"{row.text}, number {number}"
            do("reject", name=name, value="twice") if number == 0 else do("keep", name=name, text=text, seen=row.text)
    do("replace", find="woman", into="lady")


def rate(folder: Path, say: Say) -> None:
    """Answer every question, taking every fifth answer back once."""
    widget = People(study_in(folder), ["baseline", "r2_a2"]).rate(rater=RATER)
    assert widget.seat
    for at in range(widget.seat.done, len(widget.seat.steps)):
        for again in range(2 if at % 5 == 4 else 1):
            if again:
                widget._received(widget, {"do": "undo"}, [])
            widget._received(widget, {"do": "answer", "at": at, "answer": ANSWERS[at % 3], "seconds": 1.0}, [])
            if widget.failed:
                raise RuntimeError(widget.said)
            say(widget.seat.done)


def changes_kept(folder: Path, said: int) -> list[str]:
    """What is wrong with the ledger after a fault; `said` changes were said to be saved."""
    ledger = Ledger(study_in(folder).dataset)
    kept = len(ledger.history)
    return [f"{said} changes were said to be saved, and {kept} are kept"] if kept < said else []


def answers_kept(folder: Path, said: int) -> list[str]:
    """What is wrong with the answers after a fault; `said` were said to be saved, the last of them may be undone."""
    answers = read_answers(study_in(folder))
    kept = len(answers)
    wrong = [f"{said} answers were said to be saved, and {kept} are kept"] if kept < said - (said % 5 == 0) else []
    right = answers["answer"].tolist() == [ANSWERS[at % 3] for at in range(kept)]
    return wrong if right else [*wrong, "an answer is another than the one given"]


def decided(folder: Path) -> list[Row]:
    """The rows of the ledger as they are at the end."""
    return list(Ledger(study_in(folder).dataset).rows.values())


def answered(folder: Path) -> list[tuple[object, ...]]:
    """The answers as they are at the end, without the time."""
    table = read_answers(study_in(folder))
    return [tuple(row) for row in table.drop(columns="time").itertuples(index=False)]
