"""samples.py: a PNG says how it was drawn, and only what it says is believed."""

import csv
import re
from pathlib import Path

import pytest
from PIL import Image

from caplora.sampling.samples import (
    Sample,
    Wanted,
    claim_folder,
    flagged_sentence,
    lacking,
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


def test_every_prompt_meets_every_seed_once() -> None:
    wanted = wanted_samples(SETTINGS)
    assert len({(w.prompt, w.seed) for w in wanted}) == len({w.file_name for w in wanted}) == len(wanted) == 10
    assert [w.split for w in wanted] == ["development"] * 2 + ["test"] * 4 + ["unrelated"] * 4


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


def test_the_same_claim_keeps_pictures_and_another_one_clears_them(tmp_path: Path) -> None:
    wanted = wanted_samples(SETTINGS)
    claim_folder(tmp_path, wanted, MADE)
    path = drawn(tmp_path, wanted[0])
    claim_folder(tmp_path, wanted, MADE)
    assert path.is_file()
    claim_folder(tmp_path, wanted, MADE | {"model": "other"})
    assert not path.is_file()


def test_prompts_added_to_a_suite_cost_no_picture_and_changed_ones_their_own(tmp_path: Path) -> None:
    wanted = wanted_samples(SETTINGS)
    claim_folder(tmp_path, wanted, MADE)
    for w in wanted:
        drawn(tmp_path, w)
    more = wanted_samples(SETTINGS.model_copy(update={"development": (*SETTINGS.development, "a new one")}))
    claim_folder(tmp_path, more, MADE)
    assert [w.prompt for w in lacking(tmp_path, more)] == ["a new one", "a new one"]
    other = wanted_samples(SETTINGS.model_copy(update={"test": ("changed", SETTINGS.test[1])}))
    claim_folder(tmp_path, other, MADE)
    assert [w.prompt for w in lacking(tmp_path, other)] == ["changed", "changed"]
    assert len(list(tmp_path.glob("*.png"))) == len(wanted) - 2


def test_pictures_of_others_are_not_taken_for_samples(tmp_path: Path) -> None:
    wanted = wanted_samples(SETTINGS)[:1]
    claim_folder(tmp_path, wanted, MADE)
    Image.new("RGB", (8, 8)).save(tmp_path / wanted[0].file_name)
    claim_folder(tmp_path, wanted, MADE)
    assert lacking(tmp_path, wanted) == list(wanted)


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


def test_sample_without_a_flag_column_is_a_sample(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,text,seed,split\na.png,a bowl,0,test\n", encoding="utf-8")
    assert read_samples(tmp_path) == [Sample(tmp_path.name, tmp_path / "a.png", "a bowl", 0, "test")]
