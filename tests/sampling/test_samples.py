"""samples.py: a PNG says how it was drawn, and only what it says is believed."""

import csv
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from caplora.sampling.samples import (
    Sample,
    Wanted,
    flag_of,
    flagged_sentence,
    pictures_of,
    read_samples,
    said_of,
    save_sample,
    scaled_samples,
    suite_hashes,
    wanted_samples,
    write_table,
)
from caplora.study.sampling_settings import Sampling

SETTINGS = Sampling(
    development=("an ink drawing of a woman",),
    test=("an ink drawing of a man, smiling", "a photo"),
    unrelated=("a bowl", "a lake"),
    seeds=(0, 5),
)
ADAPTER = {"name": "mini_r4_a8", "scale": 0.4, "sha256": "ab" * 32}
MADE = {"sampling": {"num_inference_steps": 3, "guidance_scale": 3.5}, "model": "sd", "adapter": ADAPTER}


def drawn(folder: Path, wanted: Wanted, flag: str = "") -> Path:
    save_sample(Image.new("RGB", (64, 32), "red"), flag, folder, wanted, MADE)
    return folder / wanted.file_name


def parameters_of(path: Path) -> str:
    with Image.open(path) as image:
        return str(image.info["parameters"])


@pytest.mark.parametrize("said", ["3", "[]", "{}", '{"flag": 1}', "[" * 5000])
def test_a_picture_that_does_not_say_how_it_was_drawn_is_named(said: str, tmp_path: Path) -> None:
    info = PngInfo()
    info.add_itxt("caplora", said)
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(ValueError, match=r"a\.png does not say how it was drawn"):
        flag_of(tmp_path / "a.png")


def test_every_prompt_meets_every_seed_once() -> None:
    wanted = wanted_samples(SETTINGS)
    assert len({(w.prompt, w.seed) for w in wanted}) == len({w.file_name for w in wanted}) == len(wanted) == 10
    assert [w.split for w in wanted] == ["development"] * 2 + ["test"] * 4 + ["unrelated"] * 4


def test_a_file_is_named_by_split_prompt_and_seed_wherever_the_prompt_stands() -> None:
    wanted = wanted_samples(SETTINGS)
    assert wanted[-1].file_name == f"unrelated_{sha256(b'a lake').hexdigest()[:8]}_5.png"
    fewer = SETTINGS.model_copy(update={"test": SETTINGS.test[::-1], "unrelated": ("a lake", "a tree", "a bowl")})
    own = {(w.split, w.prompt, w.seed): w.file_name for w in wanted_samples(fewer) if w.prompt != "a tree"}
    assert own == {(w.split, w.prompt, w.seed): w.file_name for w in wanted}


def test_noise_is_a_function_of_prompt_and_seed() -> None:
    wanted = wanted_samples(SETTINGS)
    assert len({w.noise for w in wanted}) == len(wanted)
    assert all(0 <= w.noise < 2**32 for w in wanted)
    moved = wanted_samples(SETTINGS.model_copy(update={"test": tuple(reversed(SETTINGS.test))}))
    assert {(w.prompt, w.seed): w.noise for w in moved} == {(w.prompt, w.seed): w.noise for w in wanted}


def test_other_scales_spend_no_test_prompt() -> None:
    assert [(w.split, w.seed) for w in scaled_samples(SETTINGS)] == [("development", 0)] + [("unrelated", 0)] * 2


def test_suite_is_hashed_by_its_prompts_in_their_order() -> None:
    one, two = suite_hashes(SETTINGS), suite_hashes(SETTINGS.model_copy(update={"test": SETTINGS.test[::-1]}))
    assert set(one) == {"development", "test", "unrelated"}  # edits has none
    assert one["test"] != two["test"] and one["development"] == two["development"]


