"""The pinned detector on a photograph, composed: what the face is like is told apart from what is around it."""

import math
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from caplora.images.faces import Box
from caplora.images.intake import Accepted, scan
from caplora.images.measuring import measure
from caplora.study.image_settings import Images
from tests.photographs import (
    FACE,
    before,
    brighter_right,
    lit_from_the_left,
    needs_yunet,
    pasted,
    plain,
    portrait,
    written,
    yunet,
)

pytestmark = needs_yunet
GROUND = (150, 160, 150)


def taken(folder: Path, picture: Image.Image) -> Accepted:
    """What becomes of one picture at 512 pixels."""
    (item,) = scan(written(folder, a=picture), Images(folder="x", smallest=64), yunet())
    assert isinstance(item, Accepted)
    return item


def words(item: Accepted) -> set[str]:
    return {flag.word for flag in item.flags}


def test_a_good_portrait_has_no_flag(tmp_path: Path) -> None:
    item = taken(tmp_path, portrait())
    assert (words(item), item.measure.measured_on, item.measure.faces) == (set(), "face", 1)
    assert item.boxes[0].overlap(Box(*(v / 512 for v in FACE))) > 0.7


def test_a_well_lit_face_before_white_is_not_clipped_and_the_picture_around_it_is(tmp_path: Path) -> None:
    white = before(plain(255, 255, 255))
    item = taken(tmp_path, white)
    assert words(item) == set()
    assert measure(white, 512).clipped > 0.3 > 0.05 > item.measure.clipped
    assert item.measure.brightness == pytest.approx(taken(tmp_path / "b", portrait()).measure.brightness, abs=0.02)


@pytest.mark.parametrize("factor", [0.1, 2.5])
def test_a_face_in_bad_light_is_flagged_before_any_ground(tmp_path: Path, factor: float) -> None:
    face = portrait().point(lambda v: min(255, int(factor * v)))
    assert words(taken(tmp_path, face)) & ({"dark"} if factor < 1 else {"clipped", "bright"})


def test_light_comes_from_the_side_of_the_face_and_not_from_that_of_the_ground(tmp_path: Path) -> None:
    even, ground = before(brighter_right(0, 255)), brighter_right(0, 255)
    right = taken(tmp_path / "even", even)
    assert "side_lit" not in words(right) and abs(right.measure.light_x) < 0.15
    assert measure(ground, 512).light_x > 0.25
    mask = Image.new("L", (512, 512))
    mask.paste(255, tuple(round(v) for v in (FACE.x - 20, FACE.y - 20, FACE.x + FACE.width + 20, 512)))
    left = taken(tmp_path / "left", Image.composite(lit_from_the_left(0.6), ground, mask))
    assert "side_lit" in words(left)
    assert left.measure.light_x == pytest.approx(-0.3, abs=0.08)
    (reason,) = (flag.reason for flag in left.flags if flag.word == "side_lit")
    assert "on the face" in reason


@pytest.mark.parametrize("degrees", [-40, -30, -15, 15, 30, 40])
def test_a_portrait_turned_by_some_degrees_rolls_by_them(tmp_path: Path, degrees: float) -> None:
    upright = taken(tmp_path / "0", portrait()).measure.roll
    turned = portrait().rotate(-degrees, Image.Resampling.BICUBIC, fillcolor=GROUND)  # clockwise
    item = taken(tmp_path / "1", turned)
    assert item.measure.roll is not None and upright is not None
    assert item.measure.roll - upright == pytest.approx(degrees, abs=5)
    assert ("rolled" in words(item)) == (abs(degrees) > 20)


def test_of_two_faces_the_square_is_cut_around_the_larger(tmp_path: Path) -> None:
    both = pasted(pasted(plain(*GROUND, size=(1400, 700)), 0.7, 20, 200), 1.2, 750, 60)
    item = taken(tmp_path, both)
    assert item.measure.faces == 2 and "many_faces" in words(item)
    assert item.boxes[0].area > item.boxes[1].area
    assert item.boxes[0].within(Box(0, 0, 1, 1)).area == pytest.approx(item.boxes[0].area)


@pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
@pytest.mark.parametrize("share", [0, 0.35])
def test_a_face_that_the_frame_cuts_is_said_to_be_cut_on_any_side(tmp_path: Path, side: str, share: float) -> None:
    x, y, width, height = FACE
    edges = {
        "left": (x + share * width, 0, 512, 512),
        "top": (0, y + share * height, 512, 512),
        "right": (0, 0, x + (1 - share) * width, 512),
        "bottom": (0, 0, 512, y + (1 - share) * height),
    }
    item = taken(tmp_path, portrait().crop(tuple(round(v) for v in edges[side])))
    assert item.measure.faces == 1
    assert ("cut_face" in words(item)) == (share > 0)


def test_around_a_tiny_face_the_square_is_cut_as_closely_as_its_share_asks(tmp_path: Path) -> None:
    item = taken(tmp_path, pasted(plain(*GROUND, size=(4000, 3000)), 1.4, 2500, 1500))
    assert item.measure.face_share == pytest.approx(0.03, rel=0.01)
    assert "small_face" not in words(item) and item.measure.enlarged < 1
    assert item.measure.enlarged == pytest.approx(512 / math.sqrt(1.4**2 * FACE.area / 0.03), rel=0.2)
    middle = item.boxes[0].x + item.boxes[0].width / 2, item.boxes[0].y + item.boxes[0].height / 2
    assert middle == pytest.approx((0.5, 0.5), abs=0.01)


def test_the_square_is_never_enlarged_for_a_tiny_face_which_is_flagged_then(tmp_path: Path) -> None:
    item = taken(tmp_path, pasted(plain(*GROUND, size=(1600, 1200)), 0.45, 900, 500))
    assert item.measure.enlarged == 1
    assert "small_face" in words(item)


def test_a_blurred_face_is_blurry_and_a_sharp_ground_does_not_hide_it(tmp_path: Path) -> None:
    blurred = portrait().filter(ImageFilter.GaussianBlur(2))
    sharp = portrait()
    around = tuple(round(v) for v in (FACE.x - 15, FACE.y - 20, FACE.x + FACE.width + 15, FACE.y + FACE.height + 20))
    sharp.paste(blurred.crop(around), around)
    assert "blurry" in words(taken(tmp_path, sharp))


def test_a_picture_of_nobody_is_measured_as_a_whole(tmp_path: Path) -> None:
    item = taken(tmp_path, brighter_right())
    assert "no_face" in words(item)
    assert (item.measure.measured_on, item.measure.face_share, item.boxes) == ("picture", None, ())


@pytest.mark.parametrize("degrees", [90, 135, 180, 225, 270])
def test_a_head_that_lies_or_stands_on_its_head_is_measured_as_it_is(degrees: int) -> None:
    picture = portrait().rotate(degrees, expand=True, fillcolor=GROUND)
    (upright,), (face,) = yunet().faces(portrait()), yunet().faces(picture)
    away = (face.roll - upright.roll + degrees + 180) % 360 - 180  # rotate turns counterclockwise, roll is clockwise
    assert abs(away) < 10
