"""sheets.py: what is drawn on a picture lies where it was found, and says whether it is flagged."""

import numpy as np
from PIL import Image, ImageColor

from caplora.images.faces import Box
from caplora.images.sheets import CHOSEN, FLAGGED, OTHER, contact_sheet, marked

GROUND = Image.new("RGB", (400, 400), (90, 90, 90))


def where(picture: Image.Image, colour: str) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what has a colour."""
    rows, columns = np.nonzero((np.asarray(picture, int) == ImageColor.getrgb(colour)).all(2))
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_faces_are_outlined_where_they_are_the_first_in_a_colour_of_its_own() -> None:
    boxes = (Box(0.25, 0.5, 0.25, 0.25), Box(0.625, 0.125, 0.25, 0.25))
    drawn = marked(GROUND, boxes, False, 200)
    assert where(drawn, CHOSEN) == (50, 100, 100, 150)
    assert where(drawn, OTHER) == (125, 25, 175, 75)


def test_a_flagged_picture_has_a_frame_and_another_has_none() -> None:
    assert where(marked(GROUND, (), True, 100), FLAGGED) == (0, 0, 99, 99)
    assert (np.asarray(marked(GROUND, (), False, 100)) == 90).all()


def test_a_face_that_goes_on_beyond_the_square_is_drawn_as_far_as_it_is_seen() -> None:
    drawn = marked(GROUND, (Box(-0.5, -0.5, 1.0, 1.0),), False, 100)
    assert where(drawn, CHOSEN) == (0, 0, 50, 50)


def test_a_sheet_has_the_pictures_in_rows() -> None:
    assert contact_sheet([GROUND] * 5, columns=2, side=10).size == (24, 38)
