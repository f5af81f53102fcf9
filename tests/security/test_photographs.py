"""Where and by what a photograph was taken stays in the photograph: nothing that is written of it says so."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caplora.captions.enrolment import update_ledger
from caplora.images.intake import Stored, import_images
from caplora.images.table import image_table
from caplora.report.progress import write_progress
from caplora.review.static_table import html_table, jpeg
from caplora.study.study import Study
from tests.security.planted import DEVICE, PLACE, found_in, photographs


@pytest.fixture
def study(tmp_path: Path) -> Study:
    content = {"name": "small", "images": {"folder": "faces", "resolution": 64, "photographs": False}}
    content |= {"sampling": {"development": ["one"], "test": ["two", "three"]}}
    found = Study.model_validate_json(json.dumps(content))
    found._root = tmp_path
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (300, 300, 3), dtype=np.uint8)) for _ in range(4)]
    photographs(pictures, tmp_path / "faces")
    return found


def test_every_photograph_says_so_to_begin_with(study: Study) -> None:
    files = sorted(study.images_folder.iterdir())
    assert found_in(files, [PLACE]).keys() == {str(path) for path in files}
    assert found_in(files, [DEVICE]).keys() == {str(path) for path in files}


def test_nothing_of_it_is_in_the_dataset_its_tables_and_its_pages(study: Study) -> None:
    stored = [item for item in import_images(study) if isinstance(item, Stored)]
    assert len(stored) == 4
    image_table(stored, study.images.curation).to_csv(study.dataset / "images.csv")
    update_ledger(study, {item.file_name: item.source.as_posix() for item in stored})
    (study.dataset / "table.html").write_text(html_table(study.dataset), encoding="utf-8")
    write_progress(study)
    written = [path for path in study.path("").rglob("*") if path.is_file() and path.parent != study.images_folder]
    assert len(written) >= 8 and found_in(written, [PLACE, DEVICE]) == {}


def test_nothing_of_it_is_in_the_small_picture_of_any_file(study: Study, tmp_path: Path) -> None:
    for path in study.images_folder.iterdir():
        (tmp_path / "small.jpg").write_bytes(jpeg(path, 64))
        assert found_in([tmp_path / "small.jpg"], [PLACE, DEVICE]) == {}, path.name
