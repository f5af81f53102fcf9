"""curation.py, measuring.py: measures follow their formulas, flags say why, near-duplicates form clusters."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.cbook import get_sample_data
from PIL import Image, ImageEnhance, ImageFilter
from scipy import ndimage

from caplora.images.curation import RULES, Looks, clusters, flags
from caplora.images.faces import Box, Face, Point
from caplora.images.measuring import Measure, measure
from caplora.study.image_settings import Curation, Limit
from caplora.study.reading import PROJECT
from caplora.study.study import read_study

WORLD = json.loads((PROJECT / "caplora" / "mini" / "portraits_truth.json").read_text(encoding="utf-8"))
FINE = Measure(
    enlarged=0.5, sharpness=300, brightness=0.5, black=0.01, white=0.01, contrast=0.7, light_x=0, light_y=0.1,
    cast_a=5, cast_b=8, look="0123456789abcdef", faces=1, face_share=0.1, face_cut=0.01, confidence=0.9, roll=2, yaw=-5,
    person=1, likeness=0.8,
)  # fmt: skip
EXCEEDING = {  # flag → what exceeds its default, and the reason
    "small": ({"enlarged": 1.6}, "enlargement to the resolution 1.6 × is above 1 ×"),
    "blurry": ({"sharpness": 12.34}, "sharpness 12.3 is below 40"),
    "dark": ({"brightness": 0.05}, "brightness 0.05 is below 0.1"),
    "bright": ({"brightness": 0.9}, "brightness 0.9 is above 0.85"),
    "clipped": ({"black": 0.2, "white": 0.2}, "share of black and white pixels 0.4 is above 0.3"),
    "flat": ({"contrast": 0.1}, "contrast 0.1 is below 0.2"),
    "cast": ({"cast_a": -30, "cast_b": 40}, "colour cast 50 is above 25"),
    "side_lit": ({"light_x": -0.3}, "light from the right −0.3 is beyond ±0.25"),
    "no_face": ({"faces": 0}, "number of faces 0 is below 1"),
    "many_faces": ({"faces": 3}, "number of faces 3 is above 1"),
    "small_face": ({"face_share": 0.01}, "the face's share 0.01 is below 0.03"),
    "cut_face": ({"face_cut": 0.2}, "share of the face outside the square 0.2 is above 0.05"),
    "other_person": ({"likeness": 0.1}, "likeness to the folder's person 0.1 is below 0.363"),
    "rolled": ({"roll": -31.0}, "roll −31° is beyond ±20°"),
    "turned": ({"yaw": 60.0}, "yaw 60° is beyond ±50°"),
}


def distance(one: str, other: str) -> int:
    """In how many bits two perceptual hashes differ."""
    looks = Looks()
    looks.add(Path("one"), one)
    found = looks.nearest(other)
    assert found is not None and found[0] == Path("one")
    return found[1]


def portrait() -> Image.Image:
    """A photograph of 512 × 600 pixels that comes with matplotlib."""
    with get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        return image.convert("RGB")


def flat(*rgb: int) -> Image.Image:
    return Image.new("RGB", (40, 40), rgb)


def beside(left: int, right: int) -> Image.Image:
    """Two greys, side by side."""
    return Image.fromarray(
        np.repeat(np.where(np.arange(64) < 32, left, right)[None, :, None], 64, 0).repeat(3, 2).astype(np.uint8)
    )


def lab(rgb: tuple[int, int, int]) -> tuple[float, float]:
    """a*, b* of an sRGB colour: IEC 61966-2-1 to XYZ, white D65, then CIE 15."""
    c = np.array(rgb) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = to_xyz @ linear / [0.9505, 1, 1.089]
    x, y, z = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return 500 * (x - y), 200 * (y - z)


def face(x: float, y: float, width: float, height: float) -> Face:
    return Face(Box(x, y, width, height), *[Point(x, y)] * 5, confidence=0.8)


def test_sharpness_is_the_variance_of_the_laplacian_of_the_middle() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 60), dtype=np.uint8)
    middle = pixels[20:60, 15:45].astype(float)
    expected = ndimage.laplace(middle, mode="mirror").var()
    assert measure(Image.fromarray(pixels).convert("RGB"), 60).sharpness == pytest.approx(expected, rel=1e-5)


def test_the_default_limit_of_sharpness_lies_where_a_sharp_photograph_is_blurred_by_1_3_pixels() -> None:
    by = {sigma: measure(portrait().filter(ImageFilter.GaussianBlur(sigma)), 512).sharpness for sigma in (0, 1, 1.6, 3)}
    assert list(by.values()) == sorted(by.values(), reverse=True)
    assert by[1] > 40 > by[1.6]
    assert by[0] > 400


def test_a_photograph_measures_the_same_at_any_size() -> None:
    small = portrait()
    large = small.resize((4 * small.width, 4 * small.height), Image.Resampling.NEAREST)
    assert replace(measure(large, 512), enlarged=1) == measure(small, 512)
    assert measure(large, 512).enlarged == 0.25


@pytest.mark.parametrize("grey", [0, 1, 51, 128, 255])
def test_a_plain_grey_is_as_bright_as_it_is_and_has_no_contrast_cast_sharpness_or_direction(grey: int) -> None:
    found = measure(flat(grey, grey, grey), 64)
    assert found.brightness == pytest.approx(grey / 255)
    assert (found.contrast, found.sharpness, found.light_strength) == (0, 0, 0)
    assert found.cast == pytest.approx(0, abs=0.1)  # OpenCV's own rounding


def test_contrast_is_the_difference_of_the_tones_that_make_up_the_picture() -> None:
    assert measure(beside(50, 203), 64).contrast == pytest.approx((203 - 50) / 255)


def test_clipped_pixels_are_counted_at_both_ends() -> None:
    tones = np.array([0, 2, 3, 128, 128, 128, 252, 253, 255, 255], np.uint8).repeat(4)
    found = measure(Image.fromarray(np.repeat(tones[None], 40, 0)).convert("RGB"), 40)
    assert (found.black, found.white, found.clipped) == pytest.approx((0.2, 0.3, 0.5))


@pytest.mark.parametrize(("turns", "angle"), [(0, 0), (1, 90), (2, 180), (3, -90)])
def test_light_comes_from_the_brighter_side(turns: int, angle: float) -> None:
    found = measure(beside(50, 150).rotate(90 * turns), 64)
    assert abs(found.light_angle) == 180 if angle == 180 else found.light_angle == pytest.approx(angle, abs=1e-6)
    assert found.light_strength == pytest.approx((150 - 50) / (150 + 50))


def test_drawings_lit_from_the_left_and_from_the_right_are_told_apart() -> None:
    folder = read_study("mini").images_folder
    sides: dict[str, list[float]] = {"left": [], "right": []}
    for name, truth in WORLD.items():
        if truth["lighting"] in sides:
            with Image.open(folder / name) as image:
                sides[truth["lighting"]].append(measure(image.convert("RGB"), 128).light_x)
    assert min(map(len, sides.values())) > 10
    right = np.mean([a > b for a in sides["right"] for b in sides["left"]])
    assert right > 0.9  # the chance that a drawing lit from the right has more light there


@pytest.mark.parametrize("rgb", [(255, 0, 0), (12, 200, 90), (30, 60, 220), (180, 90, 40)])
def test_cast_is_the_mean_colour_in_cielab(rgb: tuple[int, int, int]) -> None:
    found = measure(flat(*rgb), 64)
    assert (found.cast_a, found.cast_b) == pytest.approx(lab(rgb), abs=0.3)
    assert found.cast == pytest.approx(np.hypot(*lab(rgb)), abs=0.3)


def test_sharpness_and_light_are_those_of_the_face() -> None:
    pixels = np.full((200, 300, 3), 120, np.uint8)
    pixels[:, 150:] = np.random.default_rng(0).integers(0, 256, (200, 150, 1))
    pixels[30:90, 10:40] = 60
    image = Image.fromarray(pixels)
    assert measure(image, 200, [face(160, 20, 100, 100)]).sharpness > 1000
    blurred = measure(image, 200, [face(20, 40, 40, 40)])
    assert blurred.light_x == pytest.approx((120 - 60) / (120 + 60))
    assert blurred.sharpness < 1000
    assert (blurred.faces, blurred.face_share) == (1, pytest.approx(1600 / 200**2))


def test_faces_that_were_not_looked_for_differ_from_faces_that_are_not_there() -> None:
    assert [measure(flat(9, 9, 9), 64, found).faces for found in (None, ())] == [None, 0]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (7, 300)])
def test_a_strip_is_measured_without_being_blown_up(size: tuple[int, int]) -> None:
    assert measure(Image.new("RGB", size, (128, 128, 128)), 512).brightness == pytest.approx(128 / 255)


def test_every_flag_has_one_rule_that_reads_a_measure() -> None:
    assert {*RULES, "duplicate"} == set(Curation.model_fields)
    assert all(hasattr(FINE, rule.column) for rule in RULES.values())


def test_a_fine_picture_has_no_flag() -> None:
    assert flags(FINE, Curation()) == ()


@pytest.mark.parametrize(("person", "likeness"), [(None, None), (1, 0.9), (2, 0.74), (2, 0.1)])
def test_the_face_of_another_person_of_the_folder_is_flagged_once_however_like(
    person: int | None, likeness: float | None
) -> None:
    found = flags(replace(FINE, person=person, likeness=likeness), Curation())
    assert [flag.word for flag in found] == ["other_person"] * (person == 2)
    off = Curation(other_person=Limit(flag=None))
    assert not flags(replace(FINE, person=person, likeness=likeness), off)


@pytest.mark.parametrize("word", RULES)
def test_a_flag_says_its_value_its_limit_and_its_key(word: str) -> None:
    values, reason = EXCEEDING[word]
    (flag,) = flags(replace(FINE, **values), Curation())
    where = " on the picture" if RULES[word].placed else ""
    assert (flag.word, flag.reason, flag.refuses) == (word, f"{reason}{where} (images.curation.{word})", False)


def test_a_reason_says_whether_it_was_measured_on_the_face() -> None:
    for where in ("face", "picture"):
        (flag,) = flags(replace(FINE, brightness=0.9, measured_on=where), Curation())
        assert flag.reason == f"brightness 0.9 is above 0.85 on the {where} (images.curation.bright)"


@pytest.mark.parametrize("word", RULES)
def test_a_limit_of_none_never_flags_and_a_refusing_one_refuses(word: str) -> None:
    bad = replace(FINE, **EXCEEDING[word][0])
    assert flags(bad, Curation(**{word: Limit(flag=None)})) == ()
    (flag,) = flags(bad, Curation(**{word: Limit(flag=None, refuse=getattr(Curation(), word).flag)}))
    assert (flag.word, flag.refuses) == (word, True)


@pytest.mark.parametrize("word", RULES)
def test_a_value_at_the_limit_is_within_it(word: str) -> None:
    rule = RULES[word]
    at = getattr(FINE, rule.column)
    exceeded = {f.word for f in flags(FINE, Curation(**{word: Limit(flag=abs(at) if rule.side == "beyond" else at)}))}
    assert exceeded == set()


def test_what_is_not_known_is_not_flagged() -> None:
    unknown = replace(
        FINE, faces=None, face_share=None, face_cut=None, confidence=None, roll=None, yaw=None, likeness=None
    )
    strict = {word: Limit(flag=0.0 if rule.side != "below" else 99.0) for word, rule in RULES.items()}
    assert {f.word for f in flags(unknown, Curation(**strict))}.isdisjoint(
        {"no_face", "many_faces", "small_face", "cut_face", "rolled", "turned", "other_person"}
    )


def test_a_reason_never_says_that_a_number_is_below_itself() -> None:
    (flag,) = flags(replace(FINE, sharpness=39.996), Curation())
    assert flag.reason.startswith("sharpness 39.996 is below 40 ")


@given(one=st.integers(0, 2**64 - 1), other=st.integers(0, 2**64 - 1))
def test_distance_is_that_of_imagehash(one: int, other: int) -> None:
    texts = [f"{value:016x}" for value in (one, other)]
    assert distance(*texts) == imagehash.hex_to_hash(texts[0]) - imagehash.hex_to_hash(texts[1])


def test_a_copy_of_a_photograph_is_near_and_another_crop_of_it_is_not() -> None:
    one, limit = portrait(), Curation().duplicate.flag
    look = measure(one, 512).look
    copies = [
        one.resize((256, 300)),
        ImageEnhance.Brightness(one).enhance(0.8),
        one.filter(ImageFilter.GaussianBlur(2)),
    ]
    assert limit is not None
    assert max(distance(look, measure(copy, 512).look) for copy in copies) <= limit
    assert distance(look, measure(one.crop((100, 0, 400, 300)), 512).look) > limit


def test_clusters_are_chains_of_near_duplicates_numbered_in_order() -> None:
    looks = [f"{value:016x}" for value in (0xFF << 40, 0x0, 0x3F, 0xFFF, 0xFF << 41, 0xFFFFFFFF << 20)]
    assert clusters(looks, Curation()).tolist() == [1, 2, 2, 2, 1, 0]
    assert clusters(looks, Curation(duplicate=Limit(flag=None))).tolist() == [0] * 6
    assert clusters([], Curation()).tolist() == []


@given(st.lists(st.integers(0, 255), max_size=12))
def test_two_pictures_share_a_cluster_exactly_if_a_chain_joins_them(values: list[int]) -> None:
    found = clusters([f"{v:016x}" for v in values], Curation(duplicate=Limit(flag=1))).tolist()
    groups = [{i} for i in range(len(values))]
    for i, j in combinations(range(len(values)), 2):
        if (values[i] ^ values[j]).bit_count() <= 1:
            one, other = (next(g for g in groups if k in g) for k in (i, j))
            groups = [g for g in groups if g is not one and g is not other] + [one | other]
    assert {frozenset(g) for g in groups if len(g) > 1} == {
        frozenset(i for i, n in enumerate(found) if n == number) for number in set(found) - {0}
    }
