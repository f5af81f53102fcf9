"""A picture and its face → the square that is trained on."""

from PIL import Image

from caplora.images.faces import Box

HEADROOM = 0.35  # share of a portrait's spare height that is cut off above: heads are above the middle


def square(image: Image.Image, resolution: int, face: Box | None = None) -> Image.Image:
    """The largest square of `image`, resized to `resolution` and never squashed, centred on the face where it can be.

    Without a face it is the middle of the picture, and in a portrait a little above the middle.
    """
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) * HEADROOM
    if face:
        left = min(max(face.x + (face.width - side) / 2, 0), image.width - side)
        top = min(max(face.y + (face.height - side) / 2, 0), image.height - side)
    box = (round(left), round(top), round(left) + side, round(top) + side)
    return image.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)
