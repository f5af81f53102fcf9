"""The page without a kernel in a real browser: blind, kept at once, downloaded, taken in once."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from caplora.notebooks.people import People
from caplora.rating.answers import read_answers
from caplora.rating.design import RatingError, plan_id
from caplora.rating.page import page_plans, take_answers
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


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")
def test_a_page_that_is_open_twice_loses_no_answer(study: Study) -> None:
    path = People(study).page()
    with browser_page() as page:
        page.goto(path.as_uri())
        with page.expect_popup() as another:
            page.evaluate("window.open(location.href)")
        tabs = [page, another.value]
        for tab in tabs:
            tab.locator(".caplora-rate input").fill("Ben")
            tab.keyboard.press("Enter")
            expect(tab.locator(".caplora-rate")).to_have_attribute("data-ready", "true")
        first, second = (tab.locator(".caplora-rate") for tab in tabs)
        press(first, "ArrowLeft")
        press(first, "ArrowRight")
        second.page.keyboard.press("=")
        expect(second.locator(".rate-said")).to_contain_text("open twice")
        expect(second).to_have_attribute("data-done", "2")
        press(second, "=")
        kept = second.page.evaluate("Object.values(localStorage)[0]").split("\n")
    assert [json.loads(line)["answer"] for line in kept] == ["left", "right", "equal"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")
def test_a_double_click_answers_once_and_a_click_beside_leaves_the_keys(study: Study) -> None:
    path = People(study).page()
    with browser_page() as page:
        page.goto(path.as_uri())
        rate = page.locator(".caplora-rate")
        page.locator(".caplora-rate input").fill("Ben")
        page.keyboard.press("Enter")
        expect(rate).to_have_attribute("data-ready", "true")
        rate.locator(".rate-pair img").first.dblclick()
        expect(rate).to_have_attribute("data-done", "1")
        page.locator(".rate-foot").click()
        press(rate, "=")
        expect(rate).to_have_attribute("data-done", "2")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")
def test_a_picture_that_cannot_be_shown_is_said_and_passed_over(study: Study) -> None:
    path = People(study).page()
    page_text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"base64,/9j/[^\"]+", "base64,AAAA", page_text), encoding="utf-8")
    with browser_page() as page:
        page.goto(path.as_uri())
        rate = page.locator(".caplora-rate")
        page.locator(".caplora-rate input").fill("Ben")
        page.keyboard.press("Enter")
        for done in (0, 1):  # both questions about the first pair
            expect(rate.locator(".rate-said")).to_contain_text("cannot be shown")
            page.keyboard.press("ArrowLeft")
            expect(rate).to_have_attribute("data-done", str(done))
            page.keyboard.press("n")
            expect(rate).to_have_attribute("data-done", str(done + 1))


def line_of(people: People, **more: object) -> dict[str, object]:
    """An answer as the page writes it."""
    own = {"rater": "Kim", "time": "2026-01-01T00:00:00Z", "plan": plan_id(page_plans(people.pairs)[3]), "order": 0}
    return own | {"question": "words", "answer": "left", "seconds": 1} | more


def sent(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_two_raters_of_one_name_are_told_apart_before_anything_is_taken(study: Study, tmp_path: Path) -> None:
    people = People(study)
    first = line_of(people)
    people.said(str(sent(tmp_path / "kim.jsonl", first)))
    later = [line_of(people, time="2026-01-02T00:00:00Z", order=order) for order in (0, 1)]
    with pytest.raises(RatingError, match=r'Kim has answered 1 of these.*"rater": "Kim 2"'):
        people.said(str(sent(tmp_path / "other.jsonl", *later)))
    assert read_answers(study)["time"].tolist() == [first["time"]]
    people.said(str(sent(tmp_path / "other.jsonl", *({**line, "rater": "Kim 2"} for line in later))))
    assert read_answers(study)["rater"].tolist() == ["Kim", "Kim 2", "Kim 2"]


def test_an_answer_that_its_rater_changed_meanwhile_takes_the_place_of_the_first(study: Study, tmp_path: Path) -> None:
    people = People(study)
    first = line_of(people)
    people.said(str(sent(tmp_path / "kim.jsonl", first)))
    undone = {key: first[key] for key in ("rater", "time", "plan", "order")} | {"undo": "words"}
    changed = line_of(people, time="2026-01-02T00:00:00Z", answer="right")
    assert people.said(str(sent(tmp_path / "kim.jsonl", first, undone, changed))).startswith("1 answer of Kim taken")
    assert read_answers(study)["answer"].tolist() == ["right"]


def test_lines_of_a_strangers_file_that_are_no_answers_are_passed_over(study: Study, tmp_path: Path) -> None:
    people = People(study)
    strange = [line_of(people, **{key: value}) for key in ("rater", "plan", "order", "question", "seconds")
               for value in ([1], None, {"a": 1})]  # fmt: skip
    assert people.said(str(sent(tmp_path / "kim.jsonl", *strange, line_of(people)))).startswith("1 answer of Kim taken")


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


@pytest.mark.parametrize(
    "wrong", [{"answer": "both"}, {"seconds": "soon"}, {"seconds": 10**400}, {"rater": " "}], ids=str
)
def test_a_line_that_nobody_can_have_answered_is_refused_by_the_name_of_its_file(
    wrong: dict[str, object], study: Study, tmp_path: Path
) -> None:
    people = People(study)
    with pytest.raises(RatingError, match=r"kim\.jsonl: (an answer is|a rater needs)"):
        people.said(str(sent(tmp_path / "kim.jsonl", line_of(people, **wrong))))
    assert len(read_answers(study)) == 0
