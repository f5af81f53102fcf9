"""An upright picture → its measures: sharpness, exposure, contrast, light, colour cast, perceptual hash, face.

What a picture is like is measured on its face, an ellipse in the box and a little around it, so that neither a white
backdrop nor its light counts; where no face is known, on the whole picture, and sharpness and light on its middle
half. All is measured at the size at which it is trained, so that pictures of one study can be compared. Only sharpness
grows as a face gets smaller, because it then has more edges per pixel: a small face is never the blurry one, and
`small_face` says what is wrong with it. Luma is that of Rec. 601, in [0, 1]. This file does not know limits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import imagehash
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from caplora.images.cropping import frame
from caplora.images.faces import Box, Face

BLACK, WHITE = 2, 253  # of 255: luma up to BLACK, or from WHITE on, shows no detail
MARGIN = 0.1  # of the box on every side of a face
SKIN = (6.0, 15.0)  # a*, b*: amid the ten tones of the Monk Skin Tone Scale (2022), none more than 13 away
LONGEST = 4  # a strip longer than 4:1 is scaled by its longer side instead, to 4 × the resolution


@dataclass(frozen=True)
class Measure:
    """The measures of one picture; those of the face are None if there is no face, or none was looked for."""

    enlarged: float  # factor from the square to the resolution; below 1 the square is made smaller
    sharpness: float  # variance of the Laplacian of luma in 0 … 255 (Pech-Pacheco et al. 2000)
    brightness: float  # mean luma
    black: float  # share of pixels
    white: float  # share of pixels
    contrast: float  # 95th minus 5th percentile of luma
    light_x: float  # (right − left) / (right + left) of the mean luma, in [-1, 1]
    light_y: float  # (top − bottom) / (top + bottom), in [-1, 1]
    cast_a: float  # mean a* of CIELAB (D65): green below 0, magenta above
    cast_b: float  # mean b*: blue below 0, yellow above
    look: str  # perceptual hash of 64 bits in hexadecimal (ImageHash, phash), of the square
    measured_on: str = "picture"  # or face: what all of them but the first and the last were measured on
    faces: int | None = None
    face_share: float | None = None  # of the square, in [0, 1]
    face_cut: float | None = None  # share of the face's box that lies outside the square, in [0, 1]
    confidence: float | None = None  # of the detector, in [0, 1]
    roll: float | None = None  # degrees clockwise
    yaw: float | None = None  # degrees to the right of the picture, estimated
    person: int | None = None  # whose face it is: 1 the folder's person, 2 … another
    likeness: float | None = None  # cosine to the mean of the folder's person, in [-1, 1]

    @property
    def clipped(self) -> float:
        """The share of pixels that are black or white."""
        return self.black + self.white

    @property
    def cast(self) -> float:
        """The distance in the plane of a* and b* of the mean colour from grey, or on a face from SKIN."""
        a, b = SKIN if self.measured_on == "face" else (0.0, 0.0)
        return math.hypot(self.cast_a - a, self.cast_b - b)

    @property
    def light_angle(self) -> float:
        """Where the light comes from, in degrees: 0 the right of the picture, 90 above, ±180 the left, -90 below."""
        return math.degrees(math.atan2(self.light_y, self.light_x))

    @property
    def light_strength(self) -> float:
        """How one-sided the light is, from 0 (even) to √2."""
        return math.hypot(self.light_x, self.light_y)


@dataclass(frozen=True)
class _Part:
    """A part of a picture at the size it is measured at: its pixels, which of them count, and their places.

    `x` and `y` are columns and rows, counted from the middle.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    inside: Bool[np.ndarray, "h w"]
    x: Float[np.ndarray, "1 w"]
    y: Float[np.ndarray, "h 1"]

    @property
    def luma(self) -> UInt8[np.ndarray, "h w"]:
        return cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY)


def measure(
    image: Image.Image, resolution: int, faces: Sequence[Face] | None = None, cut: Box | None = None
) -> Measure:
    """The measures of an upright RGB picture, of which the square `cut` (else the largest) is trained at `resolution`.

    `faces` has the one first that is cut around; None means that faces were not looked for.
    """
    face = faces[0] if faces else None
    cut = cut or frame(image.size, resolution, face.box if face else None)
    scale, pixels = resolution / cut.width, np.asarray(image)
    if face:
        part = detail = _ellipse(image, face.box, scale)
    else:
        whole = _scaled(pixels, min(scale, LONGEST * resolution / max(image.size)))
        part, detail = _all(whole), _middle(whole)
    trained = pixels[int(cut.y) : int(cut.y + cut.height), int(cut.x) : int(cut.x + cut.width)]
    return Measure(
        enlarged=scale,
        look=str(imagehash.phash(Image.fromarray(_scaled(trained, scale)))),
        measured_on="face" if face else "picture",
        faces=None if faces is None else len(faces),
        **_tones(part),
        **_detail(detail),
        **(_of_face(face, cut) if face else {}),
    )


