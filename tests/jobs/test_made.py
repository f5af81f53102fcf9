"""jobs/made.py and reads.py: a digest changes with what was made or is read, and with nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from caplora.jobs.made import images_digest, left_by, made_by, write_made
from caplora.jobs.reads import SETTINGS, chooses_by, code_of, models_of, settings_of
from caplora.study.reading import PROJECT
from caplora.study.study import Study
from caplora.study.variants import BASELINE, Variant
from tests.watching.small import small_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study with images, an adapter of each of two variants, and samples of them."""
    made = small_study(tmp_path)
    for i in range(2):
        picture(made.images_folder / f"{i}.png", i)
        picture(made.dataset / f"portrait_{i}.png", i)
    for name in ("r1_a1", "r2_a2"):
        weights = made.run / "adapters" / name / "weights.safetensors"
        weights.parent.mkdir(parents=True)
        weights.write_bytes(name.encode())
    for arm in (BASELINE, "r1_a1", "r2_a2", "r1_a1@0.5"):
        picture(made.samples(arm) / "1.png", 1)
    return made


def picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (number, 0, 0)).save(path)


def touch(path: Path) -> None:
    """The same bytes at another time."""
    os.utime(path, (1, 1))


def digests(study: Study) -> dict[str, str]:
    """What every kind of digest says of a study."""
    return {
        "images": images_digest(study),
        "01": made_by(study, "01_data_captioning"),
        "02": made_by(study, "02_train_lora", ["r1_a1"]),
        "03": made_by(study, "03_inference", ["r1_a1"]),
        "03 all": made_by(study, "03_inference"),
    }


CHANGES: dict[str, tuple[Callable[[Study], object], set[str]]] = {
    "an image is another": (lambda s: picture(s.images_folder / "0.png", 9), {"images"}),
    "an image comes": (lambda s: picture(s.images_folder / "sub" / "7.png", 7), {"images"}),
    "an image goes": (lambda s: (s.images_folder / "1.png").unlink(), {"images"}),
    "an image is touched": (lambda s: touch(s.images_folder / "0.png"), set()),
    "a portrait is another": (lambda s: picture(s.dataset / "portrait_0.png", 9), {"01"}),
    "a portrait is touched": (lambda s: touch(s.dataset / "portrait_0.png"), set()),
    "the ledger is another": (lambda s: (s.dataset / "metadata.csv").write_text("x"), set()),
    "weights are others": (lambda s: (s.run / "adapters/r1_a1/weights.safetensors").write_bytes(b"x"), {"02"}),
    "weights are touched": (lambda s: touch(s.run / "adapters/r1_a1/weights.safetensors"), set()),
    "another variant's": (lambda s: (s.run / "adapters/r2_a2/weights.safetensors").write_bytes(b"x"), set()),
    "losses": (lambda s: (s.run / "adapters/r1_a1/losses.csv").write_text("x"), set()),
    "a sample is another": (lambda s: picture(s.samples("r1_a1") / "1.png", 255), {"03", "03 all"}),
    "a sample comes": (lambda s: picture(s.samples(BASELINE) / "2.png", 1), {"03", "03 all"}),
    "another arm's sample": (lambda s: picture(s.samples("r2_a2") / "2.png", 1), {"03 all"}),
    "a sample at a scale": (lambda s: (s.samples("r1_a1@0.5") / "1.png").unlink(), {"03 all"}),
    "a table of samples": (lambda s: (s.samples(BASELINE) / "metadata.csv").write_text("x"), set()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_digest_changes_with_what_it_is_of_alone(what: str, study: Study) -> None:
    change, changed = CHANGES[what]
    before = digests(study)
    assert digests(study) == before
    change(study)
    after = digests(study)
    assert {name for name in before if before[name] != after[name]} == changed


def test_an_image_that_was_read_once_is_not_read_again(study: Study) -> None:
    before, path = images_digest(study), study.images_folder / "0.png"
    there = path.stat()
    path.write_bytes(b"?" * there.st_size)
    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))  # as no program leaves it: it must be taken for the same
    assert images_digest(study) == before


def test_there_is_a_digest_of_a_study_of_which_nothing_was_made(tmp_path: Path) -> None:
    made = small_study(tmp_path)
    assert len({*digests(made).values()}) == 1 and not made.images_folder.exists()


def test_a_failed_job_leaves_another_digest(study: Study) -> None:
    write_made(study.run / "jobs/a.made", study, "02_train_lora", ["r1_a1"])
    write_made(study.run / "jobs/b.made", study, "02_train_lora", ["r1_a1"], " failed 1")
    one, other = ((study.run / f"jobs/{name}.made").read_text("utf-8") for name in "ab")
    assert one == f"{made_by(study, '02_train_lora', ['r1_a1'])}\n" and other == one.replace("\n", " failed 1\n")


def test_what_is_left_of_a_variant_that_was_not_trained_are_no_samples(study: Study) -> None:
    one, two = Variant(rank=1, alpha=1), Variant(rank=2, alpha=2)
    (study.adapter(one) / "settings.json").write_text("{}")
    assert left_by(study, "03_inference", [one, two]) == [
        study.samples(a) / "metadata.csv" for a in (BASELINE, "r1_a1")
    ]
    assert left_by(study, "02_train_lora", [two]) == [study.adapter(two) / "settings.json"]
    assert left_by(study, "04_clipscore", [one]) == [study.scores] and left_by(study, "05_analysis", []) == [
        study.report
    ]


def test_settings_of_one_notebook_are_not_those_of_another(study: Study) -> None:
    other = study.model_copy(update={"training": study.training.model_copy(update={"steps": 7})})
    changed = {n for n in SETTINGS if settings_of(other, n) != settings_of(study, n)}
    assert changed == {"02_train_lora", "05_analysis"} and chooses_by(other) == chooses_by(study)


def test_every_notebook_of_a_study_has_its_settings_and_another_code() -> None:
    story = sorted(p.stem for p in (PROJECT / "notebooks").glob("0[1-5]_*.ipynb"))
    assert list(SETTINGS) == story and len({code_of(name) for name in story}) == len(story)


def test_a_model_made_anew_is_another_and_one_of_the_hub_is_its_name_alone(study: Study, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    own = study.model_copy(update={"base": study.base.model_copy(update={"path": str(folder)})})
    own._root = study._root
    nothing = models_of(own, "02_train_lora")
    folder.mkdir()
    (folder / "unet.bin").write_bytes(b"1")
    some = models_of(own, "02_train_lora")
    assert models_of(own, "03_inference", part=True) == some != nothing
    assert models_of(own, "05_analysis") == models_of(study, "02_train_lora") == nothing
