"""cleaning.py: the subject takes the place of the machine's opening, whoever the machine is, and its tics go."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caplora.captions.cleaning import compose, tidy
from caplora.mini.world.world import caption, draw_person, draw_scene, truth

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


@pytest.mark.parametrize(
    ("machine", "text"),
    [
        ("arafed in a red dress", f"{ME}, in a red dress"),
        ("a woman in a arafed hat with araffe trees", f"{ME} in a hat with trees"),
        ("arafed", ME),
        ("a woman with a blue shirt and a blue shirt and a tie", f"{ME} with a blue shirt and a tie"),
        ("a woman wearing a black black black shirt", f"{ME} wearing a black shirt"),
        ("a woman 's hair is blonde", f"{ME}'s hair is blonde"),
        ("a young asian female model with a hat", f"{ME} with a hat"),
        ("a picture of a woman with red hair", f"{ME} with red hair"),
    ],
)
def test_the_tics_of_blip_go(machine: str, text: str) -> None:
    assert compose(machine, ME) == text


@pytest.mark.parametrize(
    ("machine", "text"),
    [
        ("The image shows a young woman with long hair. She wears a hat.", f"{ME} with long hair. She wears a hat"),
        ("The image is a portrait of a woman in a park.", f"{ME} in a park"),
        ("In this image, we can see a man in a park", f"{ME} in a park"),
        ("This photo features a man with glasses", f"{ME} with glasses"),
        ("a photograph depicting a woman in a hat", f"{ME} in a hat"),
        ("Long brown hair, smiling, soft light.", f"{ME}, long brown hair, smiling, soft light"),
        ("Blonde woman in a hat", f"{ME}, blonde, in a hat"),
        ("UV light, T-shirt", f"{ME}, UV light, T-shirt"),
        ("Sure! Here's a caption of it:\n\n“Long hair, smiling.”", f"{ME}, long hair, smiling"),
        ("- long hair\n- a *blue* shirt", f"{ME}, long hair, a blue shirt"),
        ("1. long hair\n2. smiling", f"{ME}, long hair, smiling"),
        ('a sign that says "hello"', f'{ME}, a sign that says "hello"'),
    ],
)
def test_the_talk_of_chat_models_and_florence_goes(machine: str, text: str) -> None:
    assert compose(machine, ME) == text


def test_what_is_tidy_stays() -> None:
    text = "a photo of a woman with long, curly hair; a man's shirt, 3.5 cm wide: red-brown"
    assert tidy(text) == text


def test_a_whole_paragraph_is_composed_at_once() -> None:
    """An expression that tries every way to split a long text would take hours."""
    began = time.perf_counter()
    compose("the very " * 400 + "end of it, and " * 100, ME)
    assert time.perf_counter() - began < 1
