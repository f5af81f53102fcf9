"""copies.py: of two copies of a ledger the later one, or an error; never a guess."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from caplora.captions.copies import later_ledger
from caplora.captions.ledger import LedgerError, Row
from caplora.captions.open_ledger import Ledger


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A ledger of one image, and its copy."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    (one / "a.png").write_bytes(b"")
    Ledger(one, "me").change({"a.png": Row("a.png", "a face")}, "found")
    shutil.copytree(one, other)
    return one, other


def decide(folder: Path, text: str) -> None:
    ledger = Ledger(folder, "me")
    ledger.change({"a.png": replace(ledger.rows["a.png"], text=text, status="edited")}, "review")


def test_equal_copies_have_no_later_one(two: tuple[Path, Path]) -> None:
    assert later_ledger(*two) is None


def test_where_there_is_none_yet_the_other_is_later(two: tuple[Path, Path], tmp_path: Path) -> None:
    one, _ = two
    assert later_ledger(one, tmp_path / "empty") == one == later_ledger(tmp_path / "empty", one)
    assert later_ledger(tmp_path / "empty", tmp_path / "none") is None


def test_the_longer_history_is_later(two: tuple[Path, Path]) -> None:
    one, other = two
    decide(other, "my words")
    assert later_ledger(one, other) == other == later_ledger(other, one)


def test_an_undone_decision_is_later_though_the_rows_are_as_before(two: tuple[Path, Path]) -> None:
    one, other = two
    decide(one, "my words")
    Ledger(one, "me").undo()
    assert later_ledger(one, other) == one


def test_decisions_on_both_sides_are_an_error_that_names_both(two: tuple[Path, Path]) -> None:
    one, other = two
    decide(one, "words")
    decide(other, "other words")
    with pytest.raises(LedgerError, match=f"{one}.*{other}.*neither is to be lost"):
        later_ledger(one, other)


def test_a_decision_and_a_spreadsheet_on_the_other_side_are_an_error(two: tuple[Path, Path]) -> None:
    one, other = two
    decide(one, "words")
    path = other / "metadata.csv"
    path.write_bytes(path.read_bytes().replace(b"a face", b"a kind face"))
    with pytest.raises(LedgerError, match="neither is to be lost"):
        later_ledger(one, other)
