"""What is fetched is of a commit, and a CLIP is the file that it was: nothing else is loaded, and no pickle."""

import ast
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from caplora.scoring import clip_weights
from caplora.scoring.clip_weights import PINS, SAFE, Pin, on_disk, preprocessing, tag_of
from caplora.study.reading import PROJECT
from caplora.study.settings import Clip, Model
from caplora.study.study import read_study
from tests.sending import sending
from tests.test_house import FILES, name_of, parsed

REPOSITORY = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
CLIP = ("ViT-B-32", "laion2b_s34b_b79k")
CONTENT = bytes(range(256)) * 8
STUDIES = sorted(path.stem for path in (PROJECT / "params" / "studies").glob("*.yaml"))
FETCHING = ("from_pretrained", "hf_hub_download", "snapshot_download", "get_config_dict")


def unpinned(path: Path) -> Iterator[str]:
    """The calls of a file that fetch a model and say no revision: by name, or among what is spread out."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in FETCHING:
            told = [keyword.arg or ast.unparse(keyword.value) for keyword in node.keywords]
            if not {"revision", "trust", "self.pinned"} & {*told}:  # the last two hold a revision
                yield f"{name_of(path)}, line {node.lineno}"


@pytest.mark.fault(25)
def test_whatever_the_package_fetches_has_a_revision() -> None:
    lax = [call for path in FILES if ".mini." not in name_of(path) for call in unpinned(path)]
    assert lax == []


@pytest.mark.fault(29)
def test_no_code_of_a_model_is_ever_trusted() -> None:
    calls = [(path, node) for path in FILES for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant)]
    assert [name_of(path) for path, node in calls if node.value == "trust_remote_code"] != []  # it is said, and False
    said = "".join(path.read_text(encoding="utf-8") for path in FILES)
    assert re.findall(r"trust_remote_code[\"']?\s*[:=]\s*(\w+)", said) == ["False"] * said.count("trust_remote_code")


@pytest.mark.fault(25)
@pytest.mark.parametrize("name", STUDIES)
def test_every_model_of_a_shipped_study_is_a_folder_or_of_a_commit(name: str) -> None:
    study = read_study(name)
    models = [own for part in (study, study.captioning, study.scoring) for _, own in part if isinstance(own, Model)]
    hub = [model for model in models if not study.path(model.path).is_dir()]
    assert [m.path for m in hub if not re.fullmatch(r"[0-9a-f]{40}", m.revision or "")] == []
    assert [clip.name for clip in study.scoring.clips if not _pinned(clip)] == []


def _pinned(clip: Clip) -> bool:
    import open_clip

    known = open_clip.get_pretrained_cfg(clip.name, clip.pretrained) if clip.pretrained else {}
    return clip.name.startswith("local-dir:") or known.get("hf_hub", "").rstrip("/") in PINS


def test_pins_are_whole_commits_and_hashes() -> None:
    assert all(re.fullmatch(r"[0-9a-f]{40}", pin.revision) for pin in PINS.values())
    assert all(re.fullmatch(r"[0-9a-f]{64}", pin.sha256) for pin in PINS.values())
    assert len({pin.sha256 for pin in PINS.values()}) == len(PINS)


@pytest.mark.fault(25)
@pytest.mark.parametrize("way", ["whole", "changed"])
def test_a_clip_is_the_file_of_its_commit_or_none(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin = Pin("b" * 40, hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(clip_weights.PINS, REPOSITORY, pin)
    with sending(CONTENT, way, tmp_path, monkeypatch) as server:
        monkeypatch.setitem(clip_weights.PINS, REPOSITORY, pin)
        if way == "changed":
            with pytest.raises(OSError, match=f"has the hash .* and should have {pin.sha256}: remove it"):
                on_disk(*CLIP)
        else:
            name, path = on_disk(*CLIP)
            assert name == CLIP[0] and Path(str(path)).read_bytes() == CONTENT and str(path).endswith(SAFE)
        assert {*server.asked} == {f"/{REPOSITORY}/resolve/{'b' * 40}/{SAFE}"}


def test_another_clip_of_the_hub_needs_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"of laion/.*whose commit is not known: write datacomp_xl_s13b_b90k@COMMIT"):
        on_disk("ViT-B-32", "datacomp_xl_s13b_b90k")
    with pytest.raises(ValueError, match="needs a commit: write hf-hub:owner/name@COMMIT"):
        on_disk("hf-hub:owner/name", None)
    with sending(CONTENT, "whole", tmp_path, monkeypatch) as server:
        on_disk("ViT-B-32", f"datacomp_xl_s13b_b90k@{'c' * 40}")
        assert [f"/resolve/{'c' * 40}/" in path for path in server.asked] == [True]


def test_files_and_folders_of_a_person_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "own@home.safetensors").write_bytes(b"")
    own = str(tmp_path / "own@home.safetensors")
    assert on_disk("ViT-B-32", own) == ("ViT-B-32", own) and tag_of(own) == own
    assert on_disk("local-dir:/a", None) == ("local-dir:/a", None)
    assert tag_of("openai@abc") == "openai" and tag_of(None) is None


def test_weights_given_as_a_file_are_shown_pictures_as_open_clip_has_it() -> None:
    inception = {"image_mean": (0.5,) * 3, "image_std": (0.5,) * 3}  # of SigLIP, whose pictures are squashed
    told = preprocessing("ViT-B-16-SigLIP", "webli")
    assert {key: tuple(told[key]) for key in inception} == inception and told["image_resize_mode"] == "squash"
    assert preprocessing("ViT-B-32", None) == {}
