"""room.py: what a training takes of the disk is known before it begins, and a disk too small is refused."""

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

from caplora.training.grid import Grid, claim
from caplora.training.packs import plan_packs, train_grid
from caplora.training.room import bytes_of, bytes_to_come
from tests.training.test_grid import SETTINGS, VARIANTS, grid_in, run


def taken(grid: Grid) -> int:
    """Bytes of all that lies in the variants' folders."""
    return sum(p.stat().st_size for v in VARIANTS for p in grid.study.adapter(v).rglob("*") if p.is_file())


def free_is(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))


def weights_in(folder: Path) -> int:
    """Bytes of the matrices in all files below a folder."""
    files = [load_file(path) for path in folder.rglob("*.safetensors")]
    return sum(own.nbytes for tensors in files for own in tensors.values() if own.ndim > 1)


@pytest.mark.parametrize("keep", [None, (2, 4)])
def test_what_is_counted_is_all_that_a_finished_training_holds_and_two_checkpoints(
    keep: tuple[int, ...] | None, tmp_path: Path
) -> None:
    """Between steps there is neither an older best checkpoint nor one that is being written."""
    grid = grid_in(tmp_path, SETTINGS.model_copy(update={"keep": keep, "validation_steps": 0}))
    run(grid)
    adapters = grid.study.adapter(VARIANTS[0]).parent
    for variant in VARIANTS:
        one = weights_in(grid.checkpoints(variant).path(6))
        held = sum(weights_in(folder) for folder in adapters.glob(f"{variant.name}*"))
        assert bytes_of(grid, variant) == held + 2 * one


@pytest.mark.fault(17)
def test_a_disk_too_small_is_refused_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = grid_in(tmp_path)
    needed = sum(bytes_of(grid, v) for v in VARIANTS)
    claim(grid, VARIANTS)
    free_is(monkeypatch, needed - taken(grid) - 1)
    with pytest.raises(OSError, match=r"2 variants takes .* MB .* are free in .*adapters: make room, .*keep") as error:
        next(train_grid(grid, plan_packs(grid, VARIANTS).packs))
    assert error.value.errno == errno.ENOSPC and grid.checkpoints(VARIANTS[0]).steps() == []
    free_is(monkeypatch, needed)
    assert [step.number for step in run(grid)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.fault(17)
def test_what_lies_there_is_room_that_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = grid_in(tmp_path)
    run(grid, steps=4)
    left = sum(bytes_to_come(grid, v) for v in VARIANTS)
    assert left < sum(bytes_of(grid, v) for v in VARIANTS)
    free_is(monkeypatch, left)
    run(grid)
    free_is(monkeypatch, 0)
    assert run(grid) == []
