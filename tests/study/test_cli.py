"""new.py: a study of one's own begins with one command and is a valid study."""

from pathlib import Path

import pytest

from caplora.study import new as cli
from caplora.study.new import new_study
from caplora.study.reading import PROJECT, StudyError, read_yaml
from caplora.study.study import read_study


def test_new_study_is_the_old_one_with_other_images(tmp_path: Path) -> None:
    (tmp_path / "한글 faces").mkdir()
    path = new_study("faces", tmp_path / "한글 faces", "mini", tmp_path)
    made, like = read_study(path), read_study("mini")
    assert made.name == "faces" and made.images_folder == tmp_path / "한글 faces"
    assert made.sampling == like.sampling and made.training == like.training and made.scoring == like.scoring


def test_new_study_names_no_file_of_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decided = {"accept": ["portrait_001.png"], "refuse": ["portrait_002.png"]}
    content = read_yaml(PROJECT / "params" / "studies" / "mini.yaml")
    monkeypatch.setattr(cli, "read_yaml", lambda _: content | {"images": content["images"] | decided})
    made = read_study(new_study("faces", tmp_path, "mini", tmp_path)).images
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
