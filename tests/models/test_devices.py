"""devices.py: what there is to compute with, said so that a person knows what to do."""

from types import SimpleNamespace

import pytest
import torch

from caplora.models import devices


def test_without_a_gpu_it_says_what_still_runs_and_where_the_gpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "device_of", lambda: torch.device("cpu"))
    assert devices.device_said().startswith("no GPU, ") and "Change runtime type → T4 GPU" in devices.device_said()


@pytest.mark.parametrize(
    ("name", "mebibytes", "bf16", "said"),
    [("Tesla T4", 15095, False, "Tesla T4, 15 GB, fp16"), ("NVIDIA L4", 22692, True, "NVIDIA L4, 22 GB, bf16")],
)
def test_a_card_is_named_with_its_memory_and_precision(
    monkeypatch: pytest.MonkeyPatch, name: str, mebibytes: int, bf16: bool, said: str
) -> None:
    card = SimpleNamespace(name=name, total_memory=mebibytes * 2**20)
    monkeypatch.setattr(devices, "device_of", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    assert devices.device_said() == said


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    ("major", "minor", "precision"), [(6, 1, "fp16"), (7, 0, "fp16"), (7, 5, "fp16"), (8, 0, "bf16"), (9, 0, "bf16")]
)
def test_bf16_is_for_cards_that_compute_it_and_not_for_those_that_emulate_it(
    monkeypatch: pytest.MonkeyPatch, major: int, minor: int, precision: str
) -> None:
    """A T4 is 7.5, and torch says of it that bf16 is supported."""
    card = SimpleNamespace(major=major, minor=minor)
    for name, value in {
        "is_available": lambda: True,
        "current_device": lambda: 0,
        "get_device_properties": lambda device=None: card,
        "get_device_capability": lambda device=None: (major, minor),
        "_check_bf16_tensor_supported": lambda device: True,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    assert torch.cuda.is_bf16_supported()  # emulation counts
    assert devices.precision_of(torch.device("cuda")) == precision