def _of_face(face: Face, cut: Box) -> dict[str, Any]:
    """The measures of the face itself."""
    seen = face.box.within(cut).area
    return {
        "face_share": seen / cut.area,
        "face_cut": max(0.0, 1 - seen / max(face.box.area, 1e-9)),
        "confidence": face.confidence,
        "roll": face.roll,
        "yaw": face.yaw,
    }


def _tones(part: _Part) -> dict[str, Any]:
    """Exposure, contrast and colour of the pixels that count."""
    shares = np.bincount(part.luma[part.inside], minlength=256) / part.inside.sum()
    low, high = np.searchsorted(np.cumsum(shares), [0.05, 0.95])
    lab = cv2.cvtColor(part.pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[part.inside].mean(0, dtype=np.float64)
    return {
        "brightness": float(shares @ np.arange(256) / 255),
        "black": float(shares[: BLACK + 1].sum()),
        "white": float(shares[WHITE:].sum()),
        "contrast": float(high - low) / 255,
        "cast_a": float(lab[1]),
        "cast_b": float(lab[2]),
    }


def _detail(part: _Part) -> dict[str, Any]:
    """Sharpness, and where the light comes from."""
    luma, inside = part.luma, part.inside
    right, left = (luma[inside & side] for side in (part.x > 0, part.x < 0))
    top, bottom = (luma[inside & side] for side in (part.y < 0, part.y > 0))
    sharpness = cv2.Laplacian(luma, cv2.CV_32F)[inside].var(dtype=np.float64)
    return {
        "sharpness": float(sharpness),
        "light_x": _imbalance(right, left),
        "light_y": _imbalance(top, bottom),
    }


def _scaled(pixels: UInt8[np.ndarray, "H W 3"], scale: float) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a picture, made larger or smaller; at least two either way."""
    size = max(2, round(pixels.shape[1] * scale)), max(2, round(pixels.shape[0] * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _all(pixels: UInt8[np.ndarray, "h w 3"]) -> _Part:
    """The part that is all of it."""
    height, width = pixels.shape[:2]
    x, y = np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2
    return _Part(pixels, np.ones((height, width), bool), x[None], y[:, None])


def _middle(pixels: UInt8[np.ndarray, "h w 3"]) -> _Part:
    """The part that is the middle half, either way."""
    height, width = pixels.shape[:2]
    left, top = min(width // 4, width - 2), min(height // 4, height - 2)
    return _all(pixels[top : max(round(height * 3 / 4), top + 2), left : max(round(width * 3 / 4), left + 2)])


def _ellipse(image: Image.Image, box: Box, scale: float) -> _Part:
    """The part that is an ellipse in the box of a face and MARGIN around it, as far as the picture shows it."""
    x, y, width, height = box
    grown = Box(x - MARGIN * width, y - MARGIN * height, (1 + 2 * MARGIN) * width, (1 + 2 * MARGIN) * height)
    seen = grown.within(Box(0, 0, *image.size))
    left, top = min(int(seen.x), image.width - 1), min(int(seen.y), image.height - 1)
    right, bottom = max(math.ceil(seen.x + seen.width), left + 1), max(math.ceil(seen.y + seen.height), top + 1)
    pixels = _scaled(np.asarray(image.crop((left, top, right, bottom))), scale)
    across = left + (np.arange(pixels.shape[1]) + 0.5) * (right - left) / pixels.shape[1] - (x + width / 2)
    down = top + (np.arange(pixels.shape[0]) + 0.5) * (bottom - top) / pixels.shape[0] - (y + height / 2)
    inside = (2 * across[None] / grown.width) ** 2 + (2 * down[:, None] / grown.height) ** 2 <= 1
    return _Part(pixels, inside if inside.any() else ~inside, across[None], down[:, None])


def _imbalance(one: UInt8[np.ndarray, " n"], other: UInt8[np.ndarray, " m"]) -> float:
    """How much brighter `one` is than `other`, in [-1, 1]; 0 where one of them shows nothing."""
    if not (one.size and other.size):
        return 0.0
    first, second = one.mean(), other.mean()
    return float((first - second) / max(first + second, 1e-9))
