"""What the end of notebook 04 and the command `rate` hold: a blind comparison of the pictures, by people."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from caplora.captions import held_out, read_ledger
from caplora.choosing import read_choice
from caplora.rating import (
    Pair,
    RatingError,
    RatingWidget,
    answers_said,
    design_sentence,
    page_path,
    pairs_of,
    take_answers,
    write_page,
)
from caplora.sampling import TABLE, Sample, read_samples
from caplora.study import BASELINE, Study, read_study


class People:
    """The pictures of a study that people compare: of the baseline and the variant chosen, or of the arms named."""

    def __init__(self, study: Study, arms: Sequence[str] = ()) -> None:
        self.study = study
        self.arms = list(dict.fromkeys(arms)) or [BASELINE, *self._chosen()]

    @classmethod
    def open(cls, study: str, compare: str = "") -> "People":
        """Of a study by its name or file; `compare` names other arms: "r4_a8+r16_a16", three or more for an order."""
        return cls(read_study(study), [arm.strip() for arm in compare.split("+") if arm.strip()])

    def _chosen(self) -> list[str]:
        drawn = read_choice(self.study)
        return drawn.loc[drawn["chosen"].astype(bool), "variant"].tolist()

    @cached_property
    def samples(self) -> Mapping[str, Sequence[Sample]]:
        """The samples of each arm; raises RatingError naming an arm without any."""
        lacking = [arm for arm in self.arms if not (self.study.samples(arm) / TABLE).is_file()]
        if lacking:
            there = sorted(path.parent.name for path in self.study.run.glob(f"samples/*/{TABLE}"))
            raise RatingError(f"{lacking[0]} has drawn nothing that people could compare: there are {', '.join(there)}")
        return {arm: read_samples(self.study.samples(arm)) for arm in self.arms}

    @cached_property
    def pairs(self) -> list[Pair]:
        """The pairs that every rater sees; raises RatingError as `pairs_of` does."""
        return pairs_of(self.samples)

    @property
    def portraits(self) -> list[Path]:
        """Held-out pictures of the person."""
        return [self.study.dataset / row.file_name for row in held_out(read_ledger(self.study.dataset))]

    def said(self, answers: str = "") -> str:
        """What was answered so far and what a comparison can show; `answers` is a file or folder to take in before."""
        try:
            taken = [take_answers(self.study, self.pairs, path) for path in files_at(answers)]
            design = f"{' against '.join(self.arms)}: {design_sentence(self.pairs)}"
        except RatingError as error:
            if answers:
                raise
            design = f"nothing to compare yet: {error}"
        else:
            return "\n".join([*taken, answers_said(self.study), design])
        return "\n".join([answers_said(self.study), design])

    def rate(self, kept: Callable[[], object] = lambda: None, rater: str = "") -> RatingWidget:
        """The comparison as a widget; the page for raters without Jupyter is written too."""
        self.page()
        return RatingWidget(self.study, self.pairs, self.portraits, rater, kept)

    def page(self) -> Path:
        """Write `rating.html`; where it is."""
        write_page(self.study, self.pairs, self.portraits)
        return page_path(self.study)


def files_at(answers: str) -> list[Path]:
    """A file, or those of a folder whose names end in .jsonl; none for no name. Raises RatingError where none is."""
    path = Path(answers).expanduser()
    if not answers:
        return []
    found = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not found or not found[0].is_file():
        raise RatingError(f"there are no answers in {path}: give the .jsonl file that rating.html downloaded")
    return found
