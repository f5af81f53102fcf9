"""Whatever people, files and libraries write is text in every page: in a browser no script runs, no request leaves."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from caplora.figures.galleries import labelled_grid
from caplora.figures.look import save_figure
from caplora.notebooks.people import People
from caplora.playground.playground import Playground
from caplora.playground.shown import Shown
from caplora.publishing.folder import write_folder
from caplora.rating.widget import RatingWidget
from caplora.report.progress import write_progress
from caplora.report.report import write_report
from caplora.review.static_table import html_table
from caplora.review.studio import Studio
from caplora.study.study import Study
from caplora.watching.looking import look
from caplora.watching.page import html
from tests.publishing.small import OTHER, VARIANT, findings, small_facts
from tests.review.test_review import checks
from tests.security.browser import Browser, browser, needs_chromium
from tests.security.hostile import FILE, FORMULA, IMAGE, RATER, SCRIPT, TEX, hostile_study
from tests.tiny import tiny_pipeline

pytestmark = [needs_chromium, pytest.mark.fault(30)]
SEEN = (IMAGE, SCRIPT, TEX, FORMULA)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return hostile_study(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    with browser() as found:
        yield found


def harmless(opened: Browser, *seen: str) -> bool:
    """Whether nothing of the payload ran or was asked for, and a person reads it."""
    assert opened.ran() is None and opened.asked == []
    assert [text for text in seen if " ".join(text.split()) not in opened.text()] == []
    return True


def test_a_page_that_does_run_it_is_noticed() -> None:
    with browser() as found:
        found.show(f"{IMAGE}{SCRIPT}")
        assert found.ran() == 1 and any("evil.invalid" in address for address in found.asked)


def test_the_report(study: Study, opened: Browser) -> None:
    found = findings({VARIANT.name: 0.05, OTHER.name: 0.0}, failed=f"it failed: {IMAGE}{SCRIPT}")
    write_report(study.report, study, [VARIANT, OTHER], found, {})
    opened.open(study.report)
    opened.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert harmless(opened, *SEEN, FILE, RATER)


def test_the_page_of_progress(study: Study, opened: Browser) -> None:
    opened.open(write_progress(study, f"it begins {IMAGE}{SCRIPT}"))
    assert harmless(opened, *SEEN)


def test_the_page_for_raters_and_what_it_shows(study: Study, opened: Browser) -> None:
    opened.open(People(study).page())
    opened.page.locator(".caplora-rate input").fill(RATER)
    opened.page.keyboard.press("Enter")
    for _ in range(40):
        opened.page.wait_for_selector(".caplora-rate[data-ready='true']")
        if IMAGE in opened.text():
            break
        opened.page.keyboard.press("n")
    assert harmless(opened, IMAGE, SCRIPT, RATER)


def test_a_watched_study_in_a_notebook(study: Study, opened: Browser) -> None:
    opened.show(html(look(study)))
    assert harmless(opened, *SEEN)


def test_the_table_of_captions(study: Study, opened: Browser) -> None:
    opened.show(html_table(study.dataset))
    assert harmless(opened, *SEEN)


def test_the_studio(study: Study, opened: Browser) -> None:
    studio = Studio(study.dataset, checks({}), who=RATER)
    studio._received(studio, {"do": "filter", "name": "", "value": f'"{IMAGE[2:12]}'}, [])
    opened.widget(studio._esm, view=studio.view)
    studio.shut("done")
    assert harmless(opened, *SEEN, f"0{FILE}")


def test_the_comparison_in_a_notebook(study: Study, opened: Browser) -> None:
    widget = RatingWidget(study, People(study).pairs, rater=RATER)
    prompts = [step["prompt"] for step in widget.view["steps"]]
    at = next(place for place, prompt in enumerate(prompts) if IMAGE in prompt)
    opened.widget(widget._esm, view=widget.view | {"done": at * len(widget.view["questions"])})
    widget.seat.leave()
    assert harmless(opened, IMAGE, SCRIPT, RATER)


def test_the_model_card_as_markdown_with_html(study: Study, opened: Browser) -> None:
    found = findings({VARIANT.name: 0.05, OTHER.name: 0.0})
    folder = write_folder(small_facts(study, found))
    card = (folder.path / "README.md").read_text(encoding="utf-8")
    data = ModelCard(card).data.to_dict()
    assert data["license"] == "apache-2.0" and "evil" not in json.dumps([*data]) and card.count("\n---\n") == 1
    page = folder.path / "card.html"
    rendered = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(card.split("\n---\n", 1)[1])
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{rendered}", encoding="utf-8")
    opened.open(page)
    opened.asked = [address for address in opened.asked if not _of(folder.path, address)]
    assert harmless(opened, FORMULA, "<img src=", "window.ran=1", r"\input")


def test_the_playground(study: Study, opened: Browser) -> None:
    playground = Playground(study, [VARIANT], tiny_pipeline())
    playground.shown = Shown([[study.run / "none.png"]], [IMAGE], [SCRIPT], TEX)
    playground.said, playground.notes = FORMULA, (SCRIPT,)
    opened.widget(playground._esm, view=playground._view(), progress={})
    assert harmless(opened, *SEEN)


def test_figures_show_it_as_it_is(study: Study, opened: Browser) -> None:
    """Neither TeX nor the end of a comment of SVG is taken for what it is."""
    said = f"{IMAGE} --> {SCRIPT} {TEX}"
    picture = np.zeros((8, 8, 3), np.uint8)
    path = save_figure(labelled_grid([[picture, picture]], [said, said], [said], said), study.figures, "hostile")
    opened.open(path.with_suffix(".svg"))
    assert harmless(opened) and path.stat().st_size > 1000


def _of(folder: Path, address: str) -> bool:
    """Whether an address is a picture of the card's own folder."""
    return address.startswith(f"{folder.as_uri()}/images/")
