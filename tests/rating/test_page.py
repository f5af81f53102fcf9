"""The page without a kernel in a real browser: blind, kept at once, downloaded, taken in once."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from caplora.notebooks.people import People
from caplora.rating.answers import read_answers
from caplora.rating.design import RatingError
from caplora.rating.page import take_answers
from caplora.study.study import Study
from tests.lab import CHROMIUM, SHOTS, browser_page
from tests.rating.small import small_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return small_study(tmp_path)


def press(rate: Locator, key: str) -> None:
    before = int(rate.get_attribute("data-done") or 0)
    expect(rate).to_have_attribute("data-ready", "true")
    rate.page.keyboard.press(key)
    expect(rate).to_have_attribute("data-done", str(before + (-1 if key == "u" else 1)))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")
def test_answers_outlive_the_page_and_are_taken_in_once(study: Study, tmp_path: Path) -> None:
    people = People(study)
    path = people.page()
    with browser_page() as page:
        page.goto(path.as_uri())
        rate = page.locator(".caplora-rate")
        page.locator(".caplora-rate input").fill("Ben <b>")
        page.keyboard.press("Enter")
        for key in ("ArrowLeft", "ArrowRight", "=", "u", "n", "ArrowRight"):
            press(rate, key)
        page.reload()
        page.locator(".caplora-rate input").fill("Ben <b>")
        page.keyboard.press("Enter")
        expect(rate).to_have_attribute("data-done", "4")
        expect(rate.locator(".rate-said")).to_contain_text("4 answers were kept")
        expect(rate).to_have_attribute("data-ready", "true")
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / "rate_page.png")
        with page.expect_download() as download:
            rate.get_by_role("button", name="Download your answers").click()
        file = tmp_path / download.value.suggested_filename
        download.value.save_as(file)
        assert page.evaluate("window.ran") is None
    assert re.match(r"lab_Ben.*\.jsonl", file.name)
    assert people.said(str(file)).startswith("4 answers of Ben <b> taken, 0 were there")
    given = read_answers(study)
    assert given["answer"].tolist() == ["left", "right", "skipped", "right"]
    assert set(given["left"]) | set(given["right"]) == {"baseline", "r4_a8"}
    assert "0 answers of Ben <b> taken, 4 were there" in people.said(str(file))
    assert read_answers(study).equals(given)


def test_nothing_in_the_page_names_an_arm_or_how_a_picture_was_drawn(study: Study) -> None:
    page = People(study).page().read_text(encoding="utf-8")
    assert not re.search(r"baseline|r4_a8|r8_a8|caplora arm|iTXt|shuffled", page)
    assert not re.search(r"""src=["']https?:|<link|@import|url\(""", page)
    assert page.count("</script>") == 2  # a prompt holds one, as text


def test_answers_about_other_pictures_are_refused_and_so_is_a_file_without_any(study: Study, tmp_path: Path) -> None:
    people = People(study)
    line = {"rater": "Ben", "time": "now", "plan": "0" * 12, "order": 0, "question": "words", "answer": "left"}
    (tmp_path / "strange.jsonl").write_text(json.dumps(line | {"seconds": 1}) + "\n", encoding="utf-8")
    with pytest.raises(RatingError, match="1 of 1 answers are about other pictures"):
        take_answers(study, people.pairs, tmp_path / "strange.jsonl")
    with pytest.raises(RatingError, match="holds no answers"):
        take_answers(study, people.pairs, tmp_path / "lab.yaml")
    with pytest.raises(RatingError, match="there are no answers in"):
        people.said(str(tmp_path / "nowhere.jsonl"))
    assert read_answers(study).empty
