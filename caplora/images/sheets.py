"""Many pictures → one picture that shows them all, small, in rows."""

from collections.abc import Iterable

from PIL import Image


def contact_sheet(images: Iterable[Image.Image], columns: int = 10, side: int = 96) -> Image.Image:
    """The pictures as squares of `side` pixels, row by row on white."""
    small = [image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS) for image in images]
    step, rows = side + 4, -(-len(small) // columns)
    sheet = Image.new("RGB", (max(1, min(columns, len(small)) * step - 4), max(1, rows * step - 4)), "white")
    for i, image in enumerate(small):
        sheet.paste(image, (i % columns * step, i // columns * step))
    return sheet
