"""faces.py: how a head is held, by formula; where faces are, by a real network; and a run without either."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import cv2
import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.cbook import get_sample_data
from PIL import Image

from caplora.images.faces import (
    BORDER,
    PROTRUSION,
    SIDE,
    SOURCE,
    Box,
    Detector,
    Face,
    Point,
    open_detector,
)
from caplora.images.persons import faces_note
from caplora.images.pinned import Absent, Pinned, fetch
from caplora.study.image_settings import Faces, Images
from caplora.study.study import Study, read_study
from tests.detector import BOX, LANDMARKS, red_square_detector

degrees = st.floats(-80, 80)


def head(yaw: float = 0, roll: float = 0, size: float = 100, at: tuple[float, float] = (300, 200)) -> Face:
    """A head in parallel projection: nose PROTRUSION before the eyes; turned, then tilted."""
    turn, tilt = math.radians(yaw), math.radians(roll)

    def seen(x: float, y: float, z: float) -> Point:
        across, down = x * math.cos(turn) + z * math.sin(turn), y
        return Point(
            at[0] + size * (across * math.cos(tilt) - down * math.sin(tilt)),
            at[1] + size * (across * math.sin(tilt) + down * math.cos(tilt)),
        )

    eyes, mouth = (seen(-0.5, 0, 0), seen(0.5, 0, 0)), (seen(-0.4, 1, 0.2), seen(0.4, 1, 0.2))
    return Face(Box(*at, size, size), *eyes, seen(0, 0.6, PROTRUSION), *mouth, confidence=1.0)


def with_red(width: int, height: int, *cells: tuple[int, int]) -> Image.Image:
    """A grey picture with a red square where the detector's cells (column, row) lie in it."""
    side = 32 * max(width, height) / (SIDE - 2 * BORDER)
    picture = np.full((height, width, 3), 90, np.uint8)
    for column, row in cells:
        y, x = (
            slice(round(row * side), round((row + 1) * side)),
            slice(round(column * side), round((column + 1) * side)),
        )
        picture[y, x] = (255, 0, 0)
    return Image.fromarray(picture)


def study_with(tmp_path: Path, **faces: str | bool) -> Study:
    """A study whose detector is `detector.onnx` in a folder of its own."""
    study = read_study("mini")
    images = Images(folder="unused", faces=Faces(model=str(tmp_path / "detector.onnx"), **faces))
    return study.model_copy(update={"images": images})


@given(roll=st.floats(-179, 179), yaw=degrees)
def test_roll_is_the_angle_by_which_the_head_is_tilted_whatever_its_yaw(roll: float, yaw: float) -> None:
    assert head(yaw, roll).roll == pytest.approx(roll, abs=1e-6)


@given(yaw=degrees, roll=degrees, size=st.floats(5, 2000), x=st.floats(-500, 4000))
def test_yaw_is_the_angle_by_which_the_head_is_turned_wherever_it_is(
    yaw: float, roll: float, size: float, x: float
) -> None:
    assert head(yaw, roll, size, (x, 100)).yaw == pytest.approx(yaw, abs=1e-4)


@given(yaw=degrees, roll=degrees)
def test_a_mirrored_head_is_turned_and_tilted_the_other_way(yaw: float, roll: float) -> None:
    def flip(point: Point) -> Point:
        return Point(-point.x, point.y)

    one = head(yaw, roll)
    eyes, mouth = (flip(one.right_eye), flip(one.left_eye)), (flip(one.right_mouth), flip(one.left_mouth))
    other = Face(one.box, *eyes, flip(one.nose), *mouth, confidence=1.0)
    assert (other.yaw, other.roll) == pytest.approx((-one.yaw, -one.roll), abs=1e-4)


@pytest.mark.parametrize(("width", "height"), [(640, 640), (320, 200), (90, 640), (1600, 2400)])
def test_a_face_is_found_where_it_is_at_any_size_and_shape(width: int, height: int) -> None:
    column, row, side = (1 if width < 200 else 6), 4, 32 * max(width, height) / (SIDE - 2 * BORDER)
    (face,) = Detector(red_square_detector(), 0.7).faces(with_red(width, height, (column, row)))
    left, top = column + BOX[0] - BOX[2] / 2, row + BOX[1] - BOX[3] / 2
    assert face.box == pytest.approx((left * side, top * side, BOX[2] * side, BOX[3] * side), rel=0.02, abs=side / 50)
    points = (face.left_eye, face.right_eye, face.nose, face.left_mouth, face.right_mouth)
    expected = [((column + x) * side, (row + y) * side) for x, y in LANDMARKS]
    assert np.asarray(points) == pytest.approx(np.asarray(expected), rel=0.02)
    assert face.roll == pytest.approx(math.degrees(math.atan2(0.2, 2)), abs=0.1)
    assert face.confidence > 0.9


