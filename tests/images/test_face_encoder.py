"""face_encoder.py: a face is laid on the pattern by the formula, embedded by a real network, and pinned as YuNet is."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from caplora.images.face_encoder import FaceEncoder, open_face_encoder
from caplora.images.faces import Box, Face, Point
from caplora.images.pinned import Absent
from caplora.study.image_settings import FaceEncoder as Settings
from caplora.study.image_settings import Faces, Images
from caplora.study.study import Study, read_study
from tests.detector import COLOURS, PATCH, colour_encoder

PATTERN = np.array(  # of 112 × 112: eyes, nose, corners of the mouth (ArcFace, Deng et al. 2019; OpenCV has the same)
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
ENCODER = FaceEncoder(colour_encoder())


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The 2 × 3 similarity that takes points nearest to others in squares (Umeyama 1991, eq. 38 to 42)."""
    middle, other = source.mean(0), target.mean(0)
    U, D, V = np.linalg.svd((target - other).T @ (source - middle) / len(source))
    S = np.diag([1.0, np.sign(np.linalg.det(U) * np.linalg.det(V))])
    scale = np.trace(np.diag(D) @ S) / ((source - middle) ** 2).sum(1).mean()
    turn = scale * U @ S @ V
    return np.column_stack([turn, other - turn @ middle])


def turned(points: np.ndarray, degrees: float, scale: float, to: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * (points - 56) @ turn.T + to


def face_at(points: np.ndarray) -> Face:
    low, size = points.min(0), np.ptp(points, 0)
    return Face(Box(*(low - size / 2), *(2 * size)), *(Point(x, y) for x, y in points.tolist()), confidence=0.9)


def smooth(width: int, height: int) -> Image.Image:
    """A picture without edges, so that every way of interpolating sees the same."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([40 + x / 5, 60 + y / 4, 200 - (x + y) / 8], 2).astype(np.uint8))


def embeddings(pictures: list[Image.Image], faces: list[Face]) -> np.ndarray:
    return np.array([ENCODER.embedding(ENCODER.aligned(*pair)) for pair in zip(pictures, faces, strict=True)])


@pytest.mark.parametrize("degrees", [0, 30, -75, 180])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.2, 6.5])  # of the pattern; the last is made smaller first
def test_a_face_is_aligned_by_the_similarity_of_its_five_landmarks(degrees: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    points = turned(PATTERN + rng.normal(0, 2, (5, 2)), degrees, scale, (300, 290))
    picture, matrix = smooth(600, 580), umeyama(points, PATTERN)
    back = np.linalg.inv(matrix[:, :2])
    y, x = np.mgrid[:112, :112]
    places = (np.stack([x, y], -1) - matrix[:, 2]) @ back.T
    inside = ((places >= 2) & (places < [597, 577])).all(-1)
    expected = np.stack([40 + places[..., 0] / 5, 60 + places[..., 1] / 4, 200 - places.sum(-1) / 8], -1)
    made = ENCODER.aligned(picture, face_at(points))
    assert inside.mean() > 0.4
    assert np.abs(made[inside] - expected[inside]).max() < 2  # whole numbers, and a shift of half a pixel
    assert made.shape == (112, 112, 3)


def test_landmarks_lie_where_the_pattern_has_them() -> None:
    points = turned(PATTERN, 30, 2.0, (300, 290))
    picture = Image.new("RGB", (600, 580))
    for x, y in points:
        ImageDraw.Draw(picture).ellipse((x - 5, y - 5, x + 5, y + 5), fill="white")
    luma = ENCODER.aligned(picture, face_at(points)).astype(float).mean(2)
    for x, y in PATTERN:
        spot = luma[round(y) - 8 : round(y) + 9, round(x) - 8 : round(x) + 9]
        rows, columns = np.mgrid[:17, :17]
        middle = ((columns * spot).sum() / spot.sum() - 8 + round(x), (rows * spot).sum() / spot.sum() - 8 + round(y))
        assert middle == pytest.approx((x, y), abs=0.6)  # a dot is drawn on whole pixels


def test_embeddings_are_the_networks_of_the_aligned_pixels_in_rgb_and_of_unit_length() -> None:
    points = [turned(PATTERN, 10 * k, 1.5, (200 + 50 * k, 250)) for k in range(3)]
    pictures, faces = [smooth(600, 580)] * 3, [face_at(p) for p in points]
    found = embeddings(pictures, faces)
    for one, picture, face in zip(found, pictures, faces, strict=True):
        cells = ENCODER.aligned(picture, face).astype(float).reshape(4, PATCH, 4, PATCH, 3).mean((1, 3))
        expected = (cells @ COLOURS.T).transpose(2, 0, 1).ravel()
        assert one == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


def test_the_same_person_is_near_wherever_the_face_is_and_however_it_is_turned() -> None:
    pictures, faces = [], []
    for degrees, scale, at in [(0, 1, (150, 150)), (30, 2, (300, 250)), (-90, 3, (280, 300))]:
        picture = Image.new("RGB", (600, 580), "grey")
        for colour, low, high in [("red", -9, 121), ("blue", 0, 56)]:  # of the pattern: its whole, and a corner
            corners = np.array([[low, low], [high, low], [high, high], [low, high]])
            ImageDraw.Draw(picture).polygon([(x, y) for x, y in turned(corners, degrees, scale, at)], colour)
        pictures.append(picture)
        faces.append(face_at(turned(PATTERN, degrees, scale, at)))
    found = embeddings(pictures, faces)
    assert (found @ found.T).min() > 0.99


def test_what_an_encoder_says_of_itself_changes_with_its_file() -> None:
    other = FaceEncoder(colour_encoder() + b"")
    assert (ENCODER.fingerprint, ENCODER.weights) == (other.fingerprint, other.weights)
    assert ENCODER.weights == hashlib.sha256(colour_encoder()).hexdigest()[:12]
    assert ENCODER.label == "sface" and cv2.__version__ in ENCODER.versions


def study_with(tmp_path: Path, content: bytes, sha256: str = "") -> Study:
    (tmp_path / "colours.onnx").write_bytes(content)
    settings = Settings(model=str(tmp_path / "colours.onnx"), sha256=sha256 or hashlib.sha256(content).hexdigest())
    return read_study("mini").model_copy(update={"images": Images(folder="x", faces=Faces(encoder=settings))})


def test_an_encoder_of_the_right_hash_is_opened_and_of_another_never(tmp_path: Path) -> None:
    encoder = open_face_encoder(study_with(tmp_path, colour_encoder()))
    assert isinstance(encoder, FaceEncoder) and encoder.label == "colours"
    absent = open_face_encoder(study_with(tmp_path, colour_encoder(), "0" * 64))
    assert isinstance(absent, Absent)
    assert "images.faces.encoder.sha256" in absent.reason and "0" * 64 in absent.reason


@pytest.mark.parametrize("content", [b"", b"not a network", colour_encoder()[:5000]])
def test_a_file_that_is_no_encoder_is_a_reason_and_no_error(tmp_path: Path, content: bytes) -> None:
    absent = open_face_encoder(study_with(tmp_path, content))
    assert isinstance(absent, Absent) and "colours.onnx cannot be used" in absent.reason
