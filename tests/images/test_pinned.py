"""pinned.py: a file from the hub is used whole and as it was pinned, or not at all, whatever the line does."""

import hashlib
import re
from pathlib import Path

import pytest

from caplora.images.pinned import Pinned, Source, fetch
from tests.sending import sending

CONTENT = bytes(range(256)) * 400
SOURCE = Source("owner/model", "a" * 40, "detector.onnx")


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("whole", ""),
        ("dropped", ""),
        ("cut", "could not be fetched: .*size"),
        ("changed", "sent SHA-256 .*thrown away"),
    ],
)
def test_what_a_server_cuts_or_changes_is_never_used(
    way: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kept" / "detector.onnx"
    pinned = Pinned(path, hashlib.sha256(CONTENT).hexdigest(), "images.faces.sha256", SOURCE)
    with sending(CONTENT, way, tmp_path / "cache", monkeypatch) as server:
        found = fetch(pinned)
    assert {*server.asked} == {f"/owner/model/resolve/{'a' * 40}/detector.onnx"}
    assert re.search(said, found) if said else not found
    assert path.read_bytes() == CONTENT if not said else not path.exists()
