"""history.py, open_ledger.py: every change can be told and taken back, whoever made it and whatever was killed."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caplora.captions.history import HISTORY, MACHINE, UNKNOWN, read_history, replayed
from caplora.captions.ledger import LEDGER, LedgerError, Row, read_ledger, write_ledger
from caplora.captions.open_ledger import Ledger, restore_ledger

NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).touch()
    write_ledger(tmp_path, [Row(name, f"caption of {name}") for name in NAMES])
    return tmp_path


def write(ledger: Ledger, name: str, text: str, why: str = "edited") -> None:
    ledger.change({name: replace(ledger.rows[name], text=text, status="edited")}, why)


def texts(folder: Path) -> list[str]:
    return [row.text for row in read_ledger(folder)]


def test_a_change_says_who_changed_what_from_what_when_and_why(folder: Path) -> None:
    write(Ledger(folder, who="mina"), "b.png", "긴 머리", "her hair is long")
    found, change = read_history(folder)
    assert (found.who, found.why, list(found.rows)) == (UNKNOWN, "as found", list(NAMES))
    assert (change.who, change.why, change.number) == ("mina", "her hair is long", 2)
    before, after = {"text": "caption of b.png", "status": "pending"}, {"text": "긴 머리", "status": "edited"}
    assert change.rows == {"b.png": (before, after)}
    assert change.time.endswith("Z")


def test_what_changes_nothing_is_not_written_down(folder: Path) -> None:
    ledger = Ledger(folder)
    bytes_before = (folder / HISTORY).read_bytes()
    assert ledger.change({"a.png": ledger.rows["a.png"]}, "nothing") is None
    assert (folder / HISTORY).read_bytes() == bytes_before


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(["edit", "undo", "redo", "batch", "reopen"]), max_size=12))
def test_undo_and_redo_walk_the_persons_changes_across_restarts(steps: list[str]) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        for name in NAMES:
            (folder / name).touch()
        write_ledger(folder, [Row(name) for name in NAMES])
        ledger, past, future = Ledger(folder, who="mina"), [texts(folder)], []
        for number, step in enumerate(steps):
            if step == "edit":
                write(ledger, NAMES[number % 3], f"text {number}")
            elif step == "batch":
                ledger.change({n: replace(r, text=f"{r.text}+{number}") for n, r in ledger.rows.items()}, "all")
            elif step == "reopen":
                ledger = Ledger(folder, who="mina")
                continue
            elif step == "undo":
                assert (ledger.undo() is None) == (len(past) == 1)
                future += [past.pop()] if len(past) > 1 else []
            elif step == "redo":
                assert (ledger.redo() is None) == (not future)
                past += [future.pop()] if future else []
            if step in ("edit", "batch"):
                past.append([row.text for row in ledger.rows.values()])
                future.clear()
            assert texts(folder) == past[-1]
        assert list(replayed(read_history(folder)).values()) == read_ledger(folder)


def test_undo_passes_over_the_machine_and_keeps_what_another_hand_wrote(folder: Path) -> None:
    ledger = Ledger(folder, who="mina")
    write(ledger, "a.png", "mine")
    ledger.change({"b.png": replace(ledger.rows["b.png"], machine_text="a woman")}, "captioned", MACHINE)
    rows = read_ledger(folder)
    write_ledger(folder, [rows[0], rows[1], replace(rows[2], text="from a spreadsheet")])
    ledger.undo()
    assert texts(folder) == ["caption of a.png", "caption of b.png", "from a spreadsheet"]
    assert read_ledger(folder)[1].machine_text == "a woman"
    outside = [change for change in read_history(folder) if change.why == "changed outside caplora"]
    assert [list(change.rows) for change in outside] == [["c.png"]]


def test_an_undo_that_would_lose_a_later_hand_says_so_and_changes_nothing(folder: Path) -> None:
    ledger = Ledger(folder, who="mina")
    write(ledger, "b.png", "mine too")
    write(ledger, "a.png", "mine", "my words")
    rows = read_ledger(folder)
    write_ledger(folder, [replace(rows[0], text="theirs"), *rows[1:]])
    with pytest.raises(
        LedgerError, match=r"a\.png: changed since by another hand, so it stays; once more goes past it"
    ):
        ledger.undo()
    assert texts(folder) == ["theirs", "mine too", "caption of c.png"]
    ledger.undo()
    assert texts(folder) == ["theirs", "caption of b.png", "caption of c.png"]


def test_of_many_rows_an_undo_takes_back_those_that_still_stand(folder: Path) -> None:
    ledger = Ledger(folder, who="mina")
    ledger.change({name: replace(row, text="mine") for name, row in ledger.rows.items()}, "all")
    write_ledger(
        folder, [replace(row, text="theirs" if row.file_name == "b.png" else row.text) for row in ledger.rows.values()]
    )
    ledger.undo()
    assert texts(folder) == ["caption of a.png", "theirs", "caption of c.png"]


def test_a_write_that_fails_is_not_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(folder, who="mina")
    write(ledger, "a.png", "mine")
    before = ((folder / HISTORY).read_bytes(), texts(folder))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("caplora.captions.open_ledger.write_lines", full)
    for deed in (ledger.undo, lambda: write(ledger, "b.png", "more")):
        with pytest.raises(OSError, match="No space"):
            deed()
    monkeypatch.undo()
    assert ((folder / HISTORY).read_bytes(), texts(folder)) == before
    ledger.undo()
    assert texts(folder)[0] == "caption of a.png"


def test_a_ledger_that_is_gone_is_not_begun_anew_by_accident(folder: Path) -> None:
    write(Ledger(folder, who="mina"), "a.png", "mine")
    before = read_ledger(folder)
    (folder / LEDGER).unlink()
    with pytest.raises(LedgerError, match=r"--restore writes it anew\), or set history\.jsonl aside"):
        Ledger(folder)
    assert restore_ledger(folder) == read_ledger(folder) == before
    with pytest.raises(LedgerError, match="nothing to restore"):
        restore_ledger(folder)


@pytest.mark.fault(18)
def test_a_process_killed_between_the_first_change_and_the_first_ledger_begins_no_riddle(folder: Path) -> None:
    (folder / LEDGER).unlink()
    rows = {name: Row(name, f"caption of {name}") for name in NAMES}
    Ledger(folder).change(rows, "the images of the study", MACHINE)
    before = (folder / HISTORY).read_bytes(), (folder / LEDGER).read_bytes()
    (folder / LEDGER).unlink()
    assert Ledger(folder).rows == rows
    assert ((folder / HISTORY).read_bytes(), (folder / LEDGER).read_bytes()) == before


def test_who_has_no_name_has_a_number(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert Ledger(folder).who == f"user {os.getuid()}"


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_history_with_a_line_taken_out_is_still_read(folder: Path, lost: int) -> None:
    ledger = Ledger(folder, who="mina")
    write(ledger, "a.png", "mine")
    ledger.undo()
    lines = (folder / HISTORY).read_bytes().splitlines(keepends=True)
    (folder / HISTORY).write_bytes(b"".join(lines[:lost] + lines[lost + 1 :]))
    again = Ledger(folder, who="mina")
    again.undo()
    again.redo()
    assert texts(folder)[1:] == ["caption of b.png", "caption of c.png"]


def test_rows_that_join_and_leave_are_taken_back_too(folder: Path) -> None:
    ledger = Ledger(folder, who="mina")
    whole = ledger.rows["b.png"]
    ledger.change({"b.png": None}, "away")
    assert [row.file_name for row in read_ledger(folder)] == ["a.png", "c.png"]
    ledger.undo()
    assert {row.file_name: row for row in read_ledger(folder)}["b.png"] == whole


def test_a_line_cut_short_by_a_crash_is_dropped_and_its_change_kept(folder: Path) -> None:
    write(Ledger(folder, who="mina"), "a.png", "mine")
    path = folder / HISTORY
    path.write_bytes(path.read_bytes()[:-20])
    ledger = Ledger(folder)
    assert ledger.rows["a.png"].text == "mine"
    assert [change.who for change in read_history(folder)] == [UNKNOWN, UNKNOWN]


def test_a_crash_between_the_two_writes_loses_neither_the_change_nor_who_made_it(folder: Path) -> None:
    before = (folder / LEDGER).read_bytes()
    write(Ledger(folder, who="mina"), "a.png", "mine")
    (folder / LEDGER).write_bytes(before)
    os.utime(folder / LEDGER, ns=(0, 0))
    again = Ledger(folder, who="mina")
    assert texts(folder)[0] == "mine" and read_history(folder)[-1].who == "mina"
    again.undo()
    assert texts(folder)[0] == "caption of a.png"


def test_a_damaged_line_is_an_error_that_names_it(folder: Path) -> None:
    Ledger(folder)
    (folder / HISTORY).write_text('{"number": 1}\n')
    with pytest.raises(LedgerError, match=r"history\.jsonl, line 1 cannot be read"):
        Ledger(folder)


def test_two_hands_at_once_lose_nothing(folder: Path) -> None:
    def work(name: str) -> None:
        ledger = Ledger(folder, who=name)
        for i in range(10):
            write(ledger, name, f"{i}")

    hands = [threading.Thread(target=work, args=(name,)) for name in NAMES]
    [hand.start() for hand in hands]
    [hand.join() for hand in hands]
    assert texts(folder) == ["9", "9", "9"]
    assert len(read_history(folder)) == 1 + 30


KILLED = """
import os, sys
from dataclasses import replace
from pathlib import Path
import caplora.study.files as files, caplora.captions.open_ledger as open_ledger
from caplora.captions.open_ledger import Ledger
ledger, left = Ledger(Path(sys.argv[1]), who="mina"), int(sys.argv[2])
def counted(path, sync=files.synced):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    sync(path)
files.synced = open_ledger.synced = counted
for i in range(4):
    ledger.change({"a.png": replace(ledger.rows["a.png"], text=str(i))}, "edited")
    print(i, flush=True)
