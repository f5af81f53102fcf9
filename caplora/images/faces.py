"""An upright picture → its faces, found by YuNet in OpenCV (Wu et al. 2023): box, five landmarks, roll and yaw.

The detector is one small file, which a study names and pins by its hash; it does not come with caplora. Without it
everything else works, and the reader is told why no faces were looked for. This file does not know crops or limits.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from caplora.images.pinned import Absent, Pinned, Source, open_pinned
from caplora.study import Study

SOURCE = Source(  # the OpenCV Zoo's own copy; MIT licence
    "opencv/face_detection_yunet", "3cc26e7f1014a5ee5d74a42acee58bafc9d0a310", "face_detection_yunet_2023mar.onnx"
)
SIDE = 640  # pixels; the network was exported for this input, and OpenCV's newer engines take no other
BORDER = 32  # of them on every side: so the box of a face that the picture cuts goes on beyond its edge
PROTRUSION = 0.6  # how far the tip of the nose lies in front of the eyes, in eye distances; faces vary


class Box(NamedTuple):
    """A rectangle in pixels from the upper left corner."""

    x: float
    y: float
    width: float
    height: float

    def within(self, other: "Box") -> "Box":
        """The part of it that lies in another rectangle; of no size where none does."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right, bottom = (
            min(self.x + self.width, other.x + other.width),
            min(self.y + self.height, other.y + other.height),
        )
        return Box(left, top, max(right - left, 0.0), max(bottom - top, 0.0))

    @property
    def area(self) -> float:
        """Its area, in pixels."""
        return self.width * self.height


class Point(NamedTuple):
    """A place in pixels from the upper left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class Face:
    """One face; left and right are as the picture shows them."""

    box: Box  # of the whole face: it goes on beyond the edge of the picture where that cuts it
    left_eye: Point
    right_eye: Point
    nose: Point
    left_mouth: Point
    right_mouth: Point
    confidence: float

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


class Detector:
    """YuNet, or another network that OpenCV's FaceDetectorYN can run, from the bytes of its file.

    `fingerprint` is a hash of the file and of all else that decides which faces it finds in a picture.
    """

    def __init__(self, onnx: bytes, confidence: float) -> None:
        said = f"{hashlib.sha256(onnx).hexdigest()} {confidence} {SIDE}"
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()
        weights, nothing = np.frombuffer(onnx, np.uint8), np.empty(0, np.uint8)
        self._network = cv2.FaceDetectorYN.create("onnx", weights, nothing, (SIDE, SIDE), confidence)

    def faces(self, image: Image.Image) -> tuple[Face, ...]:
        """The faces of an upright RGB picture, the largest first."""
        scale = (SIDE - 2 * BORDER) / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        small = cv2.resize(np.asarray(image.convert("RGB")), size, interpolation=cv2.INTER_AREA)
        padded = np.zeros((SIDE, SIDE, 3), np.uint8)
        padded[BORDER : BORDER + size[1], BORDER : BORDER + size[0]] = small[..., ::-1]  # BGR
        rows = self._network.detect(padded)[1]
        found = [_face(np.asarray(row, np.float64), scale) for row in ([] if rows is None else rows)]
        return tuple(sorted(found, key=lambda face: -face.box.area))


def _face(row: np.ndarray, scale: float) -> Face:
    """The face in a row of FaceDetectorYN.

    A row holds the box, the person's right eye, left eye, nose, right and left corner of the mouth, and the confidence.
    """
    corner, size = (row[:2] - BORDER) / scale, row[2:4] / scale
    eye, eye2, nose, mouth, mouth2 = (Point(x, y) for x, y in ((row[4:14] - BORDER) / scale).reshape(5, 2).tolist())
    return Face(Box(*corner.tolist(), *size.tolist()), eye, eye2, nose, mouth, mouth2, float(row[14]))


def open_detector(study: Study) -> Detector | Absent:
    """The study's detector, fetched first if the study asks for it; or the reason why there is none."""
    faces = study.images.faces
    pinned = Pinned(study.path(faces.model), faces.sha256, "images.faces.sha256", SOURCE)
    return open_pinned(pinned, study.images, lambda onnx: Detector(onnx, faces.confidence))


def faces_note(detector: Detector | Absent) -> str:
    """A sentence for the reader: whether faces were looked for, and if not, why."""
    return f"faces were not looked for: {detector.reason}" if isinstance(detector, Absent) else "faces were looked for"
