"""Two works that leave a file, for the test of the driver itself: one writes it as nobody should, the other whole."""

from pathlib import Path

from caplora.study.files import write_text
from tests.kills.people import Say
from tests.kills.stages import Stage

ROWS = "name,value\n" + "a,1\n" * 5000  # more than goes to the disk in one go


def careless(folder: Path, say: Say) -> None:
    """Write a table where there is none; a part of one is taken for all of it."""
    path = folder / "runs" / "table.csv"
    path.parent.mkdir(exist_ok=True)
    if not path.is_file():
        path.write_text(ROWS, encoding="utf-8")


def careful(folder: Path, say: Say) -> None:
    """The same, whole or not at all."""
    path = folder / "runs" / "table.csv"
    if not path.is_file():
        write_text(path, ROWS)


def boastful(folder: Path, say: Say) -> None:
    """Say that a change is saved before it is."""
    path = folder / "runs" / "table.csv"
    say(1)
    write_text(path, ROWS)


WORKS = {"careless": careless, "careful": careful, "boastful": boastful}


def kept(folder: Path, said: int) -> list[str]:
    """What is wrong where something was said to be saved that is not."""
    return ["said, and not saved"] if said and not (folder / "runs" / "table.csv").is_file() else []


TRIALS = {name: Stage(work, "", wrong=kept) for name, work in WORKS.items()}
