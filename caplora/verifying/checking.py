"""A manifest and the files that are there → what is no more as it was, and what depends on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from caplora.report import versions
from caplora.study import Study, counted, file_hash
from caplora.verifying.manifest import (
    Manifest,
    dependent,
    files_of,
    located,
    machine,
    manifest_path,
    models_of,
    named,
    recipes_of,
    settings_of,
)

SHORT = 12  # characters of a hash that are shown
AFTER = {  # part of the settings → the first kind of files that reads it
    "question": "report", "images": "captions", "captioning": "captions", "base": "adapters", "training": "adapters",
    "sampling": "samples", "scoring": "scores", "claims": "tables", "publishing": "",
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


def differences(study: Study, manifest: Manifest, kinds: Sequence[str] = ()) -> Iterator[Difference]:
    """What is not as the manifest says: settings first, then file by file, in the order in which they were made.

    Of files those of `kinds` only; none named: of all kinds. A file that is there and that the manifest lacks differs
    too, unless the manifest is of a version that named fewer files.
    """
    now = settings_of(study)
    changed = [part for part, said in manifest.settings.items() if now.get(part) != said]
    for part in changed:
        first = AFTER.get(part, "")
        depends = (first, *dependent(first)) if first else ()
        is_now = f"is {_short(now.get(part, ''))}"
        yield Difference("settings", part, _short(manifest.settings[part]), is_now, depends)
    models = () if changed else models_of(study)  # other settings name other models, which are none of the manifest's
    there = files_of(study, recipes_of(manifest), models) if manifest.recipes else {}
    for kind in kinds or manifest.files:
        files, depends = manifest.files.get(kind, {}), tuple(dependent(kind))
        for path, expected in files.items():
            if (found := _found(study, kind, path)) != expected:
                is_now = f"has the hash {found[:SHORT]}" if found else ""
                yield Difference(kind, path, expected[:SHORT], is_now, depends)
        for path in [name for name in (named(study, p) for p in there.get(kind, ())) if name not in files]:
            yield Difference(kind, path, "no such file", "is new", depends)


def _found(study: Study, kind: str, path: str) -> str:
    """The hash of a file as it is now; empty where it is gone."""
    there = located(study, kind, path)
    return file_hash(there) if there else ""


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]} …"


def other_versions(manifest: Manifest) -> str:
    """The libraries that are others by now, in a sentence; empty if none is. They break nothing by themselves."""
    now = versions()
    changed = [f"{name} {v} → {now.get(name, 'none')}" for name, v in manifest.versions.items() if now.get(name) != v]
    return f"other versions by now: {', '.join(changed)}" if changed else ""


def other_machine(manifest: Manifest) -> str:
    """What is computed with now instead of what 05 ran on, in a sentence; empty where it is the same, or not said."""
    now = machine()
    changed = [f"{what} {v} → {now.get(what, 'none')}" for what, v in manifest.machine.items() if now.get(what) != v]
    return f"another machine: {', '.join(changed)}" if changed else ""


def verified(study: Study, manifest: Manifest) -> str:
    """That everything is as it was, and the hash of the manifest, by which others know it, in two sentences."""
    counts = ", ".join(f"{len(files)} {kind}" for kind, files in manifest.files.items() if files)
    whole = counted(sum(map(len, manifest.files.values())), "file")
    own = manifest_path(study)
    return f"{manifest.study}: {whole} as on {manifest.written} ({counts})\n{own.name} has the hash {file_hash(own)}"
