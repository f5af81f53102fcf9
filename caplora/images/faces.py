"""An upright picture → its faces, found by YuNet in OpenCV (Wu et al. 2023): box, five landmarks, roll and yaw.

The detector is one small file, which a study names and pins by its hash; it does not come with caplora. Without it
everything else works, and the reader is told why no faces were looked for. This file does not know crops or limits.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from caplora.images.pinned import Absent, Pinned, Source, open_pinned
from caplora.study import Study

SOURCE = Source(  # the OpenCV Zoo's own copy; MIT licence
    "opencv/face_detection_yunet", "3cc26e7f1014a5ee5d74a42acee58bafc9d0a310", "face_detection_yunet_2023mar.onnx"
)
SIDE = 640  # pixels; the network was exported for this input, and OpenCV's newer engines take no other
BORDER = 32  # of them on every side: so the box of a face that the picture cuts goes on beyond its edge
CLOSE, ALIKE = 260, 0.4  # of a look at a face alone: its size there in pixels, the least overlap of its boxes
SURER = 0.05  # by how much a look from another side must be surer than the first
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

    def overlap(self, other: "Box") -> float:
        """The share of what they cover together that both cover, in [0, 1]."""
        both = self.within(other).area
        return both / max(self.area + other.area - both, 1e-9)


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
        said = f"{hashlib.sha256(onnx).hexdigest()} {confidence} {SIDE} {BORDER} {CLOSE} {SURER}"
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()
        weights, nothing = np.frombuffer(onnx, np.uint8), np.empty(0, np.uint8)
        self._network = cv2.FaceDetectorYN.create("onnx", weights, nothing, (SIDE, SIDE), confidence)

    def faces(self, image: Image.Image) -> tuple[Face, ...]:
        """The faces of an upright RGB picture, the largest first.

        YuNet sees a head that leans as more upright than it is: of 30 degrees it finds 12 to 24, and the landmarks lie
        beside the eyes. So each face is looked at again by itself, turned by what was found, and its landmarks taken
        from there: after two such looks they are within 5 degrees. A head that lies or stands on its head is seen as an
        upright one, less surely, so the first look is from all four sides.
        """
        scale = (SIDE - 2 * BORDER) / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        small = cv2.resize(np.asarray(image.convert("RGB")), size, interpolation=cv2.INTER_AREA)
        padded = np.zeros((SIDE, SIDE, 3), np.uint8)
        padded[BORDER : BORDER + size[1], BORDER : BORDER + size[0]] = small[..., ::-1]  # BGR
        found = [_face(row, scale) for row in self._rows(padded)]
        for turns in ((0, 90, 180, 270), (0,)):
            found = [self._closer(image, face, turns) for face in found]
        return tuple(sorted(found, key=lambda face: -face.box.area))

    def _rows(self, square: UInt8[np.ndarray, "640 640 3"]) -> Float[np.ndarray, "n 15"]:
        """What FaceDetectorYN finds, as `_face` reads it."""
        rows = self._network.detect(square)[1]
        return np.zeros((0, 15)) if rows is None else np.asarray(rows, np.float64)

    def _closer(self, image: Image.Image, face: Face, turns: Sequence[int]) -> Face:
        """The face with the landmarks that the surest look at it alone finds, turned upright and by each of `turns`.

        As it was where no look finds it; another turn than the first must be surer by SURER.
        """
        looks = [look for turn in turns if (look := self._look(image, face, turn))]
        surest = max((confidence + SURER * (i == 0), -i) for i, (confidence, _) in enumerate(looks)) if looks else None
        return looks[-surest[1]][1] if surest else face

    def _look(self, image: Image.Image, face: Face, turn: int) -> tuple[float, Face] | None:
        """How sure one look is, and the face with the landmarks that it finds; None where it finds none."""
        view, matrix = _close_up(image, face, turn)
        width, height = (CLOSE * size / max(face.box.width, face.box.height) for size in face.box[2:])
        expected = Box((SIDE - width) / 2, (SIDE - height) / 2, width, height)
        rows = [row for row in self._rows(view) if Box(*row[:4].tolist()).overlap(expected) >= ALIKE]
        if not rows:
            return None
        best = max(rows, key=lambda row: Box(*row[:4].tolist()).overlap(expected))
        back = cv2.invertAffineTransform(matrix)
        points = best[4:14].reshape(5, 2) @ back[:, :2].T + back[:, 2]
        eye, eye2, nose, mouth, mouth2 = (Point(x, y) for x, y in points.tolist())
        return float(best[14]), Face(face.box, eye, eye2, nose, mouth, mouth2, face.confidence)


def _close_up(
    image: Image.Image, face: Face, turn: int = 0
) -> tuple[UInt8[np.ndarray, "640 640 3"], Float[np.ndarray, "2 3"]]:
    """The face alone, upright and turned, in the middle of a square, BGR; and the matrix from the picture to there."""
    x, y, width, height = face.box
    middle, scale = (x + width / 2, y + height / 2), CLOSE / max(width, height, 1.0)
    reach = SIDE / scale  # of the picture, so that its corners are seen when it is turned
    left, top = max(math.floor(middle[0] - reach), 0), max(math.floor(middle[1] - reach), 0)
    right, bottom = min(math.ceil(middle[0] + reach), image.width), min(math.ceil(middle[1] + reach), image.height)
    part = np.asarray(image.convert("RGB").crop((left, top, right, bottom)))[..., ::-1]
    if scale < 1:  # by area first: warping alone would alias
        size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    turned = cv2.getRotationMatrix2D((0, 0), face.roll + turn, scale)[
        :, :2
    ]  # counterclockwise, as the picture shows it
    matrix = np.column_stack([turned, SIDE / 2 - turned @ middle])
    shrunk = min(scale, 1.0)
    onto = np.column_stack([turned / shrunk, matrix[:, 2] + turned @ (left, top)])
    return cv2.warpAffine(np.ascontiguousarray(part), onto, (SIDE, SIDE)), matrix


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
