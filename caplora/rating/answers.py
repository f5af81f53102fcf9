"""What raters answered ↔ `datasets/<study>/ratings/<rater>.jsonl`: a line an answer, on disk before anything follows.

Nothing is ever removed from a file: taking an answer back is a line too. A line that a crash has torn says nothing, and
the next begins behind it.
"""

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from caplora.rating.design import QUESTIONS, Comparison, RatingError
from caplora.study import Study, disk_errors_name, synced

ANSWERS = ("left", "right", "equal", "skipped")
Line = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One answer to one question about two pictures."""

    rater: str
    time: str  # UTC
    plan: str  # `plan_id` of what the rater was shown
    order: int  # place in it, from 0
    question: str  # of QUESTIONS
    answer: str  # of ANSWERS
    seconds: float  # that it took
    kind: str
    split: str
    prompt: str
    seed: int
    left: str  # arm
    right: str
    left_picture: str
    right_picture: str
    expected: str  # what a careful rater answers; empty where nobody knows
    simulated: bool = False  # by no person


COLUMNS = tuple(f.name for f in fields(Answer))


def answer_to(comparison: Comparison, said: Line, simulated: bool = False) -> Answer:
    """The answer that a line of a front end means: it has rater, time, plan, order, question, answer and seconds.

    Raises RatingError for what nobody could have answered.
    """
    question, answer = said["question"], said["answer"]
    if question not in QUESTIONS or answer not in ANSWERS or not _is_number(said["seconds"]):
        raise RatingError(
            f"an answer is one of {', '.join(ANSWERS)} to {' or '.join(QUESTIONS)}, after so many seconds, got {said}"
        )
    left, right = comparison.left, comparison.right
    return Answer(
        rater_name(said["rater"]), str(said["time"]), str(said["plan"]), int(said["order"]), question, answer,
        round(float(said["seconds"]), 2), comparison.kind, left.split, comparison.prompt, left.seed,
        left.variant, right.variant, *comparison.pictures, comparison.expected(question), simulated,
    )  # fmt: skip


def now() -> str:
    """The time as answers have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def rater_name(name: str) -> str:
    """A rater's name without what surrounds it; raises RatingError for an empty one."""
    if not (stripped := " ".join(unicodedata.normalize("NFC", str(name)).split())[:60].strip()):
        raise RatingError("a rater needs a name, any that tells the raters apart: a first name or a letter")
    return stripped


def ratings_folder(study: Study) -> Path:
    """Where the answers lie: with the captions, for a person gave them, and not under runs/."""
    return study.dataset / "ratings"


def rater_file(study: Study, rater: str) -> Path:
    """The file of one rater."""
    safe = re.sub(r"[^\w.-]", "_", rater_name(rater)).strip(".").encode()[:200].decode(errors="ignore")
    return ratings_folder(study) / f"{safe or '_'}.jsonl"


def append(path: Path, lines: Iterable[Line]) -> None:
    """Write lines behind what is there; the disk has them when this returns."""
    with disk_errors_name(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = path.is_file() and (old := path.read_bytes()) and not old.endswith(b"\n")
        with open(path, "a", encoding="utf-8", newline="") as file:
            file.write(("\n" if torn else "") + "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        synced(path.parent)


def written(answer: Answer) -> Line:
    """The line of an answer."""
    return {key: value for key, value in asdict(answer).items() if key != "simulated" or value}


def undo_line(answer: Answer) -> Line:
    """The line that takes an answer back."""
    return {"rater": answer.rater, "time": now(), "plan": answer.plan, "order": answer.order, "undo": answer.question}


def read_lines(path: Path) -> list[Line]:
    """The lines of a file; those that a crash has torn are left out."""
    if not path.is_file():
        return []
    found = []
    with disk_errors_name(path, "read"):
        text = path.read_text(encoding="utf-8", errors="replace")
    for line in text.split("\n"):
        try:
            read = json.loads(line)
        except (ValueError, RecursionError):
            continue
        found += [read] if _is_line(read) else []
    return found


def _is_line(read: Any) -> bool:
    """Whether what JSON holds may be a line: texts and numbers by their names, and no half of a character."""
    if not isinstance(read, dict) or not all(isinstance(value, str | int | float) for value in read.values()):
        return False
    try:
        "".join([*read, *(value for value in read.values() if isinstance(value, str))]).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 2**63  # NaN is not


def is_answer(line: Line) -> bool:
    """Whether a line has all that an answer needs, of its kind; any other says nothing, like a torn one."""
    kinds = {str: str, int: int, float: int | float}
    if not all(isinstance(line.get(f.name), kinds[f.type]) for f in fields(Answer) if f.type in kinds):
        return False
    numbers = [line[name] for name in ("order", "seconds", "seed")]
    return line["question"] in QUESTIONS and line["answer"] in ANSWERS and all(map(_is_number, numbers))


def standing(lines: Sequence[Line]) -> list[Line]:
    """The answers that were not taken back, in the order in which they were given."""
    kept: dict[tuple[Any, ...], Line] = {}
    for line in lines:
        place = (line.get("rater"), line.get("plan"), line.get("order"), line.get("question", line.get("undo")))
        kept.pop(place, None)
        if "undo" not in line:
            kept[place] = line
    return list(kept.values())


def answers_said(study: Study) -> str:
    """How many answers there are and by whom, in a sentence."""
    answers = read_answers(study)
    if answers.empty:
        return "nobody has compared pictures yet"
    by = ", ".join(f"{rater} {count}" for rater, count in answers["rater"].value_counts(sort=False).items())
    return f"answers so far: {by}; they are in {ratings_folder(study)}"


def read_answers(study: Study, simulated: bool = False) -> pd.DataFrame:
    """The answers of all raters to a study that were not taken back: a row each, `COLUMNS`.

    What a simulated rater answered is nobody's opinion and is left out, or is all that is returned.
    """
    files = sorted(ratings_folder(study).glob("*.jsonl"))
    lines = [line for path in files for line in standing(read_lines(path)) if is_answer(line)]
    table = pd.DataFrame([{"simulated": False} | line for line in lines], columns=list(COLUMNS))
    return table[table["simulated"].astype(bool) == simulated].reset_index(drop=True)
