"""Notebook 01 in a real JupyterLab in a real browser: a person reviews by keyboard, and every decision is on disk."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml
from playwright.sync_api import Page, expect

from caplora.captions.history import read_history
from caplora.captions.ledger import Row, read_ledger
from caplora.mini.world.portraits import PORTRAITS
from caplora.study.reading import PROJECT
from tests.lab import CHROMIUM, SHOTS, browser_page, jupyterlab, press, run_all

COUNT = 14  # portraits
PAYLOAD = "<img src=x onerror=window.ran=1>"  # stays text

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study of a few mini portraits, and notebook 01 set to it."""
    (tmp_path / "faces").mkdir()
    for path in sorted(PORTRAITS.glob("*.png"))[:COUNT]:
        shutil.copy(path, tmp_path / "faces")
    text = (PROJECT / "params/studies/mini.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text.replace("caplora/mini/", f"{PROJECT}/caplora/mini/"))
    content |= {"name": "lab", "images": content["images"] | {"folder": "faces"}}
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    notebook = nbformat.read(PROJECT / "notebooks/01_data_captioning.ipynb", as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source += f'\nstudy = "{tmp_path / "lab.yaml"}"\ninteractive = True\noverrule = "reviewed"'
    nbformat.write(notebook, tmp_path / "01.ipynb")
    return tmp_path


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.locator(".caplora-studio").screenshot(path=Path(SHOTS) / f"{name}.png")


def rows(folder: Path) -> dict[str, Row]:
    return {row.file_name: row for row in read_ledger(folder / "datasets" / "lab")}


def test_ten_captions_are_reviewed_by_keyboard_and_outlive_the_kernel(folder: Path) -> None:
    with jupyterlab(folder) as address, browser_page() as page:
        page.goto(f"{address}/lab/tree/01.ipynb?reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        run_all(page)
        studio = page.locator(".caplora-studio")
        page.wait_for_function("document.activeElement.classList.contains('caplora-studio')")
        shot(page, "studio_open")

        for _ in range(7):
            press(page, "k")
        edited = studio.get_attribute("data-current")
        page.keyboard.press("e")
        page.keyboard.type(", with freckles")
        expect(studio.locator(".caplora-new").last).to_have_text(", with freckles")
        shot(page, "studio_edit")
        page.keyboard.type(f", {PAYLOAD}")
        expect(studio.locator(".caplora-new").last).to_have_text(f", with freckles, {PAYLOAD}")
        press(page, "Control+Enter")
        rejected = studio.get_attribute("data-current")
        press(page, "r")
        undone = studio.get_attribute("data-current")
        press(page, "k")
        press(page, "u")  # takes the last one back, and shows it
        assert studio.get_attribute("data-current") == undone
        press(page, "k")
        expect(studio).to_contain_text("10 of 14 reviewed")

        whole = (folder / "datasets/lab/metadata.csv").read_bytes()
        (folder / "datasets/lab/metadata.csv").write_bytes(whole.replace(b",pending,", b",done,"))  # as by a slip
        page.keyboard.press("e")
        page.keyboard.type(", typed in vain")
        page.keyboard.press("Control+Enter")
        expect(studio.locator(".caplora-saved")).to_contain_text("not done")
        expect(studio.get_by_label("caption", exact=True)).to_have_value(re.compile("typed in vain$"))
        (folder / "datasets/lab/metadata.csv").write_bytes(whole)
        page.keyboard.press("e")
        for _ in ", typed in vain":
            page.keyboard.press("Backspace")
        page.keyboard.press("Escape")
        expect(studio.locator(".caplora-saved")).not_to_contain_text("not done")

        page.keyboard.press("/")
        page.keyboard.type("text:ink")
        page.keyboard.press("Enter")
        page.get_by_label("find", exact=True).focus()
        page.keyboard.type("ink drawing")
        page.keyboard.press("Tab")
        page.keyboard.type("ink sketch")
        expect(studio).to_contain_text("captions")
        shot(page, "studio_replace")
        page.get_by_role("button", name="replace all").click()
        expect(studio.locator(".caplora-saved")).to_contain_text("captions, saved")

        on_disk = rows(folder)
        sketches = [row for row in on_disk.values() if row.text.startswith("an ink sketch of a woman")]
        assert len(sketches) == COUNT - 1
        assert [row.status for row in on_disk.values()].count("pending") == COUNT - 10
        assert on_disk[edited].text.endswith(f", with freckles, {PAYLOAD}")
        assert on_disk[rejected].status == "rejected"
        assert on_disk[rejected].text.startswith("an ink drawing")
        kinds = [change.kind for change in read_history(folder / "datasets" / "lab")]
        assert kinds.count("undo") == 1

        page.get_by_text("Kernel", exact=True).first.click()
        page.get_by_text("Restart Kernel and Run All Cells…", exact=True).click()
        page.evaluate("document.querySelectorAll('.caplora-studio').forEach(e => e.remove())")
        page.locator(".jp-Dialog .jp-mod-accept").click()
        page.wait_for_selector(".caplora-studio[data-current]")
        expect(page.locator(".caplora-studio")).to_contain_text("of 14 reviewed")
        shot(page, "studio_again")
        assert rows(folder) == on_disk
        assert page.evaluate("window.ran") is None
        page.locator(".caplora-studio").focus()
        page.keyboard.press("u")  # an undo across the restart: the replacement
        expect(page.locator(".caplora-saved")).to_contain_text("saved")
        assert rows(folder)[edited].text.startswith("an ink drawing of a woman")
