"""memory.py: packs as large as the memory allows, and no larger."""

from pathlib import Path

import pytest
import torch
from torch import nn

from caplora.models import memory
from caplora.models.memory import bytes_kept, even_packs, fits, free_bytes, out_of_memory_names, packs_within


def test_bytes_kept_are_the_inputs_of_each_product_and_not_the_weights() -> None:
    model = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False))
    x = torch.ones(100, 64)
    assert bytes_kept(lambda: model(x).sum(), model) == 2 * 100 * 64 * 4  # x and what the first layer makes of it


def test_bytes_kept_grow_with_the_batch() -> None:
    layer = nn.Sequential(nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 32))
    one, four = (bytes_kept(lambda n=n: layer(torch.ones(n, 32)).sum(), layer) for n in (8, 32))
    assert four == 4 * one


@pytest.mark.parametrize(
    ("free", "sizes"), [(10**6, [9]), (1300 * 5, [3, 3, 3]), (1300 * 8, [4, 5]), (1300, [1] * 9), (0, [1] * 9)]
)
def test_packs_fit_and_are_of_even_size(free: int, sizes: list[int]) -> None:
    packs = packs_within(range(9), 1000, free)
    assert sorted(len(p) for p in packs) == sizes
    assert [item for pack in packs for item in pack] == list(range(9))
    assert all(len(p) == 1 or len(p) * 1300 <= 0.8 * free for p in packs)


def test_free_memory_is_within_the_limit_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = free_bytes(torch.device("cpu"))
    assert whole > 0
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert free_bytes(torch.device("cpu")) == 600000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(torch.device("cpu")) > 600000


@pytest.mark.parametrize("count", range(9))
def test_even_packs_hold_everything_in_order_and_differ_by_one_at_most(count: int) -> None:
    packs = even_packs(range(count), 3)
    assert [item for pack in packs for item in pack] == list(range(count))
    assert len(packs) == -(-count // 3) and all(0 < len(pack) <= 3 for pack in packs)
    assert max(map(len, packs), default=0) - min(map(len, packs), default=0) <= 1


@pytest.mark.fault(27)
def test_out_of_memory_names_what_did_not_fit_and_the_setting_to_change() -> None:
    with (
        pytest.raises(torch.OutOfMemoryError, match=r"^a step of 6 .* lower training\.batch_size; what is") as raised,
        out_of_memory_names("a step of 6 variants", "lower training.batch_size"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert str(raised.value.__cause__) == "CUDA out of memory"


def test_a_thing_fits_with_room_for_what_it_needs_besides() -> None:
    assert fits(1000, 1700) and not fits(1000, 1600)
