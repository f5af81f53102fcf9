"""A study file and the studies that it is `like` → what each of them says in all.

`like: sd15` takes over what `params/studies/sd15.yaml` says, and the file says only what differs.
"""

from pathlib import Path
from typing import Any

from caplora.study.reading import PROJECT, StudyError, absolute, read_yaml

OWN = ("name", "question", "publishing")  # of one study, never taken over; the default question is true of every one
OF_ITS_FILES = ("accept", "refuse", "photographs", "provenance")  # of `images`: what a study says of its own pictures


def study_file(study: str | Path, folder: Path) -> Path:
    """The file of a study, absolute: a name is one of `params/studies`, a path starts at `folder`.

    Raises StudyError if it is not there, naming the studies that are, or the one in a folder.
    """
    try:
        return _found(study, absolute(study, folder))
    except OSError as error:  # a name longer than a disk takes
        raise StudyError(f"there is no study {str(study)[:80]!r} …: {error.strerror}") from error


def _found(study: str | Path, path: Path) -> Path:
    if path.is_dir() and not (PROJECT / "params" / "studies" / f"{study}.yaml").is_file():
        inside = sorted(path.glob("*.yaml"))
        way_out = f"name the study in it, {Path(study) / inside[0].name}" if inside else "name a study, or its file"
        raise StudyError(f"{study} is a folder, and no study: {way_out}")
    if path.suffix not in (".yaml", ".yml"):
        path = PROJECT / "params" / "studies" / f"{study}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise StudyError(f"there is no study {str(study)!r}: {path} does not exist (there are: {', '.join(known)})")
    return path.resolve()


def lineage(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """What each file says in all, from the study that is like no other to that of `path`, which comes last.

    Raises StudyError for a `like` that is no study, or that leads back to a file it came from.
    """
    own: dict[Path, dict[str, Any]] = {}
    following: Path | None = path
    while following:
        own[following] = read_yaml(following)
        following = _like(following, own)
    files: list[tuple[Path, dict[str, Any]]] = []
    for file, says in reversed(own.items()):
        files.append((file, merged(_passed_on(files[-1][1]), says) if files else says))
    return files


def _like(path: Path, seen: dict[Path, dict[str, Any]]) -> Path | None:
    """The file that the one at `path` is like, None if it names none; `like` is taken out of what it says."""
    if "like" not in seen[path]:
        return None
    like = seen[path].pop("like")
    if not isinstance(like, str) or not like:
        raise StudyError(f"{path}: like: a study of params/studies by name, or a path to its file, got {like!r}")
    try:
        found = study_file(like, path.parent)
    except StudyError as error:
        raise StudyError(f"{path}: like: {error}") from error
    if found in seen:
        way = " → ".join(file.name for file in (*seen, found))
        raise StudyError(f"{path}: like: {like!r} leads back to {found} ({way}): take `like` out of one of these files")
    return found


def _passed_on(says: dict[str, Any]) -> dict[str, Any]:
    """What a study like this one takes over: all but what is of one study and what is said of its own pictures."""
    passed = {key: value for key, value in says.items() if key not in OWN}
    if isinstance(images := passed.get("images"), dict):
        passed["images"] = {key: value for key, value in images.items() if key not in OF_ITS_FILES}
    return passed


def merged(inherited: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`own`, and of `inherited` what it leaves unsaid: mappings key by key, while lists and values replace.

    Null in place of a mapping drops it, and the default holds. A mapping that names the `path` of a model replaces
    whole, for a revision belongs to one model.
    """
    result = dict(inherited)
    for key, value in own.items():
        before = inherited.get(key)
        if isinstance(before, dict) and value is None:
            del result[key]
        elif isinstance(before, dict) and isinstance(value, dict) and "path" not in value:
            result[key] = merged(before, value)
        else:
            result[key] = value
    return result
