"""A picture and its face → the square that is trained on."""

import math

from PIL import Image

from caplora.images.faces import Box

HEADROOM = 0.35  # share of a portrait's spare height that is cut off above: heads are above the middle


def frame(size: tuple[int, int], resolution: int, face: Box | None = None, share: float | None = None) -> Box:
    """Where the square lies in a picture of `size`, in whole pixels: the largest, centred on the face where it can be.

    Without a face it is the middle of the picture, and in a portrait a little above the middle. A face that would be
    less than `share` of the square is cut around more closely, as far as that takes, but never so closely that the
    square would have to be enlarged to `resolution`.
    """
    width, height = size
    side = min(size)
    if face and share:
        side = min(side, max(resolution, math.floor(math.sqrt(face.width * face.height / share))))
    left, top = (width - side) / 2, (height - side) * HEADROOM
    if face:
        left = min(max(face.x + (face.width - side) / 2, 0), width - side)
        top = min(max(face.y + (face.height - side) / 2, 0), height - side)
    return Box(round(left), round(top), side, side)


def square(image: Image.Image, resolution: int, cut: Box) -> Image.Image:
    """The part of `image` that `cut` says, resized to `resolution`."""
    x, y, side, _ = cut
    return image.resize((resolution, resolution), Image.Resampling.LANCZOS, box=(x, y, x + side, y + side))
