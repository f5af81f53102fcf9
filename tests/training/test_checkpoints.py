"""checkpoints.py: a checkpoint is whole or it does not count, whatever fails while it is written."""

import errno
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from caplora.study import files
from caplora.study.files import BusyError, only_writer
from caplora.training.checkpoints import Checkpoints, differences, last_common, set_aside

STATE = {"flat": torch.arange(1000.0)}


def test_checkpoint_read_is_the_one_written(tmp_path: Path) -> None:
    place = Checkpoints(tmp_path)
    place.write(5, STATE, {"pack": ["a"]})
    assert place.steps() == [5] and place.manifest(5)["pack"] == ["a"]
    assert torch.equal(place.read(5)["flat"], STATE["flat"])


@pytest.mark.fault(18)
@pytest.mark.parametrize("name", ["state.safetensors", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_damaged_checkpoint_does_not_count(name: str, damage: str, tmp_path: Path) -> None:
    place = Checkpoints(tmp_path)
    for step in (1, 2):
        place.write(step, STATE, {})
    path = place.path(2) / name
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    assert place.steps() == [1]


@pytest.mark.fault(17)
@pytest.mark.parametrize("failing", range(1, 5))
def test_full_disk_at_any_write_leaves_the_old_checkpoint(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, count, real = Checkpoints(tmp_path), 0, files.os.fsync

    def full(handle: int) -> None:
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    place.write(1, STATE, {})
    monkeypatch.setattr(files.os, "fsync", full)
    if failing < 4:
        with pytest.raises(OSError, match="No space left"):
            place.write(2, {"flat": torch.ones(9)}, {})
    else:
        place.write(2, {"flat": torch.ones(9)}, {})
    monkeypatch.undo()
    assert 1 in place.steps() and torch.equal(place.read(1)["flat"], STATE["flat"])
    assert not list(tmp_path.glob(".*")), "nothing half written stays"
    place.write(2, {"flat": torch.ones(9)}, {})
    assert place.steps() == [1, 2]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to let this process write files beyond a size."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.fault(17)
def test_file_cut_short_by_the_system_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    """A real failing write: the kernel refuses bytes beyond a limit, as a full disk does."""
    place = Checkpoints(tmp_path)
    place.write(1, {"flat": torch.zeros(100)}, {})
    with pytest.raises(Exception, match="File too large"), largest_file(2000):
        place.write(2, {"flat": torch.zeros(10000)}, {})
    assert Checkpoints(tmp_path).steps() == [1] and not list(tmp_path.glob(".*"))


@pytest.mark.fault(19)
def test_nothing_is_removed_until_something_newer_is_whole(tmp_path: Path) -> None:
    place = Checkpoints(tmp_path)
    place.write(1, STATE, {})
    place.keep_only([2])
    assert place.steps() == [1]
    place.write(2, STATE, {})
    place.write(3, STATE, {})
    place.keep_only([3, 1])
    assert place.steps() == [1, 3]


SAVES = """
import os, sys
from itertools import count
from pathlib import Path
import torch
from caplora.training.checkpoints import Checkpoints

TOUCHED = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}  # what Python tells before it touches a file

def save(folder):
    Checkpoints(folder).write(2, {"flat": torch.ones(9)}, {"pack": ["a"]})
    Checkpoints(folder).keep_only([2])

def killed(folder, left):
    child = os.fork()
    if not child:
        def hook(event, found, left=[left]):
            left[0] -= event in TOUCHED
            if left[0] < 0:
                os._exit(9)
        sys.addaudithook(hook)
        save(folder)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

root = Path(sys.argv[1])
save(root / "first")  # imports what is imported late
for number in count():
    folder = root / str(number)
    Checkpoints(folder).write(1, {"flat": torch.zeros(9)}, {"pack": ["a"]})
    died = killed(folder, number)
    print(died, *Checkpoints(folder).steps(), flush=True)
    for step in Checkpoints(folder).steps():
        assert torch.equal(Checkpoints(folder).read(step)["flat"], torch.full((9,), step - 1.0))
    save(folder)
    assert Checkpoints(folder).steps() == [2] and len(list(folder.iterdir())) == 1
    if not died:
        break
"""


@pytest.mark.fault(18, 19)
def test_killed_at_any_write_the_last_checkpoint_or_the_new_one_is_whole(tmp_path: Path) -> None:
    """One checkpoint is kept, and the process is gone before each touch of the disk in turn."""
    done = subprocess.run([sys.executable, "-c", SAVES, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *killed, whole = [line.split() for line in done.stdout.splitlines()]
    assert whole == ["0", "2"] and {tuple(steps) for _, *steps in killed} == {("1",), ("1", "2"), ("2",)}


@pytest.mark.fault(19)
def test_a_new_checkpoint_that_is_damaged_does_not_cost_the_old_one(tmp_path: Path) -> None:
    place = Checkpoints(tmp_path)
    for step in (1, 2):
        place.write(step, STATE, {})
    (place.path(2) / "state.safetensors").write_bytes(b"")
    place.keep_only([2])
    assert place.steps() == [1]


def test_last_common_step_counts_whole_checkpoints_alone(tmp_path: Path) -> None:
    a, b = Checkpoints(tmp_path / "a"), Checkpoints(tmp_path / "b")
    assert last_common([a, b]) is None
    for step in (1, 2, 3):
        a.write(step, STATE, {})
        b.write(step, STATE, {})
    (b.path(3) / "manifest.json").unlink()
    assert last_common([a, b]) == 2


HOLD = """
import sys, time
from pathlib import Path
from caplora.study.files import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.fault(22)
def test_second_writer_is_told_who_is_first_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "r4_a8"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None and first.stdout.readline().strip() == "held"
        with (
            pytest.raises(BusyError, match=rf"r4_a8 is being written by process {first.pid} on .* since 20"),
            only_writer(folder),
        ):
            pass
        first.kill()
        first.wait()
    time.sleep(0.1)
    with only_writer(folder):
        pass


def test_differences_name_the_place_and_both_values() -> None:
    before = {"training": {"steps": 600, "seed": 0}, "images": {"a.png": {"caption": "red"}, "b.png": {"caption": "x"}}}
    now = {"training": {"steps": 1000, "seed": 0}, "images": {"a.png": {"caption": "blue"}, "c.png": {"caption": "y"}}}
    assert differences(before, now) == [
        "training.steps: 600 → 1000",
        'images.a.png.caption: "red" → "blue"',
        'images.b.png: {"caption": "x"} → gone',
        'images.c.png: new, {"caption": "y"}',
    ]
    assert differences(now, json.loads(json.dumps(now))) == []


def test_what_is_set_aside_is_whole_and_never_covers_another(tmp_path: Path) -> None:
    for text in ("first", "second"):
        (tmp_path / "r4_a8").mkdir()
        (tmp_path / "r4_a8" / "x").write_text(text)
        set_aside(tmp_path / "r4_a8")
    assert (tmp_path / "r4_a8~1" / "x").read_text() == "first"
    assert (tmp_path / "r4_a8~2" / "x").read_text() == "second"
