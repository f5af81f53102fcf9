"""What lies in a folder is read there: links and names that lead out are refused by name."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from caplora.captions.exchange import read_captions
from caplora.captions.ledger import LedgerError
from caplora.captions.matching import own_words
from caplora.images.intake import Accepted, Refused, scan
from caplora.notebooks.keeping import Keeping
from caplora.sampling.samples import pictures_of, read_samples, save_sample, wanted_samples, write_table
from caplora.study.image_settings import Images
from caplora.study.study import Study
from caplora.watching.looking import newest_pictures

pytestmark = pytest.mark.fault(31)


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is nobody's business, with a picture, words and a table."""
    folder = tmp_path_factory.mktemp("outside")
    Image.new("RGB", (300, 300), "red").save(folder / "private.png")
    (folder / "private.txt").write_text("private words", encoding="utf-8")
    (folder / "captions.json").write_text(json.dumps({"a.png": "private words"}), encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "faces"
    own.mkdir()
    Image.new("RGB", (300, 300), "green").save(own / "a.png")
    return own


@pytest.fixture
def study(tmp_path: Path) -> Study:
    content = {"name": "small", "images": {"folder": "faces"}, "sampling": {"development": ["a"], "test": ["b", "c"]}}
    found = Study.model_validate_json(json.dumps(content))
    found._root = tmp_path
    made = {"adapter": None, "sampling": {"num_inference_steps": 1, "solver": "euler", "guidance_scale": 2.0}}
    wanted = wanted_samples(found.sampling)
    for one in wanted:
        save_sample(Image.new("RGB", (8, 8)), "", found.samples("baseline"), one, made | {"model": "small"})
    write_table(found.samples("baseline"), wanted)
    return found


def test_an_image_that_is_a_link_out_is_refused_and_one_within_is_not(folder: Path, outside: Path) -> None:
    (folder / "out.png").symlink_to(outside / "private.png")
    (folder / "deep").mkdir()
    (folder / "deep" / "far.png").symlink_to(Path("../../../..") / outside.relative_to("/") / "private.png")
    (folder / "whole").symlink_to(outside)
    (folder / "b.png").symlink_to("a.png")
    found = {item.source.as_posix(): item for item in scan(folder, Images(folder=str(folder), photographs=False))}
    reasons = {name: item.reason for name, item in found.items() if isinstance(item, Refused)}
    assert isinstance(found["a.png"], Accepted) and reasons.pop("b.png") == "the same pixels as a.png"
    assert {*reasons} == {"out.png", "deep/far.png", "whole"}
    assert all("leads out of the folder: put the file itself there" in reason for reason in reasons.values())


def test_a_folder_that_is_itself_a_link_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    [found] = scan(tmp_path / "link", Images(folder="link", photographs=False))
    assert isinstance(found, Accepted)


@pytest.mark.parametrize("name", ["a.txt", "a.caption", "captions.json"])
def test_words_behind_a_link_out_are_nobodys_captions(folder: Path, outside: Path, name: str) -> None:
    (folder / name).symlink_to(outside / ("captions.json" if name.endswith("json") else "private.txt"))
    with pytest.raises(LedgerError, match=rf"{name} is a link that leads out of .*faces: put the file itself there"):
        own_words(folder)


def test_a_folder_of_words_has_no_links_out(folder: Path, outside: Path) -> None:
    (folder / "a.txt").symlink_to(outside / "private.txt")
    with pytest.raises(LedgerError, match="leads out"):
        read_captions(folder)


@pytest.mark.parametrize("name", ["../../../faces/a.png", "{outside}/private.png", "link.png"])
def test_a_sample_that_lies_elsewhere_is_none(study: Study, outside: Path, folder: Path, name: str) -> None:
    arm = study.samples("baseline")
    (arm / "link.png").symlink_to(outside / "private.png")
    with open(arm / "metadata.csv", "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([name.format(outside=outside), "b", "9", "test", ""])
    with pytest.raises(ValueError, match=r"leads out of .*baseline: correct file_name in its metadata\.csv"):
        read_samples(arm)


def test_a_sample_that_was_replaced_by_a_link_out_is_neither_shown_nor_published(study: Study, outside: Path) -> None:
    wanted = wanted_samples(study.sampling)
    path = study.samples("baseline") / wanted[0].file_name
    path.unlink()
    path.symlink_to(outside / "private.png")
    with pytest.raises(ValueError, match="leads out of"):
        pictures_of(study.samples("baseline"), wanted)
    assert path not in newest_pictures(study)


def test_what_is_kept_and_brought_back_is_no_link(study: Study, outside: Path, tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    (drive / "runs" / "small").mkdir(parents=True)
    (drive / "runs" / "small" / "scores.csv").symlink_to(outside / "private.txt")
    Keeping(tmp_path, "small", drive).bring_back()
    assert not (tmp_path / "runs" / "small" / "scores.csv").exists()
