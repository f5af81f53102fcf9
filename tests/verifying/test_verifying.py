"""A study is checked by its manifest: what differs is named, with what was expected, found and depends on it."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from caplora.commands.app import main
from caplora.study.files import file_hash
from caplora.study.reading import PROJECT
from caplora.study.study import Study, read_study
from caplora.study.variants import Variant
from caplora.verifying import manifest as manifest_file
from caplora.verifying.checking import differences, other_versions, verified
from caplora.verifying.manifest import (
    MADE_FROM,
    dependent,
    located,
    manifest_path,
    read_manifest,
    recipes_of,
    write_manifest,
)

VARIANT = Variant(rank=4, alpha=4)
FILES = {
    "images": "datasets/small/a.png",
    "captions": "datasets/small/metadata.csv",
    "models": "base/unet/config.json",
    "adapters": "runs/small/adapters/r4_a4/small_r4_a4.safetensors",
    "samples": "runs/small/samples/r4_a4/test_1a2b3c4d_0.png",
    "scores": "runs/small/scores.csv",
    "tables": "figures/small/metrics.csv",
    "report": "runs/small/report.html",
}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study with a file of each kind, and its manifest."""
    for path in FILES.values():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".png"):
            Image.new("RGB", (4, 4), "red").save(tmp_path / path)
        else:
            (tmp_path / path).write_text(path, encoding="utf-8")
    (tmp_path / "params/studies").mkdir(parents=True)
    write_settings(tmp_path)
    own = opened(tmp_path)
    write_manifest(own, [VARIANT])
    return own


def write_settings(root: Path, **parts: object) -> None:
    content = {"name": "small", "images": {"folder": "."}, "base": {"path": "base"}, "sampling": SAMPLING} | parts
    (root / "params/studies/small.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


SAMPLING = {"development": ["a"], "test": ["b", "c"]}


def opened(root: Path) -> Study:
    return read_study(root / "params/studies/small.yaml")


def root_of(study: Study) -> Path:
    return study.run.parents[1]


def test_a_study_that_nobody_touched_is_as_it_was(study: Study) -> None:
    manifest = read_manifest(study)
    assert list(differences(study, manifest)) == [] and other_versions(manifest) == ""
    assert "1 adapters" in verified(study, manifest) and recipes_of(manifest) == [VARIANT]
    assert file_hash(manifest_path(study)) in verified(study, manifest)
    assert any(path == "caplora/verifying/manifest.py" for path in manifest.files["code"])
    assert main(["verify", str(root_of(study) / "params/studies/small.yaml")]) == 0


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("gone", [False, True], ids=["changed", "gone"])
def test_a_file_that_differs_is_named_with_what_depends_on_it(
    study: Study, kind: str, gone: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root_of(study) / FILES[kind]
    path.unlink() if gone else path.write_bytes(path.read_bytes() + b".")
    [found] = differences(study, read_manifest(study))
    assert (found.kind, found.what, bool(found.found)) == (kind, FILES[kind], not gone)
    assert set(found.depends) == {other for other, sources in MADE_FROM.items() if reaches(kind, sources)}
    assert main(["verify", str(root_of(study) / "params/studies/small.yaml")]) == 1
    said = capsys.readouterr().out
    assert FILES[kind] in said and found.expected in said and all(other in said for other in found.depends)


def reaches(kind: str, sources: tuple[str, ...]) -> bool:
    """Whether one kind is among the sources of another, or among theirs."""
    return kind in sources or any(reaches(kind, MADE_FROM[source]) for source in sources)


@pytest.mark.parametrize("kind", ["images", "models", "adapters", "samples", "scores", "tables"])
def test_a_file_that_was_not_there_is_named(study: Study, kind: str) -> None:
    new = Path(FILES[kind]).with_stem("another")
    (root_of(study) / new).write_bytes(b"new")
    [found] = differences(study, read_manifest(study))
    assert (found.kind, found.what, found.found) == (kind, new.as_posix(), "is new")


def test_a_manifest_of_version_0_12_calls_nothing_new(study: Study) -> None:
    content = json.loads(manifest_path(study).read_text(encoding="utf-8"))
    del content["recipes"], content["machine"], content["files"]["tables"], content["settings"]["question"]
    manifest_path(study).write_text(json.dumps(content), encoding="utf-8")
    assert list(differences(study, read_manifest(study))) == []


def test_the_project_has_no_file_in_place_of_one_that_a_study_lacks(
    study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = tmp_path / "another"
    for path in (*FILES.values(), "caplora/verifying/manifest.py"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        there = root_of(study) / path
        (project / path).write_bytes((there if there.is_file() else PROJECT / path).read_bytes())
    monkeypatch.setattr(manifest_file, "PROJECT", project)
    assert located(study, "code", "caplora/verifying/manifest.py") == project / "caplora/verifying/manifest.py"
    for kind in ("images", "captions", "adapters", "samples", "scores", "tables", "report"):
        assert located(study, kind, FILES[kind]) == root_of(study) / FILES[kind]
        (root_of(study) / FILES[kind]).unlink()
        assert located(study, kind, FILES[kind]) is None


@pytest.mark.parametrize(
    ("parts", "depends"),
    [
        ({"training": {"steps": 7}}, ("adapters", "samples", "scores", "tables", "report")),
        ({"scoring": {"batch_size": 3}}, ("scores", "tables", "report")),
        ({"claims": {"margin": {"clip_score": 0.1}}}, ("tables", "report")),
        ({"question": "Is it ink?"}, ("report",)),
    ],
)
def test_a_setting_that_differs_is_named_with_what_reads_it(
    study: Study, parts: dict[str, object], depends: tuple[str, ...]
) -> None:
    write_settings(root_of(study), **parts)
    [found] = differences(opened(root_of(study)), read_manifest(study))
    assert (found.kind, found.what, found.depends) == ("settings", next(iter(parts)), depends)


def test_what_depends_on_what_has_no_circles() -> None:
    assert all(kind not in dependent(kind) for kind in MADE_FROM)
    assert dependent("report") == []
    assert dependent("images") == ["captions", "adapters", "samples", "scores", "tables", "report"]


def test_other_versions_are_said_and_break_nothing(study: Study) -> None:
    path = manifest_path(study)
    path.write_text(path.read_text(encoding="utf-8").replace('"torch": "', '"torch": "0.'), encoding="utf-8")
    manifest = read_manifest(study)
    assert "torch 0." in other_versions(manifest) and list(differences(study, manifest)) == []


def test_a_manifest_that_is_none_says_what_to_do(study: Study) -> None:
    manifest_path(study).write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"manifest\.json is no manifest .*run 05_analysis again"):
        read_manifest(study)
    manifest_path(study).unlink()
    with pytest.raises(FileNotFoundError, match="run 05_analysis"):
        read_manifest(study)
