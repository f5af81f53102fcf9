"""What is killed: the five notebooks cell by cell as a person runs them, the studio, and the rating widget."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from caplora.study.reading import PROJECT
from tests.kills import people
from tests.kills.people import Say
from tests.kills.tiny_study import NAME, VARIANTS

PASSING = (".part", "/.tmp", ".lock", ".writer.json", "cache/work/")  # in names of files that belong to a process
FOLDERS = ("datasets", "runs", "figures")
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
Contents = dict[str, object]


def shell() -> InteractiveShell:
    """The process's IPython, without the file and the thread in which it keeps what was typed."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    return InteractiveShell.instance(config=config)


def cells(notebook: str) -> list[str]:
    """The sources of a notebook's code cells, but for the one that makes Colab ready."""
    read = nbformat.read(PROJECT / "notebooks" / f"{notebook}.ipynb", as_version=4)
    code = [cell.source for cell in read.cells if cell.cell_type == "code"]
    return [source for source in code if "google.colab" not in source]


def run_notebook(notebook: str, folder: Path, say: Say) -> None:
    """Run the cells of a notebook in this process, with parameters below its own as papermill gives them."""
    parameters: dict[str, Any] = {"study": str(folder / f"{NAME}.yaml")}
    parameters |= {} if notebook.startswith("01") else {"variants": VARIANTS}
    own, *rest = cells(notebook)
    given = "# Parameters\n" + "".join(f"{name} = {value!r}\n" for name, value in parameters.items())
    for source in (own, given, *rest):
        shell().run_cell(source).raise_error()


def files_in(folder: Path) -> dict[str, Path]:
    """All files that a study has made in its folder, those that belong to a process aside, by their names in it."""
    found = [path for part in FOLDERS for path in (folder / part).rglob("*") if path.is_file()]
    parts = {p.relative_to(folder).as_posix(): p for p in found}
    return {name: path for name, path in parts.items() if not any(mark in name for mark in PASSING)}


def made_in(folder: Path) -> Contents:
    """The bytes of all files, those of a dataset without the times of day; of an adapter's settings all but seconds."""
    found: Contents = {name: path.read_bytes() for name, path in files_in(folder).items()}
    for name, path in files_in(folder).items():
        if name.startswith("datasets/") and path.suffix in (".csv", ".json", ".jsonl"):
            found[name] = TIME.sub(b"", path.read_bytes())
        if "/adapters/" in name and name.endswith(("settings.json", "manifest.json")):
            found[name] = {k: v for k, v in json.loads((folder / name).read_bytes()).items() if k != "seconds"}
    return found


@dataclass(frozen=True)
class Stage:
    """A work that may be killed, what must be the same at its end, and what must hold after every fault."""

    work: Callable[[Path, Say], None]
    after: str  # the stage whose result it begins with; empty: none
    result: Callable[[Path], Contents] = made_in
    wrong: Callable[[Path, int], list[str]] = lambda folder, said: []


STAGES = {
    "captioning": Stage(partial(run_notebook, "01_data_captioning"), ""),
    "studio": Stage(
        people.review, "captioning", lambda folder: {"rows": people.decided(folder)}, people.changes_kept
    ),
    "training": Stage(partial(run_notebook, "02_train_lora"), "captioning"),
    "sampling": Stage(partial(run_notebook, "03_inference"), "training"),
    "rating": Stage(
        people.rate, "sampling", lambda folder: {"answers": people.answered(folder)}, people.answers_kept
    ),
    "scoring": Stage(partial(run_notebook, "04_clipscore"), "sampling"),
    "analysis": Stage(partial(run_notebook, "05_analysis"), "scoring"),
}  # fmt: skip