def test_a_box_goes_on_beyond_the_edge_of_a_picture_that_cuts_the_face() -> None:
    faces = Detector(red_square_detector(), 0.7).faces(with_red(576, 480, (0, 0), (17, 14)))
    assert sorted(face.box for face in faces) == [
        pytest.approx((-32, -48, 96, 128), abs=0.1),
        pytest.approx((16 * 32, 12.5 * 32, 96, 128), abs=0.1),
    ]
    assert [face.box.within(Box(0, 0, 576, 480)).area for face in faces].count(0) == 0
    assert faces[0].box.within(Box(1000, 0, 5, 5)).area == 0


def test_a_picture_without_a_face_has_none() -> None:
    assert Detector(red_square_detector(), 0.7).faces(with_red(300, 200)) == ()


def test_a_detector_of_the_right_hash_is_opened(tmp_path: Path) -> None:
    content = red_square_detector()
    (tmp_path / "detector.onnx").write_bytes(content)
    detector = open_detector(study_with(tmp_path, sha256=hashlib.sha256(content).hexdigest()))
    assert isinstance(detector, Detector)
    assert faces_note(detector) == "faces were looked for"


def test_a_detector_that_lacks_is_a_reason_and_no_error(tmp_path: Path) -> None:
    note = faces_note(open_detector(study_with(tmp_path)))
    assert note.startswith(f"faces were not looked for: {tmp_path / 'detector.onnx'} is not there")
    assert "images.faces.fetch" in note


def test_a_detector_of_another_hash_is_never_used(tmp_path: Path) -> None:
    content = red_square_detector()
    (tmp_path / "detector.onnx").write_bytes(content)
    absent = open_detector(study_with(tmp_path))
    assert isinstance(absent, Absent)
    assert hashlib.sha256(content).hexdigest() in absent.reason and "images.faces.sha256" in absent.reason


@pytest.mark.parametrize("content", [b"", b"not a network", red_square_detector()[:5000]])
def test_a_file_that_is_no_detector_is_a_reason_and_no_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "detector.onnx").write_bytes(content)
    absent = open_detector(study_with(tmp_path, sha256=hashlib.sha256(content).hexdigest()))
    assert isinstance(absent, Absent)
    assert "detector.onnx cannot be used" in absent.reason


@pytest.mark.fault(25)
def test_nothing_is_fetched_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    absent = open_detector(study_with(tmp_path, fetch=True))
    assert isinstance(absent, Absent)
    assert "HF_HUB_OFFLINE" in absent.reason
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(25)
@pytest.mark.parametrize(("sent", "says"), [(b"a page", "was thrown away"), (None, "could not be fetched")])
def test_what_was_sent_is_kept_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes | None, says: str
) -> None:
    (tmp_path / "sent").write_bytes(sent or red_square_detector())

    def download(*_: str, revision: str) -> str:
        return str(tmp_path / ("sent" if sent else "lost"))

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    path = tmp_path / "cache" / "detector.onnx"
    pinned = Pinned(path, hashlib.sha256(red_square_detector()).hexdigest(), "images.faces.sha256", SOURCE)
    assert says in fetch(pinned)
    assert not path.exists()
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, revision: str(tmp_path / "sent"))
    assert fetch(replace(pinned, sha256=hashlib.sha256((tmp_path / "sent").read_bytes()).hexdigest())) == ""
    assert path.read_bytes() == (tmp_path / "sent").read_bytes()
    assert [p.name for p in path.parent.iterdir()] == ["detector.onnx"]


def test_opening_a_detector_leaves_the_log_level_of_opencv_alone(tmp_path: Path) -> None:
    content, before = red_square_detector(), cv2.utils.logging.getLogLevel()
    (tmp_path / "detector.onnx").write_bytes(content)
    open_detector(study_with(tmp_path, sha256=hashlib.sha256(content).hexdigest()))
    assert cv2.utils.logging.getLogLevel() == before


@pytest.mark.network
def test_yunet_is_fetched_by_its_hash_and_finds_the_one_face_of_a_portrait(tmp_path: Path) -> None:
    detector = open_detector(study_with(tmp_path, fetch=True))
    assert isinstance(detector, Detector), detector
    with get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:  # 512 × 600, in matplotlib
        portrait = image.convert("RGB")
    (face,) = detector.faces(portrait)
    x, y, width, height = face.box
    assert 130 < x + width / 2 < 340 and 60 < y + height / 2 < 300
    assert face.left_eye.x < face.nose.x < face.right_eye.x
    assert face.left_eye.y < face.nose.y < face.left_mouth.y
    assert abs(face.roll) < 20
    (turned,) = detector.faces(portrait.rotate(-15, Image.Resampling.BICUBIC))
    assert turned.roll - face.roll == pytest.approx(15, abs=4)


def test_in_drawings_no_faces_are_looked_for_though_the_files_are_there(tmp_path: Path) -> None:
    content = red_square_detector()
    (tmp_path / "detector.onnx").write_bytes(content)
    study = study_with(tmp_path, sha256=hashlib.sha256(content).hexdigest())
    assert isinstance(open_detector(study), Detector)
    drawn = study.model_copy(update={"images": study.images.model_copy(update={"photographs": False})})
    assert open_detector(drawn) == Absent("images.photographs is false, and in drawings no faces are looked for")
    assert read_study("mini").images.photographs is read_study("mini_reviewed").images.photographs is False