"""


@pytest.mark.fault(18)
@pytest.mark.parametrize("syncs", range(0, 12, 2))
def test_killed_at_any_write_the_ledger_has_every_change_that_was_said_to_be_saved(folder: Path, syncs: int) -> None:
    Ledger(folder)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, folder, str(syncs)],
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C"},
    )
    said = done.stdout.split()
    assert (done.returncode == 9) == (len(said) < 4)
    ledger = Ledger(folder)
    assert int(ledger.rows["a.png"].text.replace("caption of a.png", "-1")) >= len(said) - 1
    assert list(replayed(read_history(folder)).values()) == read_ledger(folder)
    write(ledger, "a.png", "and on")
    assert texts(folder)[0] == "and on"
    assert all(json.loads(line) for line in (folder / HISTORY).read_text(encoding="utf-8").splitlines())


def test_the_file_is_what_its_rows_give_whole_though_a_change_makes_only_its_own_lines(folder: Path) -> None:
    ledger = Ledger(folder, who="mina")
    write(ledger, "b.png", 'a "quoted", long\nline')
    ledger.change({"c.png": None}, "gone")
    ledger.undo()
    now = (folder / LEDGER).read_bytes()
    write_ledger(folder, ledger.rows.values())
    assert (folder / LEDGER).read_bytes() == now
    (folder / "z.png").touch()
    ledger.change({"z.png": Row("z.png", "new")}, "joined")
    now = (folder / LEDGER).read_bytes()
    write_ledger(folder, ledger.rows.values())
    assert (folder / LEDGER).read_bytes() == now
