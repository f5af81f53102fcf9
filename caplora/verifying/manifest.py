"""A study → its manifest: settings, versions, code, and the hash of every file that it was made from or has made.

It lies beside the report. Hashes are SHA-256 of the bytes of a file, as `sha256sum` prints them. A model of the hub is
named with its pinned revision; one that is a folder is hashed file by file.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from caplora.report import versions
from caplora.study import BASELINE, PROJECT, Study, Variant, file_hash, write_text

MADE_FROM = {  # kind of files → the kinds that it is made from: what depends on what
    "code": (),
    "images": (),
    "models": (),
    "captions": ("images", "models", "code"),
    "adapters": ("images", "captions", "models", "code"),
    "samples": ("adapters", "models", "code"),
    "scores": ("samples", "images", "captions", "models", "code"),
    "report": ("scores", "samples", "captions", "code"),
}
PARTS = ("images", "captioning", "base", "training", "sampling", "scoring", "claims", "publishing")


@dataclass(frozen=True)
class Manifest:
    """What a study was when its report was written."""

    study: str
    written: str  # UTC, 2026-11-29T10:00:00Z
    variants: tuple[str, ...]
    settings: dict[str, str]  # part of the study file → its JSON
    versions: dict[str, str]  # library → version
    hub: dict[str, str]  # model of the hub → its revision
    files: dict[str, dict[str, str]]  # kind → path → SHA-256; paths are of the project where they lie in it


MANIFEST = TypeAdapter(Manifest)


def manifest_path(study: Study) -> Path:
    """Where the manifest of a study is."""
    return study.drawn / "manifest.json"


def manifest_of(study: Study, variants: Sequence[Variant]) -> Manifest:
    """The manifest of a study as it is now, of these variants."""
    models = models_of(study)
    return Manifest(
        study.name,
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        tuple(v.name for v in variants),
        {part: json.dumps(study.model_dump(mode="json")[part], sort_keys=True, ensure_ascii=False) for part in PARTS},
        versions(),
        {path: str(revision) for path, revision in models.items() if not study.path(path).is_dir()},
        {kind: hashed(study, paths) for kind, paths in files_of(study, variants, models).items()},
    )


def models_of(study: Study) -> dict[str, str | None]:
    """The models that a study is made with: path or hub id → revision."""
    named = [study.base, study.captioning.model, study.scoring.identity, study.scoring.judge]
    found = {model.path: model.revision for model in named if model}
    return found | {clip.name.removeprefix("local-dir:"): clip.pretrained for clip in study.scoring.clips}


def files_of(study: Study, variants: Sequence[Variant], models: Iterable[str]) -> dict[str, list[Path]]:
    """Kind → the files of that kind that are there, in the order of `MADE_FROM`."""
    arms = [study.samples(arm) for arm in (BASELINE, *(v.name for v in variants))]
    beside = [folder for arm in arms for folder in sorted(arm.parent.glob(f"{arm.name}@*"))]
    return {
        "code": [*sorted(PROJECT.glob("notebooks/*.ipynb")), *sorted((PROJECT / "caplora").rglob("*.py"))],
        "images": sorted(study.dataset.glob("*.png")),
        "models": [p for path in models for p in _in_folder(study.path(path))],
        "captions": [p for p in [study.dataset / "metadata.csv"] if p.is_file()],
        "adapters": [p for v in variants for p in sorted(study.adapter(v).glob("*.safetensors"))],
        "samples": [p for folder in [*arms, *beside] for p in sorted(folder.glob("*.png"))],
        "scores": sorted(p for p in study.drawn.glob("*.csv")),
        "report": [p for p in [study.report] if p.is_file()],
    }


def _in_folder(folder: Path) -> Iterator[Path]:
    yield from sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else ()


def hashed(study: Study, paths: Iterable[Path]) -> dict[str, str]:
    """Path → hash of its file, the path as the manifest names it."""
    return {named(study, path): file_hash(path) for path in paths}


def named(study: Study, path: Path) -> str:
    """A file by its path in the project, or by its whole path where it lies elsewhere."""
    for root in (study.run.parents[1], PROJECT):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.as_posix()


def write_manifest(study: Study, variants: Sequence[Variant]) -> Path:
    """Write the manifest of a study beside its report; where."""
    path = manifest_path(study)
    write_text(path, json.dumps(asdict(manifest_of(study, variants)), indent=1, ensure_ascii=False) + "\n")
    return path


def read_manifest(study: Study) -> Manifest:
    """The manifest that 05 has left; raises FileNotFoundError, or ValueError for a file that is none."""
    path = manifest_path(study)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: run 05_analysis, which writes it beside the report")
    try:
        return MANIFEST.validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path} is no manifest ({error.error_count()} faults): run 05_analysis again") from error


def dependent(kind: str, made_from: Mapping[str, Sequence[str]] = MADE_FROM) -> list[str]:
    """The kinds of files that are made from one, directly or through others, in their order."""
    found: list[str] = []
    for other, sources in made_from.items():
        if kind in sources or set(sources) & set(found):
            found.append(other)
    return found
