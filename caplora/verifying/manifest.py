"""A study → its manifest: settings, versions, machine, code, and the hash of every file that it was made from or made.

It lies beside the report. Hashes are SHA-256 of the bytes of a file, as `sha256sum` prints them. A model of the hub is
named with its pinned revision; one that is a folder is hashed file by file.
"""

import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from caplora.models import device_of
from caplora.report import versions
from caplora.study import BASELINE, PROJECT, Study, Variant, file_hash, validated, write_text

MADE_FROM = {  # kind of files → the kinds that it is made from: what depends on what
    "code": (),
    "images": (),
    "models": (),
    "captions": ("images", "models", "code"),
    "adapters": ("images", "captions", "models", "code"),
    "samples": ("adapters", "models", "code"),
    "scores": ("samples", "images", "captions", "models", "code"),
    "tables": ("scores", "samples", "adapters", "captions", "code"),
    "report": ("tables", "scores", "samples", "captions", "code"),
}
PARTS = ("question", "images", "captioning", "base", "training", "sampling", "scoring", "claims", "publishing")
CODE = (".py", ".js", ".css", ".html", ".md")  # what is shown is decided by templates too


@dataclass(frozen=True)
class Manifest:
    """What a study was when its report was written. Those of version 0.12 say neither recipes nor machine."""

    study: str
    written: str  # UTC, 2026-11-29T10:00:00Z
    variants: tuple[str, ...]
    settings: dict[str, str]  # part of the study file → its JSON
    versions: dict[str, str]  # library → version
    hub: dict[str, str]  # model of the hub → its revision
    files: dict[str, dict[str, str]]  # kind → path → SHA-256; paths are of the project where they lie in it
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)  # variant → all that it says
    machine: dict[str, str] = field(default_factory=dict)  # what 05 ran on


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
        settings_of(study),
        versions(),
        {path: str(revision) for path, revision in models.items() if not study.path(path).is_dir()},
        {kind: hashed(study, paths) for kind, paths in files_of(study, variants, models).items()},
        {v.name: v.model_dump(mode="json", exclude_defaults=True) for v in variants},
        machine(),
    )


def settings_of(study: Study) -> dict[str, str]:
    """Part of the study file → all that it says, defaults too, as JSON."""
    says = study.model_dump(mode="json")
    return {part: json.dumps(says[part], sort_keys=True, ensure_ascii=False) for part in PARTS}


def machine() -> dict[str, str]:
    """What this process computes with, as far as it can change the last bits of a result."""
    device = device_of()
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {"device": card, "processor": processor, "threads": str(torch.get_num_threads())}


def models_of(study: Study) -> dict[str, str | None]:
    """The models that a study is made with: path or hub id → revision."""
    extra = [getattr(study.scoring, metric) for metric in study.scoring.extra]
    named = [study.base, study.captioning.model, study.scoring.identity, study.scoring.judge, *extra]
    found = {model.path: model.revision for model in named if model}
    return found | {clip.name.removeprefix("local-dir:"): clip.pretrained for clip in study.scoring.clips}


def recipes_of(manifest: Manifest) -> list[Variant]:
    """The variants of a manifest; none where it is of a version that did not say what they are."""
    return [validated(Variant, says, f"{name} of the manifest") for name, says in manifest.recipes.items()]


def files_of(study: Study, variants: Sequence[Variant], models: Iterable[str]) -> dict[str, list[Path]]:
    """Kind → the files of that kind that are there, in the order of `MADE_FROM`."""
    arms = [study.samples(arm) for arm in (BASELINE, *(v.name for v in variants))]
    beside = [folder for arm in arms for folder in sorted(arm.parent.glob(f"{arm.name}@*"))]
    return {
        "code": [*sorted(PROJECT.glob("notebooks/*.ipynb")), *_code(PROJECT / "caplora")],
        "images": sorted(study.dataset.glob("*.png")),
        "models": [p for path in models for p in _in_folder(study.path(path))],
        "captions": [p for p in [study.dataset / "metadata.csv"] if p.is_file()],
        "adapters": [p for v in variants for p in _of_kind(study.adapter(v), ".safetensors", ".csv")],
        "samples": [p for folder in [*arms, *beside] for p in _of_kind(folder, ".png", ".csv")],
        "scores": _of_kind(study.drawn, ".csv"),
        "tables": _of_kind(study.figures, ".csv"),
        "report": [p for p in [study.report] if p.is_file()],
    }


def _code(folder: Path) -> list[Path]:
    """The code below a folder, without the card of the miniature models."""
    return [p for p in sorted(folder.rglob("*")) if p.suffix in CODE and not p.is_relative_to(folder / "mini/models")]


def _of_kind(folder: Path, *suffixes: str) -> list[Path]:
    return [p for p in sorted(folder.glob("*")) if p.suffix in suffixes and p.is_file()]


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


def located(study: Study, kind: str, name: str) -> Path | None:
    """Where a file of a kind lies that a manifest names so; None where it is gone.

    Code is that which runs, and models may be the project's; all else is the study's own.
    """
    places = {"code": [PROJECT / name], "models": [study.path(name), PROJECT / name]}.get(kind, [study.path(name)])
    return next((place for place in places if place.is_file()), None)


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
