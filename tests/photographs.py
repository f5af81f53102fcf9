"""Photographs composed from the portrait of scikit-image, which is in the public domain (NASA), for a real detector."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from caplora.images.faces import Box, Detector
from caplora.study.image_settings import Faces
from caplora.study.study import read_study

YUNET = read_study("mini").path(Faces().model)
needs_yunet = pytest.mark.skipif(
    not YUNET.is_file(), reason=f"{YUNET} is not there: a study with images: {{faces: {{fetch: true}}}} gets it"
)
FACE = Box(179, 63, 91, 111)  # of the portrait, by eye: from the hairline to the chin, from ear to ear
PERSON = [(224, 2), (275, 20), (305, 75), (312, 130), (298, 170), (345, 190), (405, 235), (440, 511), (20, 511),
          (45, 260), (120, 215), (160, 185), (143, 140), (143, 75), (172, 20)]  # fmt: skip


def yunet() -> Detector:
    """The pinned detector, as a study has it by default."""
    return Detector(YUNET.read_bytes(), Faces().confidence)


def portrait() -> Image.Image:
    """An astronaut, 512 × 512 pixels, her face FACE."""
    data = pytest.importorskip("skimage.data")
    return Image.fromarray(data.astronaut())


def before(ground: Image.Image) -> Image.Image:
    """The person of the portrait, cut out, before another ground of its size."""
    mask = Image.new("L", (512, 512))
    ImageDraw.Draw(mask).polygon(PERSON, 255)
    return Image.composite(portrait(), ground, mask.filter(ImageFilter.GaussianBlur(2)))


def plain(*rgb: int, size: tuple[int, int] = (512, 512)) -> Image.Image:
    """A ground of one colour."""
    return Image.new("RGB", size, rgb)


def brighter_right(dark: int = 60, bright: int = 250) -> Image.Image:
    """A ground that is dark on the left and bright on the right."""
    across = np.linspace(dark, bright, 512)[None, :, None]
    return Image.fromarray(np.broadcast_to(across, (512, 512, 3)).astype(np.uint8))


def lit_from_the_left(strength: float) -> Image.Image:
    """The portrait with light from the left: (right − left) / (right + left) of an even face would be −strength / 2."""
    across = np.clip(1 - strength * (np.arange(512) - FACE.x - FACE.width / 2) / (FACE.width / 2), 0.05, 1.95)
    return Image.fromarray(np.clip(np.asarray(portrait()) * across[None, :, None], 0, 255).astype(np.uint8))


def pasted(on: Image.Image, scale: float, left: int, top: int) -> Image.Image:
    """`on`, with the whole portrait on it at a scale; what lies beyond the edge is cut off."""
    made, side = on.copy(), round(512 * scale)
    made.paste(portrait().resize((side, side), Image.Resampling.LANCZOS), (left, top))
    return made


def written(folder: Path, **pictures: Image.Image) -> Path:
    """The folder, with each picture as a PNG of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")
    return folder
