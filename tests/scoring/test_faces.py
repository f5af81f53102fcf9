"""faces.py: likeness of the largest face, by real networks that find red squares and see colours."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caplora.images.face_encoder import FaceEncoder
from caplora.images.faces import BORDER, SIDE, Detector
from caplora.images.pinned import Absent
from caplora.sampling.samples import Sample
from caplora.scoring.embeddings import Embeddings, Encoder
from caplora.scoring.faces import LargestFace, face_table, load_faces, without_faces
from caplora.study.image_settings import FaceEncoder as Encoding
from caplora.study.image_settings import Faces, Images
from caplora.study.study import Study, read_study
from tests.detector import colour_encoder, red_square_detector

SIZE = SIDE - 2 * BORDER  # at which a picture is looked at as it is
DETECTOR, ENCODER = Detector(red_square_detector(), 0.7), FaceEncoder(colour_encoder())
CELL = 32


def picture(folder: Path, name: str, *faces: tuple[int, int], below: str = "#808080") -> Path:
    """A grey picture with a red cell, which is a face, at each place in cells; `below` it is what tells it apart."""
    image = Image.new("RGB", (SIZE, SIZE), "#808080")
    for x, y in faces:
        image.paste(below, ((x - 2) * CELL, (y + 1) * CELL, (x + 3) * CELL, (y + 4) * CELL))
        image.paste("#ff0000", (x * CELL, y * CELL, (x + 1) * CELL, (y + 1) * CELL))
    image.save(folder / name)
    return folder / name


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Two samples with a face, of which the first is the person, and one without."""
    paths = [
        picture(tmp_path, "same.png", (9, 9), below="#0000ff"),
        picture(tmp_path, "other.png", (5, 7), below="#00ff00"),
        picture(tmp_path, "none.png"),
    ]
    return [Sample("r4_a4", path, path.stem, 0, "test") for path in paths]


@pytest.fixture
def portraits(tmp_path: Path) -> list[Path]:
    """Three portraits: two of one person and one without a face."""
    blues = [("#0000ff", 6), ("#2000e0", 10)]
    return [picture(tmp_path, f"{x}.png", (x, 8), below=blue) for blue, x in blues] + [picture(tmp_path, "grey.png")]


def views() -> Embeddings:
    return Embeddings(LargestFace(DETECTOR, ENCODER))


def face_of(path: Path) -> np.ndarray:
    """The embedding of the largest face, by the room of images itself."""
    with Image.open(path) as image:
        return ENCODER.embedding(ENCODER.aligned(image, DETECTOR.faces(image)[0]))


def test_likeness_is_the_cosine_to_the_mean_and_to_the_nearest_of_the_faces_that_were_found(
    samples: list[Sample], portraits: list[Path]
) -> None:
    table = face_table(views(), samples, portraits).set_index(["metric", "prompt"])["value"]
    known = np.array([face_of(path) for path in portraits[:2]])
    mean = known.mean(0) / np.linalg.norm(known.mean(0))
    for name in ("same", "other"):
        own = face_of(next(s.path for s in samples if s.prompt == name))
        assert table["face_similarity", name] == pytest.approx(own @ mean, abs=1e-5)
        assert table["face_nearest", name] == pytest.approx((known @ own).max(), abs=1e-5)
    assert table["face_similarity", "same"] > 0.9 > table["face_similarity", "other"]


def test_sample_without_a_face_is_counted_and_is_like_nobody(samples: list[Sample], portraits: list[Path]) -> None:
    table = face_table(views(), samples, portraits).set_index(["metric", "prompt"])["value"]
    assert table["face_found"].to_dict() == {"same": 1.0, "other": 1.0, "none": 0.0}
    assert table["face_similarity", "none"] == table["face_nearest", "none"] == 0.0


def test_what_was_embedded_is_kept_and_a_file_of_pixels_is_looked_at_once(
    samples: list[Sample], portraits: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = LargestFace(DETECTOR, ENCODER)
    assert isinstance(encoder, Encoder)
    first = face_table(Embeddings(encoder, tmp_path / "kept"), samples, portraits)
    monkeypatch.setattr(Detector, "faces", lambda *_: pytest.fail("looked for again"))
    assert face_table(Embeddings(encoder, tmp_path / "kept"), samples, portraits).equals(first)
    stricter = LargestFace(Detector(red_square_detector(), 0.8), ENCODER)
    assert stricter.fingerprint != encoder.fingerprint


def test_portraits_without_a_face_give_no_rows_and_say_so(samples: list[Sample], portraits: list[Path]) -> None:
    for known in ([], portraits[2:]):
        assert face_table(views(), samples, known).empty
        assert without_faces(views(), known) == "Faces are not compared: none was found in the held-out portraits."
    assert without_faces(views(), portraits) == ""


def study_with(folder: Path, **files: bytes) -> Study:
    """The mini study in a folder, with the networks of faces that are given."""
    for name, content in files.items():
        (folder / f"{name}.onnx").write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    none = "0" * 64
    encoder = Encoding(model=str(folder / "encoder.onnx"), sha256=hashes.get("encoder", none))
    faces = Faces(model=str(folder / "detector.onnx"), sha256=hashes.get("detector", none), encoder=encoder)
    study = read_study("mini").model_copy(update={"images": Images(folder="x", faces=faces)})
    study._root = folder
    return study


def test_without_one_of_the_files_there_is_none_and_the_reason_names_it(tmp_path: Path) -> None:
    for files, lacks in (({}, "detector"), ({"detector": red_square_detector()}, "encoder")):
        found = load_faces(study_with(tmp_path, **files))
        assert isinstance(found, Absent)
        assert without_faces(found, []).startswith(f"Faces are not compared: {tmp_path / lacks}.onnx is not there")
    both = load_faces(study_with(tmp_path, detector=red_square_detector(), encoder=colour_encoder()))
    assert isinstance(both, Embeddings) and both.encoder.label == "encoder"
