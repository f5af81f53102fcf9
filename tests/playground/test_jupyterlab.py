"""Notebook 03's playground in a real JupyterLab and a real browser: what a person draws is on disk and comes back."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from caplora.lora.adapter import rescaled
from caplora.lora.adapter_files import weights_file, write_weights
from caplora.models.base import load_base, parts_of
from caplora.study.reading import PROJECT
from caplora.study.study import read_study
from caplora.study.variants import Variant
from tests.lab import CHROMIUM, SHOTS, browser_page, jupyterlab, run_all
from tests.tiny import trained_like

PROMPT = "a photo of a man with <b>red</b> hair, smiling, by the sea"
CELLS = ("317facc2", "629d39cd", "keeping-open", "63dc23ba", "playground-open")  # of notebook 03

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The mini study with an adapter that changes little, and the cells of notebook 03 that open its playground."""
    text = (PROJECT / "params/studies/mini.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text.replace("caplora/mini/", f"{PROJECT}/caplora/mini/")) | {"name": "lab"}
    content["sampling"] |= {"num_inference_steps": 4}
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    study, variant = read_study(tmp_path / "lab.yaml"), Variant(rank=4, alpha=8)
    adapter = rescaled(trained_like(parts_of(load_base(study)), 4, 8), 0.1)
    write_weights(adapter, weights_file(study, variant), "kohya", {})
    notebook = nbformat.read(PROJECT / "notebooks/03_inference.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.id in CELLS]
    notebook.cells[
        0
    ].source += f'\nstudy = "{tmp_path / "lab.yaml"}"\nvariants = [{{"rank": 4, "alpha": 8}}]\ninteractive = True'
    nbformat.write(notebook, tmp_path / "03.ipynb")
    return tmp_path


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.locator(".caplora-play").screenshot(path=Path(SHOTS) / f"{name}.png")


def drawn(play: Locator, count: int) -> None:
    """Wait until so many large pictures are shown, each with its pixels."""
    expect(play).to_have_attribute("data-busy", "false")
    expect(play.locator("img.play-picture[src^=blob]")).to_have_count(count)


def test_prompt_is_drawn_beside_the_baseline_as_a_grid_and_again_from_its_file(folder: Path) -> None:
    saved = folder / "runs/lab/playground"
    with jupyterlab(folder) as address, browser_page() as page:
        page.goto(f"{address}/lab/tree/03.ipynb?reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        run_all(page, ".caplora-play[data-busy]")
        play = page.locator(".caplora-play")
        play.get_by_label("prompt", exact=True).fill(PROMPT)
        expect(play.locator(".play-count").first).to_contain_text(re.compile(r"\d+ of 75 tokens"))
        play.get_by_label("seed", exact=True).fill("5")
        page.keyboard.press("Control+Enter")
        drawn(play, 2)
        expect(play.locator(".play-column")).to_have_text(["baseline", "r4_a8 at 1"])
        shot(page, "pair")
        first = {path.name: path.read_bytes() for path in saved.glob("*.png")}
        [worn] = [name for name in first if name.startswith("r4_a8")]

        play.get_by_text("Grid", exact=True).click()
        play.get_by_label("across values").fill("0, 0.5, 1")
        play.get_by_label("down values").fill("5-6")
        expect(play.locator(".play-plan")).to_have_text(re.compile("^6 pictures, 1 of them drawn before: about"))
        shot(page, "grid_plan")
        play.get_by_role("button", name="Draw the grid").click()
        drawn(play, 6)
        expect(play.locator(".play-said")).to_contain_text("the grid in one picture")
        shot(page, "grid")
        assert len(list(saved.glob("*.png"))) == 2 + 5 and len(list(saved.glob("grids/*.png"))) == 1

        shutil.move(saved / worn, folder / "kept.png")
        play.get_by_label("prompt", exact=True).fill("another")
        play.get_by_text("Recall a picture from its file").click()
        play.get_by_label("picture", exact=True).fill(str(folder / "kept.png"))
        page.keyboard.press("Enter")
        expect(play.get_by_label("prompt", exact=True)).to_have_value(PROMPT)
        drawn(play, 1)
        page.keyboard.press("Control+Enter")
        drawn(play, 2)
        assert (saved / worn).read_bytes() == first[worn]
        shot(page, "recalled")

        play.get_by_label("steps", exact=True).fill("150")
        play.get_by_role("button", name="Draw", exact=True).click()
        play.get_by_role("button", name="Stop").click()
        expect(play.locator(".play-said")).to_contain_text("stopped")
        play.get_by_label("variant", exact=True).select_option("a file …")
        play.get_by_label("variant file").fill("nowhere.safetensors")
        page.keyboard.press("Control+Enter")
        expect(play.locator(".play-said")).to_contain_text("there is no adapter 'nowhere.safetensors'")
        shot(page, "error")
        assert page.locator(".caplora-play b").count() == 0  # the prompt stayed text
