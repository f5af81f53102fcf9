"""ledger.py: the ledger loses nothing, refuses what it cannot mean, and a person's word outlives the machine's."""

import csv
import os
from dataclasses import astuple
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caplora.captions.cleaning import compose
from caplora.captions.exchange import read_captions
from caplora.captions.ledger import (
    COLUMNS,
    SPLITS,
    STATUSES,
    LedgerError,
    Row,
    held_out,
    leads_out,
    read_ledger,
    trained,
    write_ledger,
)
from caplora.captions.words import word_counts, words_of

HEADER = ",".join(COLUMNS[:7])
ME = "an ink drawing of a woman"


def ledger(folder: Path, *lines: str, header: str = HEADER, images: tuple[str, ...] = ("a.png", "b.png")) -> None:
    for name in images:
        (folder / name).touch()
    (folder / "metadata.csv").write_text("\r\n".join([header, *lines, ""]), encoding="utf-8", newline="")


words = st.text(max_size=60) | st.sampled_from(
    ['a, "b"\r\nc', "\ufeff", "=1+1", "머리, 긴", "a\0b", " a ", "\r", "\n", '"']
)
names = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=("Cs",)), min_size=1, max_size=40).map(
    lambda stem: f"_{stem}.png"
)


@pytest.mark.fault(14)
@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(names, words, words, words), max_size=4, unique_by=lambda cells: cells[0]))
def test_any_text_survives_the_ledger(cells: list[tuple[str, str, str, str]]) -> None:
    rows = [
        Row(name, text, machine, STATUSES[i % len(STATUSES)], SPLITS[i % len(SPLITS)], source, reason=text)
        for i, (name, text, machine, source) in enumerate(cells)
    ]
    with TemporaryDirectory() as folder:
        for row in rows:
            Path(folder, row.file_name).touch()
        write_ledger(Path(folder), rows)
        assert read_ledger(Path(folder)) == rows
        with Path(folder, "metadata.csv").open(encoding="utf-8-sig", newline="") as file:
            assert [list(r.values()) for r in csv.DictReader(file)] == [list(astuple(r)) for r in rows]


@pytest.mark.fault(14)
def test_what_a_spreadsheet_saves_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    text = "source,split,suggestion,status,machine_text,text,file_name\r\na.jpg,train,,kept,m,긴 머리,a.png\r\n\r\n"
    (tmp_path / "metadata.csv").write_text(
        text, encoding="utf-8-sig", newline=""
    )  # with BOM, columns moved, a blank line
    assert read_ledger(tmp_path) == [Row("a.png", "긴 머리", "m", "kept", "train", "a.jpg")]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["a.png,t,m,kept,train,s,", "b.png,t,m,keep,train,s,"], r"row 3 \(b.png\): unknown status 'keep'.*kept"),
        (["a.png,t,m,kept,test,s,"], r"row 2 \(a.png\): unknown split 'test'"),
        (["a.png,t,m,kept,train,s,", "a.png,t,m,kept,train,s,"], "row 3: a.png stands twice"),
        (["c.png,t,m,kept,train,s,"], r"row 2 \(c.png\): there is no such image"),
        (["a.png,red, long hair,m,kept,train,s,"], "row 2: 7 cells are needed, got 8"),
        (['a.png,"t'], "cannot be read"),
    ],
)
def test_a_bad_row_is_an_error_that_names_file_and_row(tmp_path: Path, lines: list[str], says: str) -> None:
    ledger(tmp_path, *lines)
    with pytest.raises(LedgerError, match=rf"metadata\.csv.*{says}"):
        read_ledger(tmp_path)


@pytest.mark.parametrize(
    "header", ["file_name,machine_text,status,split", HEADER + ",notes", HEADER + ",text", "", HEADER.replace(",", ";")]
)
def test_a_missing_unknown_or_repeated_column_is_an_error_that_names_the_columns(tmp_path: Path, header: str) -> None:
    ledger(tmp_path, header=header)
    with pytest.raises(LedgerError, match=r"metadata\.csv: the columns must be file_name, text"):
        read_ledger(tmp_path)


