"""A manifest and the files that are there → what is no more as it was, and what depends on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from caplora.report import versions
from caplora.study import PROJECT, Study, counted, file_hash
from caplora.verifying.manifest import Manifest, dependent, manifest_of

SHORT = 12  # characters of a hash that are shown
AFTER = {  # part of the settings → the first kind of files that reads it
    "images": "captions", "captioning": "captions", "base": "adapters", "training": "adapters",
    "sampling": "samples", "scoring": "scores", "claims": "report", "publishing": "",
}  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the manifest says."""

    kind: str  # of files, or "settings"
    what: str  # the file, or the part of the settings
    expected: str
    found: str
    depends: tuple[str, ...]  # kinds of files that are made from it

    def said(self) -> str:
        """In a sentence."""
        on = f"; {', '.join(self.depends)} depend on it" if self.depends else ""
        return f"{self.kind}: {self.what} {self.found or 'is gone'}, expected {self.expected}{on}"


def differences(study: Study, manifest: Manifest) -> Iterator[Difference]:
    """What is not as the manifest says: settings first, then file by file, in the order in which they were made."""
    now = manifest_of(study, ()).settings
    for part, said in manifest.settings.items():
        if now.get(part) != said:
            first = AFTER.get(part, "")
            depends = (first, *dependent(first)) if first else ()
            yield Difference("settings", part, _short(said), f"is {_short(now.get(part, ''))}", depends)
    for kind, files in manifest.files.items():
        for path, expected in files.items():
            found = _hash_of(study, path)
            if found != expected:
                is_now = f"has the hash {found[:SHORT]}" if found else ""
                yield Difference(kind, path, expected[:SHORT], is_now, tuple(dependent(kind)))


def _hash_of(study: Study, path: str) -> str:
    """The hash of a file as it is now; empty where it is gone."""
    places = [study.path(path), PROJECT / path, Path(path)]
    there = next((place for place in places if place.is_file()), None)
    return file_hash(there) if there else ""


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]} …"


def other_versions(manifest: Manifest) -> str:
    """The libraries that are others by now, in a sentence; empty if none is. They break nothing by themselves."""
    now = versions()
    changed = [f"{name} {v} → {now.get(name, 'none')}" for name, v in manifest.versions.items() if now.get(name) != v]
    return f"other versions by now: {', '.join(changed)}" if changed else ""


def verified(manifest: Manifest) -> str:
    """That everything is as it was, in a sentence."""
    counts = ", ".join(f"{len(files)} {kind}" for kind, files in manifest.files.items() if files)
    whole = counted(sum(map(len, manifest.files.values())), "file")
    return f"{manifest.study}: {whole} as on {manifest.written} ({counts})"
