"""files.py: a file is whole or not there, and where a disk fails the error names the file, the reason, the way out."""

import errno
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors import SafetensorError

from caplora.study.files import (
    DEAD,
    WAYS_OUT,
    BusyError,
    DiskError,
    disk_errors_name,
    drop_dead_parts,
    only_writer,
    read_text,
    refuse_full_disk,
    replacing,
    write_text,
)


def fails_after(text: str, part: Path, number: int) -> None:
    part.write_text(text)
    raise OSError(number, "said by the system")


@pytest.mark.fault(17)
@pytest.mark.parametrize("number", WAYS_OUT)
def test_what_a_disk_refuses_is_named_with_the_way_out_and_the_old_file_is_whole(number: int, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_text(path, "old")
    with pytest.raises(DiskError) as error, replacing(path) as part:
        fails_after("ne", part, number)
    assert error.value.errno == number and f"{path} could not be written: {os.strerror(number)}." in str(error.value)
    assert str(error.value).endswith("and run it again: what was there before is whole")
    assert read_text(path) == "old" and [p.name for p in tmp_path.iterdir()] == ["scores.csv"]


@pytest.mark.fault(17)
def test_what_safetensors_says_of_a_full_disk_is_understood(tmp_path: Path) -> None:
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    why = r"x could not be written: No space left on device\. Make room there"
    with pytest.raises(DiskError, match=why) as error, disk_errors_name(tmp_path / "x"):
        raise SafetensorError(said)
    assert error.value.errno == errno.ENOSPC


def test_an_error_that_is_not_of_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    for wrong in (ValueError("os error"), FileNotFoundError(errno.ENOENT, "gone"), SafetensorError("header too large")):
        with pytest.raises(type(wrong)) as error, disk_errors_name(tmp_path):
            raise wrong
        assert error.value is wrong


def test_the_innermost_file_is_named(tmp_path: Path) -> None:
    outer, inner = disk_errors_name(tmp_path / "outer"), disk_errors_name(tmp_path / "inner", "read")
    with pytest.raises(DiskError, match="inner could not be read"), outer, inner:
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.fault(17)
def test_work_that_does_not_fit_is_refused_where_its_folder_is_or_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: asked.append(folder) or SimpleNamespace(free=2**20))
    refuse_full_disk(tmp_path / "runs" / "faces", 2**20, "drawing", "draw less")
    with pytest.raises(DiskError, match=r"drawing takes 1\.5 MB .* 1\.0 MB are free in .*faces: make room, draw less"):
        refuse_full_disk(tmp_path / "runs" / "faces", 3 * 2**19, "drawing", "draw less")
    assert asked == [tmp_path] * 2


def test_parts_that_nobody_writes_to_any_more_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    dead, living = (tmp_path / "a" / f".x.csv.{number}.part" for number in (1, 2))
    folder, theirs, own = tmp_path / ".step_000002.part", tmp_path / "a" / ".tmpAb12Cd", tmp_path / "a" / "x.csv"
    folder.mkdir()
    dead.parent.mkdir()
    for path in (dead, living, folder / "state", theirs, own):
        path.touch()
    for path in (dead, folder, theirs, own):
        os.utime(path, (time.time() - 2 * DEAD,) * 2)
    drop_dead_parts(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".x.csv.2.part", "a", "x.csv"]


@pytest.mark.fault(22)
def test_who_holds_a_folder_may_be_just_saying_so(tmp_path: Path) -> None:
    with only_writer(tmp_path / "r4_a8"):
        (tmp_path / ".r4_a8.writer.json").write_text('{"proc')
        with pytest.raises(BusyError, match="written by process"), only_writer(tmp_path / "r4_a8"):
            pass
