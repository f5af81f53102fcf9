"""An upright picture → its faces, found by YuNet in OpenCV (Wu et al. 2023): box, five landmarks, roll and yaw.

The detector is one small file, which a study names and pins by its hash; it does not come with caplora. Without it
everything else works, and the reader is told why no faces were looked for. This file does not know crops or limits.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import huggingface_hub
import numpy as np
from huggingface_hub import constants
from PIL import Image

from caplora.study import Study, replacing

REPOSITORY = "opencv/face_detection_yunet"  # on the hub, the OpenCV Zoo's own copy; MIT licence
REVISION, FILE = "3cc26e7f1014a5ee5d74a42acee58bafc9d0a310", "face_detection_yunet_2023mar.onnx"
SIDE = 640  # pixels; the network was exported for this input, and OpenCV's newer engines take no other
PROTRUSION = 0.6  # how far the tip of the nose lies in front of the eyes, in eye distances; faces vary


class Box(NamedTuple):
    """A rectangle in pixels from the upper left corner."""

    x: float
    y: float
    width: float
    height: float


class Point(NamedTuple):
    """A place in pixels from the upper left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class Face:
    """One face; left and right are as the picture shows them."""

    box: Box
    left_eye: Point
    right_eye: Point
    nose: Point
    left_mouth: Point
    right_mouth: Point
    confidence: float

    @property
    def area(self) -> float:
        """The area of the box, in pixels."""
        return self.box.width * self.box.height

    @property
    def roll(self) -> float:
        """The angle of the line through the eyes, in degrees clockwise from level, in (-180, 180]."""
        return math.degrees(math.atan2(self.right_eye.y - self.left_eye.y, self.right_eye.x - self.left_eye.x))

    @property
    def yaw(self) -> float:
        """How far the head is turned to the right of the picture, in degrees, in (-90, 90); an estimate.

        In parallel projection the nose moves along the line of the eyes by PROTRUSION · tan(yaw) eye distances.
        """
        dx, dy = self.right_eye.x - self.left_eye.x, self.right_eye.y - self.left_eye.y
        nose_x = self.nose.x - (self.left_eye.x + self.right_eye.x) / 2
        nose_y = self.nose.y - (self.left_eye.y + self.right_eye.y) / 2
        along, distance = nose_x * dx + nose_y * dy, dx * dx + dy * dy
        return math.degrees(math.atan2(along, PROTRUSION * distance))


@dataclass(frozen=True)
class Absent:
    """There is no detector, and why: faces are not looked for, everything else works."""

    reason: str


class Detector:
    """YuNet, or another network that OpenCV's FaceDetectorYN can run, from the bytes of its file."""

    def __init__(self, onnx: bytes, confidence: float) -> None:
        weights, nothing = np.frombuffer(onnx, np.uint8), np.empty(0, np.uint8)
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # OpenCV 5 warns of its own default
        try:
            self._network = cv2.FaceDetectorYN.create("onnx", weights, nothing, (SIDE, SIDE), confidence)
        finally:
            cv2.utils.logging.setLogLevel(level)

    def faces(self, image: Image.Image) -> tuple[Face, ...]:
        """The faces of an upright RGB picture, the largest first."""
        scale = SIDE / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        small = cv2.resize(np.asarray(image.convert("RGB")), size, interpolation=cv2.INTER_AREA)
        padded = np.zeros((SIDE, SIDE, 3), np.uint8)
        padded[: size[1], : size[0]] = small[..., ::-1]  # BGR
        rows = self._network.detect(padded)[1]
        found = [_face(np.asarray(row, np.float64), scale, image) for row in ([] if rows is None else rows)]
        return tuple(sorted(found, key=lambda face: -face.area))


def _face(row: np.ndarray, scale: float, image: Image.Image) -> Face:
    """The face in a row of FaceDetectorYN.

    A row holds the box, the person's right eye, left eye, nose, right and left corner of the mouth, and the confidence.
    """
    x, y, width, height = (row[:4] / scale).tolist()
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + width, image.width), min(y + height, image.height)
    eye, eye2, nose, mouth, mouth2 = (Point(px, py) for px, py in (row[4:14] / scale).reshape(5, 2).tolist())
    box = Box(left, top, max(right - left, 0.0), max(bottom - top, 0.0))
    return Face(box, eye, eye2, nose, mouth, mouth2, float(row[14]))


def open_detector(study: Study) -> Detector | Absent:
    """The study's detector, fetched first if the study asks for it; or the reason why there is none."""
    faces = study.images.faces
    path = study.path(faces.model)
    if not path.is_file():
        if not faces.fetch:
            return Absent(f"{path} is not there: images.faces.fetch: true gets it once")
        if problem := fetch_detector(path, faces.sha256):
            return Absent(problem)
    try:
        content = path.read_bytes()
        if digest := _other_hash(content, faces.sha256):
            wanted = f"not {faces.sha256} (images.faces.sha256)"
            return Absent(f"{path} has SHA-256 {digest}, {wanted}: remove it, or correct the study")
        return Detector(content, faces.confidence)
    except (OSError, cv2.error) as error:
        return Absent(f"{path} cannot be used: {error}")


def fetch_detector(path: Path, sha256: str) -> str:
    """Fetch the detector from the hub to `path`, whole or not at all; returns why that failed, or nothing."""
    if constants.HF_HUB_OFFLINE:
        return f"{path} is not there and HF_HUB_OFFLINE forbids to fetch it"
    try:
        content = Path(huggingface_hub.hf_hub_download(REPOSITORY, FILE, revision=REVISION)).read_bytes()
        if digest := _other_hash(content, sha256):
            return f"{REPOSITORY} sent SHA-256 {digest}, not {sha256} (images.faces.sha256): it was thrown away"
        with replacing(path) as part:
            part.write_bytes(content)
    except Exception as error:  # no network, no space, whatever it is: the run goes on without faces
        return f"{path} could not be fetched: {error}"
    return ""


def faces_note(detector: Detector | Absent) -> str:
    """A sentence for the reader: whether faces were looked for, and if not, why."""
    return f"faces were not looked for: {detector.reason}" if isinstance(detector, Absent) else "faces were looked for"


def _other_hash(content: bytes, sha256: str) -> str:
    """The SHA-256 of `content` if it is not `sha256`, else nothing."""
    digest = hashlib.sha256(content).hexdigest()
    return "" if digest == sha256 else digest
