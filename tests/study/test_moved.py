"""Models that are gone from the hub."""

from pathlib import Path

import pytest
import yaml

from caplora.study.moved import MOVED
from caplora.study.settings import Model
from caplora.study.study import Study, read_study


def study_on(folder: Path, **base: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "like": "sd15", "base": base}))
    return path


@pytest.mark.parametrize("gone", MOVED)
@pytest.mark.parametrize("own", [{}, {"revision": "39593d5650112b4cc580433f6b0435385882d819"}])
def test_study_on_a_model_that_is_gone_reads_its_files_where_they_are_and_says_so(
    tmp_path: Path, gone: str, own: dict[str, str]
) -> None:
    with pytest.warns(UserWarning, match=rf"mine\.yaml: base: {gone} is gone from the hub; reading {MOVED[gone].path}"):
        study = read_study(study_on(tmp_path, path=gone, **own))
    assert study.base == MOVED[gone]
    assert study.model_path(study.base) == MOVED[gone].path and study.dataset == tmp_path / "datasets" / "mine"


def test_stable_diffusion_1_5_is_pinned_once() -> None:
    assert MOVED["runwayml/stable-diffusion-v1-5"] == Study.model_fields["base"].default == read_study("sd15").base
    assert MOVED["stabilityai/stable-diffusion-2-1"] == read_study("sd21").base


def test_folder_of_that_name_and_every_other_model_stay_as_the_study_says(tmp_path: Path) -> None:
    gone = "runwayml/stable-diffusion-v1-5"
    (tmp_path / gone).mkdir(parents=True)
    assert read_study(study_on(tmp_path, path=gone)).base == Model(path=gone)
    other = read_study(study_on(tmp_path, path="CompVis/stable-diffusion-v1-4", revision="abc"))
    assert other.base == Model(path="CompVis/stable-diffusion-v1-4", revision="abc")
