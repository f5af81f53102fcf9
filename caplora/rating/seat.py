"""One rater at work: what is shown next, and every answer on disk before the next picture."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from caplora.rating.answers import (
    Answer,
    Line,
    answer_to,
    append,
    is_answer,
    now,
    rater_file,
    rater_name,
    read_lines,
    standing,
    undo_line,
    written,
)
from caplora.rating.design import Pair, RatingError, plan, plan_id
from caplora.study import Study, only_writer


class Seat:
    """The place of one rater, which goes on where the file of answers ends.

    It holds the file until it is left, or until the same rater sits down again in this kernel. Raises BusyError where
    another process holds it.
    """

    taken: ClassVar[dict[Path, "Seat"]] = {}

    def __init__(self, study: Study, pairs: Sequence[Pair], questions: Sequence[str], rater: str) -> None:
        self.rater, self.questions = rater_name(rater), tuple(questions)
        self.comparisons = plan(pairs, self.rater)
        self.plan, self.path, self._held = plan_id(self.comparisons), rater_file(study, self.rater), ExitStack()
        if earlier := self.taken.pop(self.path, None):
            earlier.leave()
        self._held.enter_context(only_writer(self.path))
        self.taken[self.path] = self
        own = [line for line in standing(read_lines(self.path)) if is_answer(line) and line["rater"] == self.rater]
        self.answers = self._so_far(own)

    def _so_far(self, own: Sequence[Line]) -> list[Answer]:
        """The answers to this plan, as far as they go without a gap."""
        found = {(line["order"], line["question"]): line for line in own if line["plan"] == self.plan}
        kept: list[Answer] = []
        for step in self.steps:
            if step not in found:
                break
            kept.append(answer_to(self.comparisons[step[0]], found[step]))
        return kept

    @property
    def steps(self) -> list[tuple[int, str]]:
        """Every (place, question) that is asked, in order."""
        return [(order, question) for order in range(len(self.comparisons)) for question in self.questions]

    @property
    def done(self) -> int:
        """How many steps are answered."""
        return len(self.answers)

    def answer(self, at: int, answer: str, seconds: float) -> None:
        """Keep the answer to step `at`; it is on disk when this returns.

        One to another step than the next is late, or came twice, and is left out. Raises RatingError once the seat was
        left.
        """
        self._check_held()
        if at != self.done or at >= len(self.steps):
            return
        order, question = self.steps[at]
        said = {
            "rater": self.rater, "time": now(), "plan": self.plan, "order": order, "question": question,
            "answer": answer, "seconds": seconds,
        }  # fmt: skip
        kept = answer_to(self.comparisons[order], said)
        append(self.path, [written(kept)])
        self.answers.append(kept)

    def undo(self) -> None:
        """Take the last answer back, if there is one."""
        self._check_held()
        if self.answers:
            append(self.path, [undo_line(self.answers[-1])])
            self.answers.pop()

    def leave(self) -> None:
        """Let others hold the file."""
        self._held.close()
        self._left = True

    def _check_held(self) -> None:
        if vars(self).get("_left"):
            raise RatingError("this comparison was opened again: go on there")

    def shown(self) -> list[dict[str, Any]]:
        """What is shown of each comparison: its words and what its pictures are called, and no arm."""
        return [{"prompt": c.prompt, "left": c.pictures[0], "right": c.pictures[1]} for c in self.comparisons]
