"""watching/page.py and notebook.py: a cell shows what the terminal shows, as text, and holds nobody up."""

import os
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import papermill

from caplora.watching.looking import look
from caplora.watching.page import html
from tests.report.test_report import HOSTILE
from tests.watching.small import packs, picture, record, small_study, works, write


class Parsed(HTMLParser):
    """The texts and tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def test_texts_of_jobs_are_text(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    write(
        study, record("02_train_lora", "failed", 3, 1, why=HOSTILE, notebook=HOSTILE, variants=(HOSTILE,), host="<b>")
    )
    page = Parsed(html(look(study)))
    assert HOSTILE in page.text and "<b>" in page.text
    assert "script" not in page.tags and "img" not in page.tags


def test_the_page_has_jobs_curves_and_pictures(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    packs(study, "pa", "pb")
    write(study, record("02_train_lora_pa"))
    works(study, 6, 24, began=0.5, r4_a4=[(n, 1 / n) for n in range(1, 7)], r8_a8=[(1, float("nan"))])
    picture(study.samples("r4_a4") / "test_0_0.png")
    page = Parsed(html(look(study)))
    for said in (*(job.name for job in look(study).jobs), "6/24 steps", "r4_a4", "samples/r4_a4", "1 sample"):
        assert said in page.text
    assert page.tags.count("polyline") == 2 and page.tags.count("img") == 1
    drawn = html(look(study)).split("<svg")[1].split("</svg>")[0]
    assert "nan" not in drawn  # a loss that is not finite is a gap


def test_a_study_of_which_nothing_was_made_says_what_to_start(tmp_path: Path) -> None:
    assert "--config study=small" in html(look(small_study(tmp_path)))


def test_a_cell_under_papermill_looks_once_and_belongs_to_the_process_that_runs_it(tmp_path: Path) -> None:
    write(small_study(tmp_path), record("02_train_lora"))
    sources = (
        f'from caplora.notebooks import watch\nwatch("{tmp_path / "small.yaml"}", seconds=3600)',
        'from caplora.jobs import work_here\nprint(*work_here("", "", 1).pids)',
    )
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "watch.ipynb")
    ran = papermill.execute_notebook(
        tmp_path / "watch.ipynb", tmp_path / "out.ipynb", progress_bar=False, start_timeout=300
    )
    (shown,), (printed,) = (cell.outputs for cell in ran.cells)
    assert "02_train_lora" in shown.data["text/html"]
    assert str(os.getpid()) in printed.text.split()[1:]
