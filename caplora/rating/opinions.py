"""What people said of a study's pictures: the answers that count, and every table that is made of them."""

from dataclasses import dataclass, field

import pandas as pd

from caplora.rating.agreement import agreement_table
from caplora.rating.answers import read_answers
from caplora.rating.design import picture_id
from caplora.rating.preferences import alpha_table, counted_answers, preference_table, rater_table, strength_table
from caplora.sampling import TABLE, read_samples
from caplora.study import Study


@dataclass(frozen=True)
class Opinions:
    """What raters prefer, and who agrees with whom; a table that lacks has no rows."""

    raters: pd.DataFrame = field(default_factory=pd.DataFrame)  # `rater_table`
    preferences: pd.DataFrame = field(default_factory=pd.DataFrame)  # `preference_table` of those who count
    alpha: pd.DataFrame = field(default_factory=pd.DataFrame)  # `alpha_table`
    strengths: pd.DataFrame = field(default_factory=pd.DataFrame)  # `strength_table`
    metrics: pd.DataFrame = field(default_factory=pd.DataFrame)  # `agreement_table`
    stale: int = 0  # answers about pictures that are no more

    def __bool__(self) -> bool:
        return len(self.preferences) > 0


def opinions_of(answers: pd.DataFrame, scores: pd.DataFrame, stale: int = 0) -> Opinions:
    """What raters' answers say, beside the scores of the pictures."""
    if answers.empty:
        return Opinions(stale=stale)
    counted = counted_answers(answers)
    tables = (preference_table(counted), alpha_table(counted), strength_table(counted))
    return Opinions(rater_table(answers), *tables, agreement_table(counted, scores) if len(scores) else scores, stale)


def read_opinions(study: Study, scores: pd.DataFrame) -> Opinions:
    """What people said of the pictures that a study has now."""
    answers = read_answers(study)
    if answers.empty:
        return Opinions()
    known = {arm: _pictures(study, arm) for arm in {*answers["left"], *answers["right"]}}
    there = [
        row.left_picture in known[row.left] and row.right_picture in known[row.right] for row in answers.itertuples()
    ]
    return opinions_of(answers[there], scores, len(answers) - sum(there))


def _pictures(study: Study, arm: str) -> set[str]:
    """What the pictures of an arm are called; none of one that is no more."""
    folder = study.samples(arm)
    try:
        there = (folder / TABLE).is_file()
    except OSError:  # no arm has a name longer than a disk takes
        return set()
    return {picture_id(sample) for sample in read_samples(folder)} if there else set()
