"""An upright picture → its measures: sharpness, exposure, contrast, light, colour cast, perceptual hash, face.

The picture is first scaled so that its shorter side is `images.resolution`, the size that is trained; so pictures of
one study can be compared. Sharpness and light are measured on the largest face, or on the middle half where none is
known; the rest on the whole picture. Luma is that of Rec. 601, in [0, 1]. This file does not know limits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import imagehash
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from caplora.images.faces import Box, Face

BLACK, WHITE = 2, 253  # of 255: luma up to BLACK, or from WHITE on, shows no detail
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
    look: str  # perceptual hash of 64 bits in hexadecimal (ImageHash, phash)
    faces: int | None = None
    face_share: float | None = None  # of the picture, in [0, 1]
    confidence: float | None = None  # of the detector, in [0, 1]
    roll: float | None = None  # degrees clockwise
    yaw: float | None = None  # degrees to the right of the picture, estimated

    @property
    def clipped(self) -> float:
        """The share of pixels that are black or white."""
        return self.black + self.white

    @property
    def cast(self) -> float:
        """The distance of the mean colour from grey in the plane of a* and b*."""
        return math.hypot(self.cast_a, self.cast_b)

    @property
    def light_angle(self) -> float:
        """Where the light comes from, in degrees: 0 the right of the picture, 90 above, ±180 the left, -90 below."""
        return math.degrees(math.atan2(self.light_y, self.light_x))

    @property
    def light_strength(self) -> float:
        """How one-sided the light is, from 0 (even) to √2."""
        return math.hypot(self.light_x, self.light_y)


def measure(image: Image.Image, resolution: int, faces: Sequence[Face] | None = None) -> Measure:
    """The measures of an upright RGB picture at `resolution`.

    `faces` has the largest first; None means that faces were not looked for.
    """
    pixels = _scaled(image, resolution)
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    shares = np.bincount(luma.ravel(), minlength=256) / luma.size
    low, high = np.searchsorted(np.cumsum(shares), [0.05, 0.95])
    face = faces[0] if faces else None
    part = _part(luma, face.box if face else None, luma.shape[1] / image.width)
    cast = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).mean((0, 1), dtype=np.float64)
    return Measure(
        enlarged=resolution / min(image.size),
        sharpness=float(cv2.Laplacian(part, cv2.CV_32F).var()),
        brightness=float(shares @ np.arange(256) / 255),
        black=float(shares[: BLACK + 1].sum()),
        white=float(shares[WHITE:].sum()),
        contrast=float(high - low) / 255,
        light_x=_imbalance(part[:, (part.shape[1] + 1) // 2 :], part[:, : part.shape[1] // 2]),
        light_y=_imbalance(part[: part.shape[0] // 2], part[(part.shape[0] + 1) // 2 :]),
        cast_a=float(cast[1]),
        cast_b=float(cast[2]),
        look=str(imagehash.phash(Image.fromarray(pixels))),
        faces=None if faces is None else len(faces),
        face_share=face.area / (image.width * image.height) if face else None,
        confidence=face.confidence if face else None,
        roll=face.roll if face else None,
        yaw=face.yaw if face else None,
    )


def _scaled(image: Image.Image, resolution: int) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of the picture with its shorter side at `resolution`."""
    scale = min(resolution / min(image.size), LONGEST * resolution / max(image.size))
    size = max(2, round(image.width * scale)), max(2, round(image.height * scale))
    return cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _part(luma: UInt8[np.ndarray, "h w"], box: Box | None, scale: float) -> UInt8[np.ndarray, "y x"]:
    """The part of the picture that its face covers; without a face, the middle half."""
    height, width = luma.shape
    x, y, w, h = (v * scale for v in box) if box else (width / 4, height / 4, width / 2, height / 2)
    left, top = min(int(x), width - 2), min(int(y), height - 2)
    return luma[top : max(round(y + h), top + 2), left : max(round(x + w), left + 2)]


def _imbalance(one: UInt8[np.ndarray, "h w"], other: UInt8[np.ndarray, "h w"]) -> float:
    """How much brighter `one` is than `other`, in [-1, 1]."""
    first, second = one.mean(), other.mean()
    return float((first - second) / max(first + second, 1e-9))