@pytest.mark.fault(14)
def test_a_ledger_in_another_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(f"{HEADER}\r\na.png,긴 머리,,kept,train,,\r\n", encoding="cp949")
    with pytest.raises(LedgerError, match="save it as “CSV UTF-8”"):
        read_ledger(tmp_path)


def test_a_missing_ledger_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="run 01_data_captioning"):
        read_ledger(tmp_path)


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    "name", ["../out.png", "sub/../../out.png", "{out}", "..\\out.png", "C:\\out.png", "link.png", "a\0.png"]
)
def test_a_file_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "out.png").touch()
    (folder / "link.png").symlink_to(tmp_path / "out.png")
    ledger(folder, f"{name.format(out=tmp_path / 'out.png')},t,m,kept,train,s,")
    with pytest.raises(LedgerError, match=r"row 2 .*must lie in"):
        read_ledger(folder)


parts = st.sampled_from(["..", ".", "", "sub", "link", "a.png", "\\", "C:", "~", "..\\", "\0", "．．", "%2e%2e", " "])


@pytest.mark.fault(31)
@given(st.lists(parts | st.text(max_size=4), max_size=6), st.sampled_from(["/", "\\", "//"]))
def test_whatever_a_file_is_called_it_lies_inside_or_is_refused(pieces: list[str], between: str) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place, "in")
        (folder / "sub").mkdir(parents=True)
        (folder / "link").symlink_to(place)
        name = between.join(pieces)
        inside = "\0" not in name and os.path.realpath(folder / name).startswith(os.path.realpath(folder))
        assert leads_out(folder, name) or inside
    assert not leads_out(Path("in"), "sub/a b.png")


def test_a_failed_write_leaves_the_ledger_before_it(tmp_path: Path) -> None:
    ledger(tmp_path, "a.png,t,m,kept,train,s,")
    before = (tmp_path / "metadata.csv").read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_ledger(tmp_path, [Row("a.png", "\ud800")])
    assert (tmp_path / "metadata.csv").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png", "metadata.csv"]


def test_rejected_rows_are_neither_trained_on_nor_held_out() -> None:
    rows = [Row(f"{status}-{split}.png", "t", "m", status, split) for status in STATUSES for split in SPLITS]
    assert [r.file_name for r in trained(rows)] == ["pending-train.png", "kept-train.png", "edited-train.png"]
    assert [r.file_name for r in held_out(rows)] == ["pending-held_out.png", "kept-held_out.png", "edited-held_out.png"]


@pytest.mark.fault(12)
def test_nothing_is_trained_without_a_caption() -> None:
    with pytest.raises(LedgerError, match=r"a\.png has no caption"):
        trained([Row("a.png", " \n")])


def test_words_and_the_captions_that_have_them_are_counted() -> None:
    texts = ["red hair, a red t-shirt", "with red hair", ""]
    assert [len(words_of(text)) for text in texts] == [5, 3, 0]
    counts = word_counts(texts, commonest=2)
    assert counts.to_dict("list") == {"word": ["hair", "red"], "captions": [2, 2]}


def test_the_examples_in_datasets_have_the_structure_they_show() -> None:
    folder = Path(__file__).parents[2] / "datasets"
    captions = {cells["file_name"]: cells["text"] for cells in read_captions(folder / "captions_example.json")}
    with (folder / "metadata_example.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [Row(**cells) for cells in csv.DictReader(file)]
    assert rows
    assert all(row.status in STATUSES and row.split in SPLITS for row in rows)
    assert all(compose(row.machine_text, ME) == row.text for row in rows if row.status in ("pending", "kept"))
    assert captions == {row.source: row.text for row in rows if row.status != "rejected"}
