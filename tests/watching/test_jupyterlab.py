"""The cell that watches, in a real JupyterLab and a real browser: it refreshes in place, and an interrupt ends it."""

from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

from tests.lab import CHROMIUM, SHOTS, browser_page, jupyterlab, run_all
from tests.watching.small import packs, picture, record, small_study, works, write

WATCH = ".caplora-watch"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")
def test_a_cell_refreshes_in_place_until_it_is_interrupted(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    packs(study, "pa", "pb")
    write(study, record("02_train_lora_pa"), record("02_train_lora_pb", "failed", 3, 1, why="ValueError: no"))
    works(study, 6, 24, began=0.5, r4_a4=[(n, 1 / n) for n in range(1, 7)])
    picture(study.samples("r4_a4") / "test_0_0.png")
    sources = (
        f'from caplora.notebooks import watch\nwatch("{tmp_path}/small.yaml", seconds=0.2)',
        "print('next', 1 + 1)",
    )
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "watch.ipynb")
    with jupyterlab(tmp_path) as address, browser_page() as page:
        page.goto(f"{address}/lab/tree/watch.ipynb?reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        run_all(page, WATCH)
        expect(page.locator(WATCH)).to_contain_text("6/24 steps")
        works(study, 12, 24, began=0.5, r4_a4=[(n, 1 / n) for n in range(1, 13)])
        expect(page.locator(WATCH)).to_contain_text("12/24 steps")
        assert page.locator(WATCH).count() == 1
        if SHOTS:
            page.locator(WATCH).screenshot(path=Path(SHOTS) / "watch.png")
        page.get_by_text("Kernel", exact=True).first.click()
        page.get_by_text("Interrupt Kernel", exact=True).click()
        expect(page.locator(".jp-OutputArea-output").last).to_contain_text(
            "next 2"
        )  # the cell ended as if it were done
        assert page.get_by_text("KeyboardInterrupt").count() == 0
