"""wording.py: the subject takes the place of the machine's opening, whoever the machine is, and its tics go."""

import time

import pytest

from caplora.wording import compose, tidy

ME = "an ink drawing of a woman"


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
