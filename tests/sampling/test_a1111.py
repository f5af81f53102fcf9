"""a1111.py: what A1111 and its like write into a picture, as published, is read; what is written here is read again."""

import pytest

from caplora.sampling.a1111 import read_written, written

# As A1111 1.5 wrote it, the schedule behind the sampler, and as 1.9 and later do.
OLD = """masterpiece, portrait of a woman, <lora:faces_r8_a8:0.8> <lora:ink>
by the sea
Negative prompt: lowres, (bad hands:1.2)
Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 1234567890, Size: 512x768, Model hash: 6ce0161689, \
Model: v1-5-pruned-emaonly, Lora hashes: "faces_r8_a8: 0123456789ab, ink: ba9876543210", Version: v1.5.1"""
NEW = "a lake\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 5, Version: v1.10.1"


def test_text_of_a1111_is_taken_apart() -> None:
    old, new = read_written(OLD), read_written(NEW)
    assert old.prompt == "masterpiece, portrait of a woman, by the sea"
    assert old.negative == "lowres, (bad hands:1.2)" and old.adapters == {"faces_r8_a8": "0.8", "ink": ""}
    assert {
        "Steps": "28",
        "Sampler": "DPM++ 2M Karras",
        "Seed": "1234567890",
        "Size": "512x768",
    }.items() <= old.settings.items()
    assert old.settings["Lora hashes"] == "faces_r8_a8: 0123456789ab, ink: ba9876543210"
    assert (new.prompt, new.negative, new.settings["Schedule type"]) == ("a lake", "", "Automatic")


@pytest.mark.parametrize(
    ("text", "prompt", "negative", "steps"),
    [
        ("Steps: 5, a poster of stairs\nSteps: 20, Sampler: Euler", "Steps: 5, a poster of stairs", "", "20"),
        ("stairs, Steps: 5, wood\nNegative prompt: a\nSteps: 20, Seed: 1", "stairs, Steps: 5, wood", "a", "20"),
        ("a Steps: 5, b\nNegative prompt: Steps: 6, c\nSteps: 7, Seed: 1", "a Steps: 5, b", "Steps: 6, c", "7"),
        ("a lake Negative prompt: fog Steps: 20, Seed: 1", "a lake", "fog", "20"),  # lines that were joined
        ("a lake\nSteps: 20", "a lake", "", "20"),
    ],
)
def test_a_prompt_may_have_the_words_of_the_settings(text: str, prompt: str, negative: str, steps: str) -> None:
    read = read_written(text)
    assert (read.prompt, read.negative, read.settings["Steps"]) == (prompt, negative, steps)


@pytest.mark.parametrize("text", ["", "a lake", "a lake\nby the sea"])
def test_text_without_settings_is_a_prompt(text: str) -> None:
    assert read_written(text).prompt == " ".join(text.split()) and not read_written(text).settings


def test_what_is_written_is_read_again() -> None:
    made = {"sampling": {"num_inference_steps": 9, "guidance_scale": 2.5, "solver": "unipc"}, "model": "tiny"}
    worn = [{"name": name, "scale": scale, "sha256": "ab" * 32} for name, scale in (("one", 0.5), ("two", -1.0))]
    text = written(("a <lora:x:1> lake", "a\nman", 7), (32, 32), made, worn, "caplora arm: playground")
    read = read_written(text)
    assert (read.prompt, read.negative) == ("a < lora:x:1> lake", "a man")
    assert read.adapters == {"one": "0.5", "two": "-1"}
    assert read.settings["Seed"] == "7" and read.settings["Sampler"] == "UniPC" and read.settings["CFG scale"] == "2.5"
