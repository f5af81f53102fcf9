"""Pixels as content: the same pixels give the same hash, and the same bytes of a PNG."""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from caplora.study import replacing


def pixels_hash(image: Image.Image) -> str:
    """A hash of an image's pixels and size, whatever file they come from."""
    pixels = np.asarray(image.convert("RGB"))
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def write_image(image: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all; a file that already has these bytes is not touched."""
    memory = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(memory, "PNG")  # from the array: no profile, no EXIF, no date
    if not (path.is_file() and path.read_bytes() == memory.getvalue()):
        with replacing(path) as part:
            part.write_bytes(memory.getvalue())
