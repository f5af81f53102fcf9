"""Many pictures → one picture that shows them all, small, in rows; and what was found in one, drawn on it."""

from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw

from caplora.images.faces import Box

CHOSEN, OTHER, FLAGGED = "#ffd400", "#ffffff", "#c8442a"


def contact_sheet(images: Iterable[Image.Image], columns: int = 10, side: int = 96) -> Image.Image:
    """The pictures as squares of `side` pixels, row by row on white."""
    small = [image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS) for image in images]
    step, rows = side + 4, -(-len(small) // columns)
    sheet = Image.new("RGB", (max(1, min(columns, len(small)) * step - 4), max(1, rows * step - 4)), "white")
    for i, image in enumerate(small):
        sheet.paste(image, (i % columns * step, i // columns * step))
    return sheet


def marked(image: Image.Image, boxes: Sequence[Box], flagged: bool, side: int) -> Image.Image:
    """A square picture at `side` pixels with its faces outlined, the first in yellow; a red frame if it is flagged.

    The boxes are in parts of the square.
    """
    small = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(small)
    for k, box in reversed([*enumerate(boxes)]):
        left, top = round(box.x * side), round(box.y * side)
        right, bottom = round((box.x + box.width) * side), round((box.y + box.height) * side)
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="black")  # seen on any ground
        draw.rectangle((left, top, right, bottom), outline=OTHER if k else CHOSEN)
    if flagged:
        draw.rectangle((0, 0, side - 1, side - 1), outline=FLAGGED, width=4)
    return small
