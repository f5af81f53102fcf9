"""repeating.py: a study is run again from its manifest, elsewhere, from what it was made from, and is compared."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml
from PIL import Image

from caplora.commands.app import main
from caplora.jobs import notebook, reads
from caplora.study.study import Study, read_study
from caplora.study.variants import Variant, read_variants
from caplora.verifying.manifest import manifest_path, read_manifest, settings_of, write_manifest
from caplora.verifying.repeating import STORY, begin, variants_of

VARIANTS = [Variant(rank=1, alpha=1), Variant(rank=2, alpha=1, learning_rate=0.01)]
SAMPLING = {"development": ["a"], "test": ["b", "c"]}
FURTHER = [Variant(rank=1, alpha=1, step=3), Variant(rank=2, alpha=1, seed=7, retrained=True)]  # settings ask for these
OPEN = "from caplora.study import read_study, read_variants\nown, asked = read_study(study), read_variants(variants)\n"
WORK = {
    "02": """words = len((own.dataset / "metadata.csv").read_text())
for v in asked:
    own.adapter(v).mkdir(parents=True, exist_ok=True)
    (own.adapter(v) / "settings.json").write_text("{}")
    (own.adapter(v) / "losses.csv").write_text(f"step,loss\\n1,{words * v.rank / 1000}\\n")""",
    "03": """from PIL import Image
for arm in ["baseline", *(v.name for v in asked)]:
    own.samples(arm).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), "red").save(own.samples(arm) / "0.png")
    (own.samples(arm) / "metadata.csv").write_text("file_name\\n0.png\\n")""",
    "04": """own.scores.write_text("value\\n0.5\\n")""",
    "05": """import json
from caplora.study import file_hash
own.report.write_text("found")
root = own.run.parents[1]
if (root / "manifest.json").is_file():  # of the first run: as write_manifest, which takes seconds to import
    said = json.loads((root / "manifest.json").read_text())
    for kind, files in said["files"].items():
        said["files"][kind] = {path: file_hash(root / path) for path in files if (root / path).is_file()}
    (own.run / "manifest.json").write_text(json.dumps(said))""",
}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study of one portrait, captioned by a person, whose notebooks write a file or two each and have run."""
    root = tmp_path / "project"
    for folder in ("params/studies", "datasets/small", "faces", "base", "notebooks", "figures/small"):
        (root / folder).mkdir(parents=True)
    settings = {"images": {"folder": "faces"}, "base": {"path": "base"}, "sampling": SAMPLING}
    (root / "params/studies/small.yaml").write_text(yaml.safe_dump({"name": "small", **settings}))
    for path in ("faces/a.png", "datasets/small/a.png"):
        Image.new("RGB", (4, 4), "blue").save(root / path)
    (root / "datasets/small/metadata.csv").write_text("file_name,text\na.png,a face\n")
    (root / "base/config.json").write_text("{}")
    monkeypatch.chdir(root)
    for module in (notebook, reads):
        monkeypatch.setattr(module, "PROJECT", root)
    given = [v.model_dump(exclude_defaults=True) for v in VARIANTS]
    for name in STORY[1:]:
        write_notebook(root / "notebooks" / f"{name}.ipynb", OPEN + WORK[name[:2]])
        exec(OPEN + WORK[name[:2]], {"study": "params/studies/small.yaml", "variants": given})
    own = read_study(root / "params/studies/small.yaml")
    write_manifest(own, VARIANTS)
    return own


def write_notebook(path: Path, work: str) -> None:
    cells = [
        nbformat.v4.new_code_cell(text) for text in ("study = ''\nvariants = ''\nredraw = False\npart = False", work)
    ]
    cells[0].metadata["tags"] = ["parameters"]
    spec = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=spec), path)


def contents(study: Study) -> dict[Path, bytes]:
    """Every file of the study's project."""
    return {p: p.read_bytes() for p in study.run.parents[1].rglob("*") if p.is_file()}


def test_a_study_is_run_again_elsewhere_and_what_differs_then_is_named(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(study.images_folder)  # a stranger has the safe images only
    before, again = contents(study), tmp_path / "again"
    command = ["repeat", "params/studies/small.yaml", "--into", str(again)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "the same code, libraries and machine" in said or "another machine: threads" in said
    assert all(f"{name}: done" in said for name in STORY[1:]) and STORY[0] not in said
    assert "adapters: 2 tables, 2 identical" in said and "samples: 3 pictures, 3 identical" in said
    assert contents(study) == before
    scores = again / "runs/small/scores.csv"
    scores.write_text("value\n0.8\n")
    repeated = read_study(again / "params/studies/small.yaml")
    write_manifest(repeated, VARIANTS)
    assert main(command) == 1  # goes on, with nothing left to run
    said = capsys.readouterr().out
    assert "02_train_lora: was done before" in said and "scores.csv is different: difference of a number 0.3" in said
    states = {row["path"]: row["state"] for row in json.loads((again / "repeated.json").read_text())["files"]}
    assert {path for path, state in states.items() if state != "identical"} == {"runs/small/scores.csv"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [("datasets/small/a.png", "images"), ("datasets/small/metadata.csv", "captions"), ("base/config.json", "models")],
)
def test_a_study_is_not_repeated_from_other_inputs(
    path: str, kind: str, study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study.run.parents[1] / path).write_bytes(b"another")
    assert main(["repeat", "params/studies/small.yaml", "--into", str(tmp_path / "again")]) == 2
    assert f"{kind}: {path} has the hash" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_settings_are_the_manifests_whatever_the_study_file_says_by_now(study: Study, tmp_path: Path) -> None:
    write_manifest(study, [*VARIANTS, *FURTHER])
    manifest = read_manifest(study)
    own = Path("params/studies/small.yaml")
    own.write_text(own.read_text() + "training: {steps: 7}\n")
    now = read_study(own)
    repeated = begin(now, manifest, tmp_path / "again")
    assert settings_of(repeated) == manifest.settings != settings_of(now)
    assert list(read_variants(str(variants_of(tmp_path / "again")))) == VARIANTS


def test_models_and_images_are_those_of_the_original_and_people_s_words_a_copy(study: Study, tmp_path: Path) -> None:
    repeated = begin(study, read_manifest(study), tmp_path / "again")
    assert repeated.path("base").resolve() == study.path("base").resolve()
    assert repeated.images_folder.resolve() == study.images_folder.resolve()
    ledger = repeated.dataset / "metadata.csv"
    assert ledger.read_bytes() == (study.dataset / "metadata.csv").read_bytes() and not ledger.is_symlink()
    assert not list(repeated.dataset.glob("*.png"))  # 01 makes them again


def test_a_repetition_never_goes_over_anything(study: Study, tmp_path: Path) -> None:
    manifest = read_manifest(study)
    with pytest.raises(ValueError, match="lies inside the study"):
        begin(study, manifest, study.run / "again")
    with pytest.raises(FileExistsError, match="is not empty, and no repetition of"):
        begin(study, manifest, study.run.parents[1])
    begin(study, manifest, tmp_path / "again")
    begin(study, manifest, tmp_path / "again")  # goes on
    manifest_path(study).write_text(manifest_path(study).read_text() + "\n")
    with pytest.raises(FileExistsError, match="--into"):
        begin(study, manifest, tmp_path / "again")


def test_a_manifest_that_does_not_say_its_variants_says_what_to_do(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(manifest_path(study).read_text())
    manifest_path(study).write_text(json.dumps(content | {"recipes": {}}))
    assert main(["repeat", "params/studies/small.yaml"]) == 2
    assert "Run 05_analysis again" in capsys.readouterr().err
