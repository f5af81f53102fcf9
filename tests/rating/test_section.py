"""The report's section on people: there where people answered, and text stays text."""

from pathlib import Path

import pandas as pd
import pytest

from caplora.rating.answers import append, rater_file, written
from caplora.rating.design import pairs_of
from caplora.rating.opinions import read_opinions
from caplora.rating.seat import Seat
from caplora.rating.sentences import people_said
from caplora.rating.simulated import SimulatedRater
from caplora.sampling.samples import read_samples
from caplora.study.study import Study
from tests.rating.small import PAYLOAD, small_study
from tests.report.test_report import Page, effects, page_of

SECTION = "Do people see it?"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small_study(tmp_path)


def page(study: Study) -> str:
    return page_of(study, effects({"r4_a8": 0.1}))


def test_without_answers_the_report_has_no_section_on_people(study: Study) -> None:
    assert SECTION not in page(study)


def test_answers_of_people_have_a_section_in_which_names_are_text(study: Study) -> None:
    pairs = pairs_of({arm: read_samples(study.samples(arm)) for arm in ("baseline", "r4_a8")})
    seat = Seat(study, pairs, ["words", "person"], PAYLOAD)
    for at in range(len(seat.steps)):
        order, question = seat.steps[at]
        seat.answer(at, seat.comparisons[order].expected(question) or "right", 1.0)
    said = page(study)
    assert SECTION in said and "one rater cannot tell r4_a8 from the baseline" in said
    assert PAYLOAD in said and "This is what one rater prefers" in said
    html = Page(study.report.read_text(encoding="utf-8"))
    assert not any(tag == "img" and "onerror" in attributes for tag, attributes in html.tags)


def test_a_rater_who_skipped_all_is_in_the_table_without_shares(study: Study) -> None:
    pairs = pairs_of({arm: read_samples(study.samples(arm)) for arm in ("baseline", "r4_a8")})
    for name, answer in (("Mina", "right"), ("Ben", "skipped")):
        seat = Seat(study, pairs, ["words"], name)
        for at in range(len(seat.steps)):
            expected = seat.comparisons[seat.steps[at][0]].expected("words")
            seat.answer(at, answer if answer == "skipped" else expected or answer, 1.0)
    said = page(study)
    assert "Ben" in said and "nan %" not in said


def test_raters_who_are_all_left_out_are_named_where_nothing_else_can_be_said(study: Study) -> None:
    pairs = pairs_of({arm: read_samples(study.samples(arm)) for arm in ("baseline", "r4_a8")})
    seat = Seat(study, pairs, ["words", "person"], "Mina")
    for at in range(len(seat.steps)):
        seat.answer(at, "equal", 1.0)
    said = people_said(study, read_opinions(study, pd.DataFrame()))
    assert said.startswith("Mina was left out: of 3 pictures drawn for other words, 0 were found")


def test_answers_of_a_simulated_rater_are_never_shown_as_peoples(study: Study) -> None:
    pairs = pairs_of({arm: read_samples(study.samples(arm)) for arm in ("baseline", "r4_a8")})
    cells = {(s.variant, s.prompt, s.seed): 1.0 for pair in pairs for s in pair}
    rater = SimulatedRater("machine", {"words": cells, "person": cells})
    append(rater_file(study, "machine"), [written(answer) for answer in rater.answers(pairs)])
    assert SECTION not in page(study)
