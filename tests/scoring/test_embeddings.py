"""embeddings.py: every picture goes through an encoder once, and another picture or encoder is noticed."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from caplora.scoring import embeddings
from caplora.scoring.embeddings import Embeddings, embed, fingerprint_of
from tests.tiny import pixels_of


class Means:
    """An encoder that says the mean of each colour, and counts the pictures it was shown."""

    label, weights, versions, shown = "means", "0" * 12, "none", "as it is"

    def __init__(self, fingerprint: str = "f" * 32) -> None:
        self.fingerprint, self.seen, self.prepared = fingerprint, 0, 0

    def pixels(self, images: Sequence[Image.Image]) -> Tensor:
        self.prepared += len(images)
        return pixels_of(images)

    def embed_pixels(self, pixels: Tensor) -> Tensor:
        self.seen += len(pixels)
        return pixels.mean((2, 3))


def picture(path: Path, level: int) -> Path:
    Image.new("RGB", (8, 8), (level, 0, 0)).save(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return [picture(tmp_path / f"{i}.png", i) for i in range(5)]


def test_each_picture_is_embedded_once_whatever_is_asked_for_and_whenever(pictures: list[Path], tmp_path: Path) -> None:
    first = Means()
    views = Embeddings(first, tmp_path / "kept", batch_size=2)
    assert [len(batch) for batch in embed([views], pictures)] == [2, 2, 1]
    found = views.images([*pictures, pictures[0]])
    assert first.seen == 5 and torch.equal(found[0], found[5])
    assert found[:, 0].tolist() == [0, 1, 2, 3, 4, 0]
    again = Means()
    assert torch.equal(Embeddings(again, tmp_path / "kept", batch_size=3).images(pictures), found[:5])
    assert again.seen == 0


def test_a_picture_is_decoded_once_for_all_encoders(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    real = embeddings.open_picture
    monkeypatch.setattr(embeddings, "open_picture", lambda path: opened.append(path) or real(path))
    both = [Embeddings(Means(), batch_size=2), Embeddings(Means(), batch_size=3)]
    list(embed(both, pictures))
    assert sorted(opened) == sorted(pictures)
    assert all(len(views.kept) == 5 and views.encoder.seen == 5 for views in both)


def test_a_picture_is_made_ready_once_for_all_encoders_that_are_shown_the_same(pictures: list[Path]) -> None:
    encoders = [Means(), Means("e" * 32), Means("d" * 32)]
    encoders[2].shown = "otherwise"  # type: ignore[misc]
    list(embed([Embeddings(encoder, batch_size=2) for encoder in encoders], pictures))
    assert [encoder.seen for encoder in encoders] == [5, 5, 5]
    assert encoders[0].prepared + encoders[1].prepared == 5 and encoders[2].prepared == 5


def test_an_encoder_that_lacks_some_pictures_of_a_batch_is_shown_those(pictures: list[Path]) -> None:
    some, none = Embeddings(Means(), batch_size=5), Embeddings(Means(), batch_size=5)
    some.images([pictures[1], pictures[3]])
    list(embed([some, none], pictures))
    assert some.encoder.seen == 5 and none.encoder.seen == 5  # type: ignore[attr-defined]
    assert some.images(pictures)[:, 0].tolist() == none.images(pictures)[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_picture_that_fails_fails_after_the_batches_before_it(pictures: list[Path], tmp_path: Path) -> None:
    views = Embeddings(Means(), batch_size=2)
    (tmp_path / "note.png").write_text("hello", encoding="utf-8")
    with pytest.raises(ValueError, match="cannot be scored"):
        list(embed([views], [*pictures[:4], tmp_path / "note.png"]))
    assert len(views.kept) == 4


def test_a_picture_under_another_name_is_the_same_and_a_changed_one_another(
    pictures: list[Path], tmp_path: Path
) -> None:
    encoder = Means()
    views = Embeddings(encoder, tmp_path / "kept")
    views.images(pictures)
    Image.open(pictures[3]).save(tmp_path / "copy.bmp")
    assert views.images([tmp_path / "copy.bmp"])[0, 0] == 3 and encoder.seen == 5
    time.sleep(0.01)
    picture(pictures[3], 200)
    assert views.images([pictures[3]])[0, 0] == 200 and encoder.seen == 6


def test_another_encoder_begins_anew(pictures: list[Path], tmp_path: Path) -> None:
    Embeddings(Means(), tmp_path / "kept").images(pictures)
    other = Means("e" * 32)
    Embeddings(other, tmp_path / "kept").images(pictures)
    assert other.seen == 5


@pytest.mark.parametrize(
    ("weights", "preprocessing", "versions", "device"),
    [
        ("b", {"size": 8}, "1", "cpu"),
        ("a", {"size": 9}, "1", "cpu"),
        ("a", {"size": 8}, "2", "cpu"),
        ("a", {"size": 8}, "1", "cuda"),
    ],
)
def test_whatever_decides_an_embedding_decides_the_fingerprint(
    weights: str, preprocessing: dict[str, int], versions: str, device: str
) -> None:
    same = fingerprint_of("a", {"size": 8}, "1", torch.device("cpu"))
    assert fingerprint_of("a", {"size": 8}, "1", torch.device("cpu")) == same
    assert fingerprint_of(weights, preprocessing, versions, torch.device(device)) != same


def test_a_run_that_was_stopped_goes_on_after_its_last_batch(pictures: list[Path], tmp_path: Path) -> None:
    next(embed([Embeddings(Means(), tmp_path / "kept", batch_size=2)], pictures))
    rest = Means()
    list(embed([Embeddings(rest, tmp_path / "kept", batch_size=2)], pictures))
    assert rest.seen == 3


def test_without_a_folder_nothing_is_written(pictures: list[Path], tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    assert len(Embeddings(Means()).images(pictures)) == 5
    assert set(tmp_path.rglob("*")) == before


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("hello", encoding="utf-8")
    with pytest.raises(ValueError, match=r"note\.png cannot be scored: not an image"):
        Embeddings(Means()).images([tmp_path / "note.png"])
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        Embeddings(Means()).images([tmp_path / "gone.png"])


def test_a_damaged_file_of_embeddings_is_named(pictures: list[Path], tmp_path: Path) -> None:
    Embeddings(Means(), tmp_path / "kept").images(pictures)
    [file] = (tmp_path / "kept").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(ValueError, match=rf"{file.name} is damaged .*delete it"):
        Embeddings(Means(), tmp_path / "kept")
