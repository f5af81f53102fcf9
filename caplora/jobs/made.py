"""What a job made → a few characters that change with it: the graph goes on only from what is another."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from caplora.study import BASELINE, Study, Variant, file_hash, write_text


def made_by(study: Study, notebook: str, variants: Sequence[str] = ()) -> str:
    """A digest of what a notebook has left of these variants (none: of all that a study has).

    Images and adapters count by their content, samples, which are many, by their names, sizes and times.
    """
    if notebook.startswith("01"):
        return _digest(f"{p.name} {file_hash(p)}" for p in sorted(study.dataset.glob("*.png")))
    if notebook.startswith("02"):
        folders = [study.run / "adapters" / name for name in variants]
        return _digest(f"{p.name} {file_hash(p)}" for f in folders for p in sorted(f.glob("*.safetensors")))
    arms = [study.samples(arm) for arm in (BASELINE, *variants)] if variants else sorted(study.samples("").glob("*"))
    return _digest(_looks(p) for folder in arms for p in sorted(folder.glob("*.png")))


def write_made(path: Path, study: Study, notebook: str, variants: Sequence[str] = (), failed: str = "") -> None:
    """Write the digest of what a notebook made into a file, behind it what is said of a job that failed."""
    write_text(path, f"{made_by(study, notebook, variants)}{failed}\n")


def left_by(study: Study, notebook: str, variants: Sequence[Variant]) -> list[Path]:
    """The files by which one sees that what a notebook made of these variants is still there."""
    if notebook.startswith("03"):
        trained = [v.name for v in variants if (study.adapter(v) / "settings.json").is_file()]
        return [study.samples(arm) / "metadata.csv" for arm in (BASELINE, *trained)]
    if notebook.startswith("02"):
        return [study.adapter(v) / "settings.json" for v in variants]
    return [{"01": study.dataset / "metadata.csv", "04": study.scores, "05": study.report}[notebook[:2]]]


def images_digest(study: Study) -> str:
    """A digest of a person's images by their content; what was read once is known by size and time from then on."""
    path = study.run / "cache" / "images.json"
    known: dict[str, list] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = {}
    for file in sorted(p for p in study.images_folder.rglob("*") if p.is_file()):
        there = file.stat()
        seen = [there.st_size, there.st_mtime_ns]
        old = known.get(str(file), [None, None, ""])
        found[str(file)] = old if old[:2] == seen else [*seen, file_hash(file)]
    if found != known:
        write_text(path, json.dumps(found) + "\n")
    own = study.images_folder
    return _digest(f"{Path(file).relative_to(own).as_posix()} {sha}" for file, (*_, sha) in found.items())


def _looks(path: Path) -> str:
    there = path.stat()
    return f"{path.parent.name} {path.name} {there.st_size} {there.st_mtime_ns}"


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
