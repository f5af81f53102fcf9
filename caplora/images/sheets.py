"""A folder as people have it → safe images (square, upright, sRGB, 8 bit), or a named reason for each file refused.

Each picture is decoded once, its face found, its square cut out, its quality measured and flagged. This file does not
know captions, splits or models.
"""

from collections.abc import Iterable

from PIL import Image


def contact_sheet(images: Iterable[Image.Image], columns: int = 10, side: int = 96) -> Image.Image:
    """One picture of many, `side` pixels each, row by row on white."""
    small = [image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS) for image in images]
    step, rows = side + 4, -(-len(small) // columns)
    sheet = Image.new("RGB", (max(1, min(columns, len(small)) * step - 4), max(1, rows * step - 4)), "white")
    for i, image in enumerate(small):
        sheet.paste(image, (i % columns * step, i // columns * step))
    return sheet
