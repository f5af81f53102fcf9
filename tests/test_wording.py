"""wording.py: the subject takes the place of the machine's opening, and no attribute is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caplora.mini.world import caption, draw_person, draw_scene, truth
from caplora.wording import compose

ME = "an ink drawing of a woman"


@pytest.mark.parametrize(
    ("machine", "text"),
    [
        ("a pencil drawing of a lady with red hair , in a t - shirt", f"{ME} with red hair, in a t-shirt"),
        ("arafed image of a young lady in a white dress", f"{ME} in a white dress"),
        ("there is a man that is standing in front of a wall", f"{ME} standing in front of a wall"),
        ("there is a woman that has short hair", f"{ME} with short hair"),
        ("a close up of a person", ME),
        ("a close up of a person wearing a hat", f"{ME} wearing a hat"),
        ("a painting in oil of a gentleman, serious", f"{ME}, serious"),
        ("a black and white photo of a woman ' s face with freckles", f"{ME} with freckles"),
        ("smiling woman with red red hair and a hat and a hat and a hat", f"{ME}, smiling, with red hair and a hat"),
        ("a beautiful young white - haired woman in a dress", f"{ME}, white-haired, in a dress"),
        ("a man standing in front of a woman", f"{ME} standing in front of a woman"),
        ("two women on a bench", f"{ME}, two women on a bench"),
        ("a man and a woman sitting", f"{ME}, a man and a woman sitting"),
        ("a painting of flowers", f"{ME}, a painting of flowers"),
        ("", ME),
    ],
)  # fmt: skip
def test_the_subject_takes_the_place_of_the_machines_opening(machine: str, text: str) -> None:
    assert compose(machine, ME) == text
    assert compose(text, ME) == text


def test_no_attribute_of_the_portrait_world_is_lost_or_kept_twice() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        attributes = truth(draw_person(rng), draw_scene(rng))
        plain = caption(attributes)
        said = plain.replace("-", " - ").replace(",", " ,")  # as a word-piece tokenizer gives it back
        assert compose(said, ME) == f"{ME} with {plain.partition(' with ')[2]}"


@given(st.text(max_size=80))
def test_every_composed_caption_starts_with_the_subject(machine: str) -> None:
    assert compose(machine, ME).startswith(ME)
