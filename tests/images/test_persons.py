"""persons.py: who is who in a folder, by the encoder's cosines; the person is who is in most pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from caplora.images.face_encoder import FaceEncoder
from caplora.images.faces import Box, Detector, Face, Point
from caplora.images.intake import Stored, import_images, look_at_faces
from caplora.images.persons import Persons, Sighting, faces_note
from caplora.images.pinned import Absent
from caplora.images.table import image_table
from caplora.study.study import Study, read_study
from tests.detector import colour_encoder, red_square_detector

SAME = 0.363


def sighting(embedding: Sequence[float], size: float = 10) -> Sighting:
    face = Face(Box(0, 0, size, size), *[Point(0, 0)] * 5, confidence=0.9)
    whole = np.pad(np.array(embedding, float), (0, 128 - len(embedding)))
    return Sighting.of(face, np.zeros((112, 112, 3), np.uint8), whole / np.linalg.norm(whole))


def folder(**pictures: list[Sighting]) -> Persons:
    return Persons({Path(name): found for name, found in pictures.items()}, SAME)


def around(middle: int, seed: int, spread: float) -> Sighting:
    """A face whose embedding is an axis of 128 and noise."""
    return sighting(np.eye(128)[middle] + np.random.default_rng(seed).normal(0, spread / np.sqrt(128), 128))


def test_the_persons_are_told_apart_and_the_commonest_is_the_folders() -> None:
    found = folder(**{f"p{k}": [around(int(k >= 3), k, 0.8)] for k in range(10)})
    assert found.numbers.tolist() == [2] * 3 + [1] * 7
    assert found.likeness is not None
    assert found.likeness[3:].min() > SAME > found.likeness[:3].max()


def test_copies_of_a_photograph_count_once() -> None:
    copies = {f"a{k}": [sighting([0, 1, 0.01 * k])] for k in range(5)}
    found = folder(**copies, **{f"b{k}": [around(0, k, 0.8)] for k in range(2)})
    assert found.numbers.tolist() == [2] * 5 + [1] * 2


def test_likeness_is_the_cosine_to_the_mean_of_the_folders_person() -> None:
    found = folder(**{f"p{k}": [around(int(k >= 4), k, 0.8)] for k in range(6)})
    faces = np.array([one.embedding for _, one in found.faces])
    mean = faces[:4].mean(0)
    assert found.likeness == pytest.approx(faces @ mean / np.linalg.norm(mean))


def test_two_persons_with_two_faces_alike_stay_two() -> None:
    """Chains would join them: the mean of all cosines between the two is what counts."""
    link = np.cos(0.7), np.sin(0.7)  # between the two, nearer to the first
    faces = [[1, 0], [1, 0.05], [1, -0.05], link, [0, 1], [0.05, 1], [-0.05, 1]]
    found = folder(**{f"p{k}": [sighting(face)] for k, face in enumerate(faces)})
    assert (found.embeddings @ found.embeddings[3]).min() > SAME
    assert found.numbers.tolist() == [1, 1, 1, 1, 2, 2, 2]


@given(st.lists(st.integers(0, 3), min_size=2, max_size=12))
def test_faces_of_persons_that_are_nothing_alike_get_the_numbers_of_their_persons(who: list[int]) -> None:
    found = folder(**{f"p{k:02}": [sighting(np.eye(4)[one])] for k, one in enumerate(who)})
    assert len({*zip(who, found.numbers.tolist(), strict=True)}) == len({*who}) == found.numbers.max()
    counts = np.bincount(found.numbers)[1:]
    assert counts.tolist() == sorted(counts, reverse=True)
    assert (found.likeness is None) == (counts[0] < 2)


def test_pictures_count_and_not_faces() -> None:
    crowd = [sighting([0, 1, 0], size=k + 1) for k in range(5)]
    found = folder(a=[*crowd, sighting([1, 0, 0])], b=[sighting([1, 0, 0])])
    assert found.numbers.tolist() == [2] * 5 + [1, 1]


def test_of_several_faces_the_persons_comes_first_and_else_the_largest() -> None:
    found = folder(
        a=[sighting([0, 1], size=90), sighting([1, 0], size=20), sighting([1, 0.4], size=50)],
        b=[sighting([1, 0])],
        d=[sighting([1, 0])],
        c=[sighting([0, 1], size=5), sighting([0, 1], size=9)],
    )
    assert [(face.box.width, number) for face, number, _ in found.of(Path("a"))] == [(20, 1), (90, 2), (50, 1)]
    assert [face.box.width for face, _, _ in found.of(Path("c"))] == [9, 5]


def test_where_nobody_is_in_two_pictures_nobody_is_another_person() -> None:
    for found in (folder(), folder(a=[sighting([1, 0])]), folder(a=[sighting([1, 0])], b=[sighting([0, 1])])):
        assert found.likeness is None
        whose = [face[1:] for source in found.pictures for face in found.of(source)]
        assert set(whose) <= {(None, None)}


def test_the_note_says_how_many_or_why_not() -> None:
    detector, absent = Detector(red_square_detector(), 0.7), Absent("x is not there")
    assert faces_note(absent) == "faces were not looked for: x is not there"
    assert faces_note(detector, absent) == "faces were looked for; persons were not told apart: x is not there"
    found = folder(**{f"p{k}": [sighting(np.eye(4)[k // 3])] for k in range(5)})
    assert faces_note(detector, found).endswith("persons were told apart: 2 in 5 faces, 3 of them the folder's person")
    assert "nobody is in two pictures" in faces_note(detector, folder(a=[sighting([1, 0])]))


def study_of(tmp_path: Path) -> Study:
    (tmp_path / "study.yaml").write_text(
        "name: faces\nimages: {folder: mine, resolution: 64, smallest: 64, curation: {small_face: {flag: null}}}\n"
        "sampling: {development: [a], test: [b, c]}\n"
    )
    (tmp_path / "mine").mkdir()
    return read_study(tmp_path / "study.yaml")


def coloured(grey: int, *heads: tuple[tuple[int, int], tuple[int, int, int]]) -> Image.Image:
    """A grey picture in which the detector sees a face at each cell, its surroundings in a colour of its own."""
    pixels = np.full((288, 576, 3), grey, np.uint8)
    for (column, row), colour in heads:
        pixels[max(row - 2, 0) * 32 : (row + 3) * 32, max(column - 2, 0) * 32 : (column + 3) * 32] = colour
        pixels[row * 32 : (row + 1) * 32, column * 32 : (column + 1) * 32] = (255, 0, 0)
    return Image.fromarray(pixels)


def table_of(study: Study, detector: Detector, persons: Persons | None) -> pd.DataFrame:
    items = list(import_images(study, 0, detector, persons))
    return image_table([item for item in items if isinstance(item, Stored)], study.images.curation)


def test_the_square_is_cut_around_the_folders_person_and_others_are_flagged(tmp_path: Path) -> None:
    study, green, blue = study_of(tmp_path), (60, 120, 60), (60, 60, 160)
    pictures = {
        "a": coloured(80, ((4, 4), green)),
        "b": coloured(90, ((12, 4), green)),
        "c": coloured(100, ((3, 4), blue), ((13, 4), green)),
        "d": coloured(110, ((5, 4), blue)),
    }
    for name, picture in pictures.items():
        picture.save(study.images_folder / f"{name}.png")
    detector, encoder = Detector(red_square_detector(), 0.7), FaceEncoder(colour_encoder())
    persons = Persons(dict(look_at_faces(study, 0, detector, encoder)), SAME)
    table = table_of(study, detector, persons)
    assert list(table["person"]) == [1, 1, 1, 2]
    assert ["other_person" in words for words in table["flagged"]] == [False, False, False, True]
    assert table["reasons"][3].count("likeness to the folder's person") == 1
    assert table["faces"].tolist() == [1, 1, 2, 1]
    with Image.open(study.dataset / "c.png") as image:
        assert (np.asarray(image, int) == green).all(2).any() and not (np.asarray(image, int) == blue).all(2).any()
    without = table_of(study, detector, None)
    assert without[["person", "likeness"]].isna().all(axis=None)
    assert not without["flagged"].str.contains("other_person").any()
    assert list(look_at_faces(study, 0, detector, Absent("gone"))) == []


def test_a_face_is_kept_as_a_tenth_of_its_pixels_and_looks_as_it_did() -> None:
    across, down = np.meshgrid(np.arange(112), np.arange(112))
    smooth = np.stack([across, down, 160 - across // 2 - down // 2], -1).astype(np.uint8)
    one = Sighting.of(sighting([1]).face, smooth, np.eye(128)[0])
    assert len(one.jpeg) < smooth.nbytes / 10
    assert abs(one.aligned.astype(int) - smooth).mean() < 3
    assert not [value for value in vars(one).values() if isinstance(value, np.ndarray) and value.size > 128]
