"""Whose the pictures of a folder are: what is wanted and there stays, whatever it is called, and nothing goes unsaid.

Pictures are told by what they say of themselves, prompt and seed. One that is no longer wanted stays where it is: it is
in no table, and is there when its prompt comes back. Only a change of what drew a folder removes its pictures.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from caplora.sampling.samples import KEY, TABLE, UNDER_WAY, Wanted, read_made, said_of, save_sample
from caplora.study import read_text, write_text


def claim_folder(folder: Path, wanted: Iterable[Wanted], made: Mapping[str, Any]) -> None:
    """Make `folder` the place for samples drawn as `made` says, which is kept in `settings.json`.

    `made` is everything beside prompt and seed that decides a picture; one that was drawn otherwise is removed. A
    wanted picture that lies there under another name (its prompt stood elsewhere in the suites, or a version before
    this one drew it) gets its own; one that is none of ours makes room.
    """
    if not _is_claimed(folder, made):
        for old in folder.glob("*.png"):
            _remove(old)
        (folder / UNDER_WAY).unlink(missing_ok=True)
        write_text(folder / KEY, _written(made))
        return
    own = {(w.prompt, w.seed): w for w in wanted}
    names = {w.file_name for w in own.values()}
    for old in sorted(folder.glob("*.png")):
        said = said_of(old)
        mine = own.get((said.get("prompt", ""), said.get("seed", -1)))
        if mine and mine.file_name != old.name:
            _take_over(old, mine, said)
        elif not mine and old.name in names:
            _remove(old)


def _take_over(old: Path, wanted: Wanted, said: Mapping[str, Any]) -> None:
    """Give a picture the name that it has by now, and its split where that changed: the pixels stay."""
    new = old.with_name(wanted.file_name)
    (old.parent / TABLE).unlink(missing_ok=True)  # it would speak of what is gone
    if said_of(new).get("prompt") == wanted.prompt:
        old.unlink()  # the same picture is there twice
    elif said["split"] == wanted.split:
        old.replace(new)
    else:
        with Image.open(old) as image:
            save_sample(image.copy(), said["flag"], old.parent, wanted, said["made"])
        old.unlink()


def _remove(path: Path) -> None:
    (path.parent / TABLE).unlink(missing_ok=True)  # it would speak of what is gone
    path.unlink()


def _written(made: Mapping[str, Any]) -> str:
    return json.dumps(made, indent=2, sort_keys=True) + "\n"


def _is_claimed(folder: Path, made: Mapping[str, Any]) -> bool:
    path = folder / KEY
    return path.is_file() and read_text(path) == _written(made)


def what_goes(folders: Mapping[Path, Mapping[str, Any]], redraw: bool) -> str:
    """Which pictures a claim of the folders, each with its `made`, would remove, in a sentence; empty if none.

    Raises ValueError where settings changed, and not the adapter alone, unless `redraw` says that they may go: they
    could be drawn for good, and with the settings that they have.
    """
    stale = {folder: made for folder, made in folders.items() if not _is_claimed(folder, made)}
    counts = {folder: len(list(folder.glob("*.png"))) for folder in stale}
    there = {folder: made for folder, made in stale.items() if counts[folder]}
    changed = {folder: said for folder, made in there.items() if (said := differences(read_made(folder), made))}
    if changed and not redraw:
        count, first = sum(counts[folder] for folder in changed), next(iter(changed))
        raise ValueError(
            f"{count} pictures of {len(changed)} arms in {first.parent} would be removed, for they were drawn otherwise"
            f" ({changed[first]}). Set the study back to keep them, move the folder elsewhere, or say redraw = True in"
            " 03_inference (make study … REDRAW=1): they are removed then and drawn anew"
        )
    gone = [f"{counts[f]} of {f.name} ({changed.get(f, 'by an adapter that is gone')})" for f in there]
    return f"removed, and to be drawn anew: {', '.join(gone)}" if gone else ""


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What of two `made` differs but the adapter, in words; empty where nothing does."""
    if not before:
        return "with settings that nobody recorded"
    old, new = _flat(before), _flat(now)
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return ", ".join(f"{key}: {_short(old.get(key))} → {_short(new.get(key))}" for key in keys[:3])


def _flat(made: Mapping[str, Any]) -> dict[str, Any]:
    flat = {k: v for part in ("sampling", "base") for k, v in made.get(part, {}).items()}
    return flat | {key: value for key, value in made.items() if key not in ("sampling", "base", "adapter")}


def _short(value: object) -> str:
    return "nothing" if value is None else str(value)[:12]