def test_picture_says_how_it_was_drawn_to_a1111_and_to_us(tmp_path: Path) -> None:
    wanted = wanted_samples(SETTINGS)[2]
    path = drawn(tmp_path / "r4_a8@0.4", wanted)
    text = parameters_of(path)
    assert text.split("\n")[0] == "an ink drawing of a man, smiling <lora:mini_r4_a8:0.4>"
    assert text.split("\n")[1] == "Negative prompt: "
    assert text.split("\n")[2].startswith(
        f"Steps: 3, Sampler: DPM++ 2M, CFG scale: 3.5, Seed: {wanted.noise}, Size: 64x32, Model: sd, RNG: CPU, "
        'Lora hashes: "mini_r4_a8: ababababab"'
    )
    said = said_of(path)
    assert (said["arm"], said["seed"], said["split"], said["made"]) == ("r4_a8@0.4", 0, "test", MADE)


def test_readers_of_parameters_find_steps_seed_and_adapter(tmp_path: Path) -> None:
    """Taken apart as A1111 and ComfyUI do it: the last line of `key: value`, and `<lora:name:weight>` in the prompt."""
    wanted = wanted_samples(SETTINGS)[0]
    text = parameters_of(drawn(tmp_path / "r4_a8@0.4", wanted))
    last = text[text.rindex("\nSteps:") + 1 :]
    found = dict(re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', last))
    assert found["Steps"] == "3" and int(found["Seed"]) == wanted.noise and found["CFG scale"] == "3.5"
    assert re.findall(r"<lora:([^:]+):([^>]+)>", text) == [("mini_r4_a8", "0.4")]


def test_prompts_of_any_script_stay_what_they_are(tmp_path: Path) -> None:
    wanted = Wanted("한국 여자 “웃음” 😀\nsecond line", 3, "test", "test_000_3.png")
    path = drawn(tmp_path, wanted)
    assert said_of(path)["prompt"] == wanted.prompt and parameters_of(path).startswith("한국 여자")


def test_table_says_which_pictures_cannot_be_scored(tmp_path: Path) -> None:
    wanted = wanted_samples(SETTINGS)[:2]
    drawn(tmp_path / "r4_a8", wanted[0])
    drawn(tmp_path / "r4_a8", wanted[1], flag="black")
    write_table(tmp_path / "r4_a8", wanted)
    with open(tmp_path / "r4_a8/metadata.csv", newline="", encoding="utf-8") as file:
        assert [row["flag"] for row in csv.DictReader(file)] == ["", "black"]
    samples = read_samples(tmp_path / "r4_a8")
    assert [(s.variant, s.prompt, s.seed, s.split, s.flag) for s in samples] == [
        ("r4_a8", w.prompt, w.seed, "development", flag) for w, flag in zip(wanted, ("", "black"), strict=True)
    ]
    said = flagged_sentence(samples)
    assert said.startswith("1 of 2 samples cannot be scored (1 of r4_a8)") and wanted[1].file_name in said
    assert flagged_sentence(samples[:1]) == ""


def test_table_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    wanted = wanted_samples(SETTINGS)[:1]
    drawn(tmp_path, wanted[0])
    write_table(tmp_path, wanted)
    before = (tmp_path / "metadata.csv").stat()
    write_table(tmp_path, wanted)
    assert (tmp_path / "metadata.csv").stat().st_mtime_ns == before.st_mtime_ns


def test_lost_table_and_lost_picture_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"metadata\.csv does not exist: run 03_inference"):
        read_samples(tmp_path)
    wanted = wanted_samples(SETTINGS)[:1]
    path = drawn(tmp_path, wanted[0])
    write_table(tmp_path, wanted)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=path.name):
        read_samples(tmp_path)


def test_pictures_are_found_by_their_names_or_by_those_of_an_older_table(tmp_path: Path) -> None:
    wanted = wanted_samples(SETTINGS)[:3]
    old = replace(wanted[0], file_name="development_000_0.png")
    for w in (old, wanted[1]):
        drawn(tmp_path, w)
    assert pictures_of(tmp_path, wanted) == {wanted[1]: tmp_path / wanted[1].file_name}
    write_table(tmp_path, [old, wanted[1]])
    assert pictures_of(tmp_path, wanted) == {
        w: tmp_path / o.file_name for w, o in zip(wanted, [old, wanted[1]], strict=False)
    }


def test_sample_without_a_flag_column_is_a_sample(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,text,seed,split\na.png,a bowl,0,test\n", encoding="utf-8")
    assert read_samples(tmp_path) == [Sample(tmp_path.name, tmp_path / "a.png", "a bowl", 0, "test")]
