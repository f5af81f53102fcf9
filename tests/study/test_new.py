"""new.py: a study of one's own begins with one command and is a valid study."""

import re
from pathlib import Path

import pytest

from caplora.study.new import new_study
from caplora.study.reading import StudyError, read_yaml
from caplora.study.study import read_study


def test_new_study_is_the_old_one_with_other_images(tmp_path: Path) -> None:
    (tmp_path / "한글 faces").mkdir()
    path = new_study("faces", tmp_path / "한글 faces", "mini", tmp_path)
    made, like = read_study(path), read_study("mini")
    assert made.name == "faces" and made.images_folder == tmp_path / "한글 faces"
    assert made.sampling == like.sampling and made.training == like.training and made.scoring == like.scoring


def test_new_study_names_no_file_of_the_old_one(tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    decided = "images: {accept: [portrait_001.png], refuse: [portrait_002.png], provenance: {consent: given}}\n"
    old.write_text("name: old\nlike: mini\n" + decided)
    made = read_study(new_study("faces", tmp_path, str(old), tmp_path)).images
    assert (made.accept, made.refuse, made.provenance.consent) == ((), (), "")
    assert made.curation == read_study("mini").images.curation


def test_new_study_never_overwrites_one(tmp_path: Path) -> None:
    path = new_study("faces", tmp_path, "mini", tmp_path)
    before = path.read_text()
    (tmp_path / "others").mkdir()
    with pytest.raises(StudyError, match="exists and is of"):
        new_study("faces", tmp_path / "others", "sd15", tmp_path)
    assert new_study("faces", tmp_path, "sd15", tmp_path) == path  # the same images: it stays as a person edited it
    assert path.read_text() == before


@pytest.mark.parametrize("like", ["mini", "sd15"])
def test_new_study_is_some_twenty_lines_whose_hints_are_valid_too(like: str, tmp_path: Path) -> None:
    path = new_study("faces", tmp_path, like, tmp_path)
    text = path.read_text()
    assert len(text.splitlines()) <= 25 and read_yaml(path).keys() == {"name", "like", "images"}
    path.write_text(re.sub(r"^( *)# (?=( *- )|( *\w+:))", r"\1", text, flags=re.M))  # every hint taken at its word
    said, other = read_study(path), read_study(like)
    assert said.images.provenance.consent == "signed, 2026-11-01"
    assert said.captioning == other.captioning
    assert (said.sampling.development, said.sampling.test) == (other.sampling.development[:2], other.sampling.test[:2])


def test_new_study_like_a_file_finds_it_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_study("first", tmp_path, "mini", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deeper").mkdir()
    second = new_study("second", tmp_path, "first.yaml", tmp_path / "deeper")
    monkeypatch.chdir("/")
    assert read_study(second).sampling == read_study("mini").sampling
