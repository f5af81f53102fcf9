"""Notebook 04's comparison in a real JupyterLab and a real browser: by keyboard, and killed in the middle."""

import os
import re
import signal
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from caplora.rating.answers import read_answers
from caplora.study.reading import PROJECT
from caplora.study.study import Study
from tests.lab import CHROMIUM, SHOTS, browser_page, jupyterlab, run_all
from tests.rating.small import small_study

CELLS = ("people-open", "people-rate")
OPEN = ".caplora-rate input"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A small study, and the cells of notebook 04 that open the comparison."""
    notebook = nbformat.read(PROJECT / "notebooks/04_clipscore.ipynb", as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source += f'\nstudy = "{tmp_path / "lab.yaml"}"\ninteractive = True'
    imports = next(cell for cell in notebook.cells if "check_parameters()" in cell.source)
    keeping = next(cell for cell in notebook.cells if "Keeping.open" in cell.source)
    own = [cell for cell in notebook.cells if cell.id in CELLS]
    own[0].source += f'\nimport os\nopen("{tmp_path / "kernel"}", "w").write(str(os.getpid()))'
    notebook.cells = [parameters, imports, keeping, *own]
    nbformat.write(notebook, tmp_path / "04.ipynb")
    return small_study(tmp_path)


def opened(page: Page, address: str) -> Locator:
    page.goto(f"{address}/lab/tree/04.ipynb?reset")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    run_all(page, OPEN)
    return page.locator(".caplora-rate")


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.locator(".caplora-rate").screenshot(path=Path(SHOTS) / f"rate_{name}.png")


def press(rate: Locator, key: str) -> None:
    """Press a key once both pictures are there, and wait until the answer is on disk and the next is shown."""
    before = int(rate.get_attribute("data-done") or 0)
    expect(rate).to_have_attribute("data-ready", "true")
    rate.page.keyboard.press(key)
    expect(rate).to_have_attribute("data-done", str(before + (-1 if key == "u" else 1)))


def test_a_comparison_is_answered_by_keyboard_and_goes_on_after_the_kernel_was_killed(study: Study) -> None:
    folder = study.path("")
    with jupyterlab(folder) as address, browser_page() as page:
        rate = opened(page, address)
        expect(rate.locator(".rate-start")).to_contain_text("Which is more this person?")
        expect(rate.locator(".rate-start")).to_contain_text(re.compile(r"\d+ comparisons, about \d+ minutes"))
        shot(page, "start")
        page.locator(OPEN).fill("Mina")
        page.keyboard.press("Enter")
        expect(rate.locator(".rate-question")).to_have_text("Which fits the words better?")
        expect(rate).to_have_attribute("data-ready", "true")
        shot(page, "words")
        keys = ["ArrowLeft", "ArrowRight", "=", "n", "u", "ArrowRight", "ArrowLeft"]
        for key in keys[:1]:
            press(rate, key)
        expect(rate.locator(".rate-question")).to_have_text("Which is more this person?")
        expect(rate.locator(".rate-portraits img[src^=blob]")).to_have_count(3)
        shot(page, "person")
        for key in keys[1:]:
            press(rate, key)
        expect(rate.locator(".rate-said")).to_contain_text("saved")
        given = read_answers(study)
        assert given["answer"].tolist() == ["left", "right", "equal", "right", "left"]
        assert given["rater"].unique().tolist() == ["Mina"]
        assert given["order"].tolist() == [0, 0, 1, 1, 2]

        os.kill(int((folder / "kernel").read_text()), signal.SIGKILL)
        page.keyboard.press("ArrowRight")
        expect(rate.locator(".rate-said")).to_contain_text("Not saved yet", timeout=20_000)
        shot(page, "killed")
        assert read_answers(study).equals(given)

        rate = opened(page, address)
        page.locator(OPEN).fill("Mina")
        page.keyboard.press("Enter")
        expect(rate.locator(".rate-said")).to_contain_text("5 answers are on disk")
        expect(rate).to_have_attribute("data-done", "5")
        steps = 2 * plan_length(rate)
        for _ in range(5, steps):
            press(rate, "=")
        expect(rate.locator(".rate-end")).to_contain_text("Thank you, Mina.")
        shot(page, "end")
        rate.locator(".rate-end").get_by_role("button", name="another rater").click()
        page.locator(OPEN).fill("Ben")
        page.keyboard.press("Enter")
        press(rate, "ArrowRight")
        assert read_answers(study)["rater"].value_counts().to_dict() == {"Mina": steps, "Ben": 1}
        rate.get_by_role("button", name="take back").click()
        expect(rate).to_have_attribute("data-done", "0")
        assert len(read_answers(study)) == steps and page.evaluate("window.ran") is None


def plan_length(rate: Locator) -> int:
    """How many comparisons the rater is shown, as the widget says it."""
    return int(str(rate.locator(".rate-head").inner_text()).split(" of ")[1].split()[0])
