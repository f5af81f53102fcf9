"""claiming.py: what is drawn stays whatever becomes of the suites, and nothing is removed unasked and unsaid."""

import errno
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caplora.sampling.claiming import claim_folder, differences, what_goes
from caplora.sampling.samples import Wanted, lacking, said_of, save_sample, wanted_samples, write_table
from caplora.study.files import DiskError
from caplora.study.sampling_settings import Sampling

SETTINGS = Sampling(
    development=("one", "two"), test=("three", "four", "five"), unrelated=("a bowl", "a lake"), seeds=(0, 5)
)
ADAPTER = {"name": "mini_r4_a8", "scale": 1.0, "sha256": "ab" * 32}
MADE: dict[str, Any] = {
    "sampling": {"num_inference_steps": 3, "guidance_scale": 3.5}, "base": {"unet": "cd" * 32}, "model": "sd",
    "adapter": ADAPTER,
}  # fmt: skip
MORE_STEPS = MADE | {"sampling": {"num_inference_steps": 30, "guidance_scale": 3.5}}


def colour(wanted: Wanted) -> tuple[int, int, int]:
    """A colour for every sample, so that it can be told where it went."""
    return wanted.noise % 251, wanted.noise // 251 % 251, wanted.noise // 63001 % 251


def draw(folder: Path, wanted: Wanted, flag: str = "") -> None:
    save_sample(Image.new("RGB", (8, 8), colour(wanted)), flag, folder, wanted, MADE)


def claimed(folder: Path, settings: Sampling, named: Mapping[int, str] | None = None) -> tuple[Wanted, ...]:
    """A folder with all that the settings want; `named` has other names for some."""
    wanted = wanted_samples(settings)
    claim_folder(folder, wanted, MADE)
    for i, w in enumerate(wanted):
        draw(folder, replace(w, file_name=(named or {}).get(i, w.file_name)))
    return wanted


def by_place(settings: Sampling) -> dict[int, str]:
    """The names of versions before this one."""
    places = [f"{s}_{n:03d}_{seed}.png" for s, suite in settings.suites.items() for n in range(len(suite))
              for seed in settings.seeds]  # fmt: skip
    return dict(enumerate(places))


def shows_what_it_is(folder: Path, wanted: Wanted) -> bool:
    """Whether a sample is there with its own pixels, prompt, seed and split."""
    said = said_of(folder / wanted.file_name)
    with Image.open(folder / wanted.file_name) as image:
        return image.getpixel((0, 0)) == colour(wanted) and (said["prompt"], said["seed"], said["split"]) == (
            wanted.prompt, wanted.seed, wanted.split,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("suites", "new"),
    [
        ({"test": ("three", "new", "four", "five")}, {"new"}),
        ({"test": ("five", "three", "four")}, set()),
        ({"test": ("three", "five")}, set()),
        ({"test": ("four", "five"), "development": ("three", "one", "two")}, set()),
        ({"test": ("three", "four", "a lake"), "unrelated": ("five", "a bowl", "new")}, {"new"}),
    ],
    ids=["inserted", "reordered", "deleted", "moved", "swapped"],
)
@pytest.mark.parametrize("older", [False, True])
def test_only_what_is_new_is_drawn(tmp_path: Path, suites: dict[str, Any], new: set[str], older: bool) -> None:
    before = claimed(tmp_path, SETTINGS, by_place(SETTINGS) if older else None)
    wanted = wanted_samples(SETTINGS.model_copy(update=suites))
    claim_folder(tmp_path, wanted, MADE)
    lost = lacking(tmp_path, wanted)
    assert {w.prompt for w in lost} == new and len(lost) == 2 * len(new)
    assert all(shows_what_it_is(tmp_path, w) for w in wanted if w not in lost)
    assert len(list(tmp_path.glob("*.png"))) == len(before)


def test_a_prompt_that_comes_back_is_still_there(tmp_path: Path) -> None:
    claimed(tmp_path, SETTINGS)
    claim_folder(tmp_path, wanted_samples(SETTINGS.model_copy(update={"test": ("three", "five")})), MADE)
    claim_folder(tmp_path, wanted_samples(SETTINGS), MADE)
    assert lacking(tmp_path, wanted_samples(SETTINGS)) == []


