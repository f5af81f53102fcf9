"""opening.py: no pickle is ever loaded, and a file that is no whole safetensors file says what it is."""

import json
import pickle
import random
import re
from pathlib import Path

import pytest
import torch

from caplora.lora.adapter_files import write_weights
from caplora.lora.reading import read_adapter
from tests.hostile import Trap
from tests.tiny import host_of, tiny_unet, trained_like


@pytest.mark.fault(28)
@pytest.mark.parametrize("name", ["a.bin", "a.pt", "a.ckpt", "a.safetensors"])
@pytest.mark.parametrize("zipped", [True, False])
def test_no_pickle_is_loaded_whatever_its_name(name: str, zipped: bool, tmp_path: Path) -> None:
    path, sprung = tmp_path / name, tmp_path / "sprung"
    if zipped:
        torch.save(Trap(sprung), path)
    else:
        path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(ValueError, match=rf"{name} is a pickle, .* ask for the adapter as \.safetensors, or make that"):
        read_adapter(path)
    assert not sprung.exists()
    if name != "a.safetensors":
        with pytest.raises(ValueError, match=rf"holds 0 adapters .* {name} is a pickle"):
            read_adapter(tmp_path)


def whole() -> bytes:
    adapter, path = trained_like(host_of(tiny_unet()), 2, 2), Path("whole.safetensors")
    write_weights(adapter, path, "kohya", {})
    return path.read_bytes()


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (lambda own: own[:-1], r"is cut off, [\d,]+ of at least [\d,]+ bytes are there: copy or download it again"),
        (lambda own: own[: len(own) // 2], "is cut off, "),
        (lambda own: own[:50], "is cut off, 50 of at least "),
        (lambda own: b"", "is empty: copy or download it again"),
        (lambda own: own[:5], "is no safetensors file"),
        (lambda own: own + b"more", "is no safetensors file"),
        (lambda own: b"x" * 100, "is no safetensors file"),
        (lambda own: b"<!DOCTYPE html><html>", "is a page of the web"),
        (
            lambda own: b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "is a pointer of Git LFS .* git lfs pull",
        ),
    ],
)
def test_a_file_that_is_not_whole_says_what_it_is(left, said: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "theirs.safetensors"
    path.write_bytes(left(whole()))
    with pytest.raises(ValueError, match=rf"theirs\.safetensors {said}"):
        read_adapter(path)


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
HEADERS = [
    {"a": 1}, {"a": None}, {"a": []}, {"a": {}}, {"a": "text"}, [], [{}], 1, {"__metadata__": 1},
    {"__metadata__": {"a": 1}}, {"a": {"dtype": "F32", "shape": [1]}}, ENTRY,
    *({"a": ENTRY | {"data_offsets": own}} for own in (None, [], [0], [0, "x"], [0, None], [0, [4]], {"1": 4}, "04")),
    *({"a": ENTRY | {"data_offsets": [0, end]}} for end in (-1, 4.5, True, 1e400, 2**64, 10**4299)),
    *({"a": ENTRY | {"shape": own}} for own in (None, 1, [-1], ["1"], [2**40, 2**40], [0])),
    *({"a": ENTRY | {"dtype": own}} for own in (None, 1, "F31", "F64", [])),
]  # fmt: skip


def headed(header: bytes, data: bytes = bytes(4)) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def assert_named(content: bytes, path: Path) -> None:
    """Whatever is wrong with a file, it is a ValueError that says which file."""
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        read_adapter(path)


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: repr(header)[:80])
def test_a_header_that_is_malformed_is_refused_by_the_name_of_the_file(header, tmp_path: Path) -> None:
    assert_named(headed(json.dumps(header).encode()), tmp_path / "theirs.safetensors")


@pytest.mark.parametrize("header", [b"", b"{", b"{}", b"[" * 9999, b'{"a":' * 9999, b"{\xff}", b'{"a":1}x'])
@pytest.mark.parametrize("stated", [0, 1, 10**6, 2**40, 2**64 - 1, None])
def test_a_header_of_another_length_is_refused_by_the_name_of_the_file(
    header: bytes, stated: int | None, tmp_path: Path
) -> None:
    size = len(header) if stated is None else stated
    assert_named(size.to_bytes(8, "little") + header, tmp_path / "theirs.safetensors")


@pytest.mark.parametrize("seed", range(4))
def test_bytes_changed_at_random_are_read_or_refused_by_name(seed: int, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng, path, own, said = random.Random(seed), tmp_path / "theirs.safetensors", whole(), []
    header = 8 + int.from_bytes(own[:8], "little")
    for _ in range(50):
        content = bytearray(own)
        for _ in range(rng.choice((1, 2, 8))):
            content[rng.randrange(rng.choice((8, 300, header, len(own))))] = rng.randrange(256)
        path.write_bytes(content)
        try:
            read_adapter(path)
        except ValueError as error:
            said.append(str(error))
    assert said and all(str(path) in text for text in said)
