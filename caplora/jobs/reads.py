"""What a notebook reads → digests of it: code, settings, models. A job runs again when they change."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from caplora.study import PROJECT, Study, file_hash

SETTINGS = {  # the parts of a study that a notebook reads, but for what it chooses by
    "01_data_captioning": ("images", "captioning"),
    "02_train_lora": ("base", "training"),
    "03_inference": ("base", "sampling"),
    "04_clipscore": ("scoring",),
    "05_analysis": ("question", "claims", "captioning", "training", "sampling"),
}


def digest(*texts: str) -> str:
    """Twelve characters that change when a text changes."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def settings_of(study: Study, notebook: str) -> str:
    """The settings of a study that a notebook reads, in a few characters for each part: one sees what has changed."""
    parts = {part: study.model_dump_json(include={part}) for part in SETTINGS[notebook]}
    return ", ".join(f"{part} {digest(text)}" for part, text in parts.items())


def chooses_by(study: Study) -> str:
    """The settings by which notebook 03 chooses."""
    return study.scoring.model_dump_json(include={"clips": {0}, "prefix": True})


def models_of(study: Study, notebook: str, part: bool = False) -> str:
    """A digest of those models of a notebook that are folders: a model made anew is another one.

    `part`: of one that chooses nothing.
    """
    first, *_ = clips = [clip.name.removeprefix("local-dir:") for clip in study.scoring.clips]
    judges = [study.scoring.identity.path, *([study.scoring.judge.path] if study.scoring.judge else [])]
    paths = {
        "01_data_captioning": [study.captioning.model.path],
        "02_train_lora": [study.base.path],
        "03_inference": [study.base.path] if part else [study.base.path, first],
        "04_clipscore": [*clips, *judges],
    }
    return _content(study.path(path) for path in paths.get(notebook, ()))


def code_of(notebook: str) -> str:
    """A digest of a notebook's code: outputs, prose and the cell of its parameters may change without a rerun."""
    path = PROJECT / "notebooks" / f"{notebook}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]  # nbformat takes a second to import
    cells = [c for c in cells if c["cell_type"] == "code" and "parameters" not in c["metadata"].get("tags", [])]
    return digest(*("".join(c["source"]) for c in cells))


def _content(folders: Iterable[Path]) -> str:
    """A digest of all files in those of these folders that are there."""
    found = sorted(p for folder in folders if folder.is_dir() for p in folder.rglob("*") if p.is_file())
    return digest(*(_hash_of(p, p.stat().st_size, p.stat().st_mtime_ns) for p in found))


@cache
def _hash_of(path: Path, size: int, time: int) -> str:
    """The hash of a file, which is read again once its size or time is another."""
    return file_hash(path)
