"""The measurement that waits for a card runs through without one, and keeps what it has when something goes wrong."""

import importlib
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from caplora.notebooks.results import Results
from caplora.scoring.scores import SCORED
from caplora.study.reading import PROJECT

BENCHMARKS = PROJECT / "benchmarks"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything that gpu.py measures, with tiny models."""
    out = tmp_path_factory.mktemp("gpu")
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--tiny", "--minutes", "10", "--out", str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert ran.returncode == 0, ran.stderr
    content = json.loads((out / "gpu.json").read_text(encoding="utf-8"))
    return content | {"markdown": (out / "gpu.md").read_text(encoding="utf-8"), "said": ran.stdout}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu")


@pytest.mark.long
def test_every_section_is_measured(session: dict[str, Any]) -> None:
    sections = {row["section"].split()[0] for row in session["rows"]}
    assert sections == {"machine", "forecast", "a", "b", "c", "compiled", "compared", "d", "e", "f"}
    assert [row for row in session["rows"] if "error" in row or "skipped" in row] == []


@pytest.mark.long
def test_every_ratio_is_finite_and_within_its_spread(session: dict[str, Any]) -> None:
    ratios = [r for row in session["rows"] for r in row.get("ratios", {}).values()]
    assert len(ratios) > 20
    assert all(math.isfinite(x) and x > 0 for r in ratios for x in r)
    assert all(low <= median <= high for median, low, high in (r for r in ratios if len(r) == 3))


@pytest.mark.long
def test_a_training_goes_on_to_the_same_losses(session: dict[str, Any]) -> None:
    [row] = [row for row in session["rows"] if row["section"] == "e"]
    assert row["figures"]["resumed: largest relative difference of a loss"] == 0  # on a CPU


@pytest.mark.long
def test_the_tables_show_every_row(session: dict[str, Any]) -> None:
    assert all(row["row"] in session["markdown"] for row in session["rows"])
    assert session["markdown"] in session["said"]


def script(folder: Path, answers: str) -> Path:
    """A worker that answers as it is written, with `order` the section that it was asked for."""
    path = folder / "worker.py"
    head = "import json, os, sys, time\nfor line in sys.stdin:\n    order = json.loads(line)\n"
    say = "    say = lambda **x: print(json.dumps({'section': order['section'], **x}), flush=True)\n"
    path.write_text(head + say + "".join(f"    {line}\n" for line in answers.splitlines()), encoding="utf-8")
    return path


def rows_of(gpu: ModuleType, folder: Path, worker: Path, minutes: float) -> list[dict[str, Any]]:
    """What a session keeps of section e by such a worker."""
    book = gpu.Book(folder)
    session = gpu.Session(book, tiny=True, minutes=minutes, worker=worker)
    session.run(["e"])
    return [r for r in json.loads(book.json.read_text(encoding="utf-8"))["rows"] if r["section"] == "e"]


def test_a_worker_that_dies_in_a_row_is_followed_by_one_behind_it(gpu: ModuleType, tmp_path: Path) -> None:
    worker = script(
        tmp_path,
        """
for number in range(order['done'], 3):
    number == 1 and order['section'] == 'e' and os._exit(9)
    say(row=f'row {number}', figures={'x': 1})
say(ended=True)""",
    )
    rows = rows_of(gpu, tmp_path, worker, 1)
    assert [row["row"] for row in rows if "error" not in row] == ["row 0", "row 2"]
    assert ["died" in row["error"] for row in rows if "error" in row] == [True]


def test_a_worker_that_gives_its_card_up_loses_no_row(gpu: ModuleType, tmp_path: Path) -> None:
    worker = script(
        tmp_path,
        """
for number in range(order['done'], 3):
    say(row=f'row {number}', figures={'x': 1})
    number == 1 and order['section'] == 'e' and os._exit(3)
say(ended=True)""",
    )
    assert [row["row"] for row in rows_of(gpu, tmp_path, worker, 1)] == ["row 0", "row 1", "row 2"]


def test_a_worker_that_hangs_is_ended_and_said_to_be(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "GRACE", 1)
    worker = script(tmp_path, "say(ended=True) if order['section'] != 'e' else time.sleep(600)")
    began = time.monotonic()
    [row] = rows_of(gpu, tmp_path, worker, 3 / 60)
    assert "no time left" in row["skipped"]
    assert time.monotonic() - began < 30


def test_a_made_up_study_is_read_as_04_leaves_one_and_its_leading_recipe_is_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    large = importlib.import_module("large_study")
    study = large.write_study(tmp_path, 9, everything=False)
    results = Results(study, large.grid(9))
    assert list(results.everything.columns) == list(SCORED)
    assert results.best == "r4_a4_lr0.0001_s0" and len(results.names) == 3 and len(results.spared) == 6
    assert not results.failed and len(results.effects_on("development")) == 9


def test_very_many_variants_are_drawn_as_their_best_with_a_note_and_few_as_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    large = importlib.import_module("large_study")
    study = large.write_study(tmp_path, 12, everything=False)
    results = Results(study, large.grid(12))
    names = [v.name for v in large.grid(12)]
    gains = results.effects_on("development").set_index("variant")["difference"]
    shown, note = results.leading(names, 4)
    others = gains.drop(results.best).nlargest(3).index
    assert set(shown) == {results.best, *others} and shown == [name for name in names if name in shown]
    assert note == "Shown: the 4 best of 12 variants on the development prompts."
    assert results.leading(names) == (names, "")