def test_a_moved_picture_is_to_the_byte_what_would_be_drawn_there_and_keeps_its_flag(tmp_path: Path) -> None:
    old, new = (Wanted("one", 0, split, f"{split}.png") for split in ("development", "test"))
    for folder, wanted in (("a", old), ("b", new)):
        claim_folder(tmp_path / folder / "r4_a8", [wanted], MADE)
        draw(tmp_path / folder / "r4_a8", wanted, "black")
    claim_folder(tmp_path / "a" / "r4_a8", [new], MADE)
    a, b = (tmp_path / folder / "r4_a8" / "test.png" for folder in "ab")
    assert a.read_bytes() == b.read_bytes() and said_of(a)["flag"] == "black"


def test_an_old_name_beside_the_new_one_is_one_picture(tmp_path: Path) -> None:
    """A second folder may bring back the old names after the new ones were given."""
    wanted = claimed(tmp_path, SETTINGS)
    draw(tmp_path, replace(wanted[0], file_name="development_000_0.png"))
    claim_folder(tmp_path, wanted, MADE)
    assert {p.name for p in tmp_path.glob("*.png")} == {w.file_name for w in wanted}


def test_a_table_of_names_that_are_gone_goes_and_another_stays(tmp_path: Path) -> None:
    wanted = claimed(tmp_path, SETTINGS)
    write_table(tmp_path, wanted)
    claim_folder(tmp_path, wanted, MADE)
    assert (tmp_path / "metadata.csv").is_file()
    (tmp_path / wanted[0].file_name).rename(tmp_path / "development_000_0.png")
    claim_folder(tmp_path, wanted, MADE)
    assert not (tmp_path / "metadata.csv").is_file() and lacking(tmp_path, wanted) == []


def test_pictures_of_others_are_not_taken_for_samples(tmp_path: Path) -> None:
    wanted = wanted_samples(SETTINGS)[:1]
    claim_folder(tmp_path, wanted, MADE)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / wanted[0].file_name)
    claim_folder(tmp_path, wanted, MADE)
    assert lacking(tmp_path, wanted) == list(wanted)


def test_another_claim_removes_what_was_drawn_otherwise(tmp_path: Path) -> None:
    wanted = claimed(tmp_path, SETTINGS)
    claim_folder(tmp_path, wanted, MORE_STEPS)
    assert lacking(tmp_path, wanted) == list(wanted)


def test_pictures_of_other_settings_are_counted_and_go_only_when_it_is_said(tmp_path: Path) -> None:
    for arm in ("r4_a8", "r8_a8"):
        claimed(tmp_path / arm, SETTINGS)
    folders = {tmp_path / arm: MORE_STEPS for arm in ("r4_a8", "r8_a8", "r16_a16")}
    with pytest.raises(
        ValueError, match=r"^28 pictures of 2 arms in .* \(num_inference_steps: 3 → 30\).*redraw = True"
    ):
        what_goes(folders, redraw=False)
    said = what_goes(folders, redraw=True)
    assert said.startswith("removed, and to be drawn anew: 14 of r4_a8 (num_inference_steps: 3 → 30), 14 of r8_a8")
    assert len(list(tmp_path.glob("*/*.png"))) == 28  # that is for `claim_folder`


def test_pictures_of_an_adapter_that_is_gone_need_no_word_and_are_said(tmp_path: Path) -> None:
    claimed(tmp_path / "r4_a8", SETTINGS)
    assert what_goes({tmp_path / "r4_a8": MADE}, redraw=False) == ""
    again = MADE | {"adapter": ADAPTER | {"sha256": "ef" * 32}}
    said = what_goes({tmp_path / "r4_a8": again}, redraw=False)
    assert said == "removed, and to be drawn anew: 14 of r4_a8 (by an adapter that is gone)"


def test_what_differs_is_named_with_both_values() -> None:
    other = MADE | {"base": {"unet": "ef" * 32}, "noise": "of prompt and seed"}
    assert differences(MADE, other) == "unet: cdcdcdcdcdcd → efefefefefef, noise: nothing → of prompt an"
    assert differences(MADE, MADE | {"adapter": None}) == "" and "nobody recorded" in differences({}, MADE)


@pytest.mark.fault(17)
def test_a_picture_that_the_disk_does_not_give_is_an_error_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may well be a good one: to take it for none of ours would remove it."""
    wanted = claimed(tmp_path, SETTINGS)
    before = sorted(tmp_path.iterdir())

    def broken(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(Image, "open", broken)
    for work in (lambda: claim_folder(tmp_path, wanted, MADE), lambda: write_table(tmp_path, wanted)):
        with pytest.raises(DiskError, match=r"\.png could not be read: Input/output error\. See that the disk"):
            work()
    assert sorted(tmp_path.iterdir()) == before
