"""Checkpoints of a variant that are whole or not there, and know what they belong to.

`<folder>/step_000200/` holds `state.safetensors` and `manifest.json`, which names the training and the hash of the
state. A checkpoint is written beside, synced and renamed; one whose hash does not match does not count.
"""

import json
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from caplora.study import disk_errors_name, file_hash, read_text, synced

STATE, MANIFEST = "state.safetensors", "manifest.json"


class ChangedError(ValueError):
    """A training that was begun differently; the message says what differs and the ways out."""


class Checkpoints:
    """The checkpoints of one variant in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.folder / f"step_{step:06d}"

    def steps(self) -> list[int]:
        """The steps whose checkpoints are whole, ascending."""
        return [number for number in self._numbers() if self._is_whole(number)]

    def _numbers(self) -> list[int]:
        """The steps of all checkpoints, whole or not, ascending."""
        return sorted(int(p.name[5:]) for p in self.folder.glob("step_*") if p.name[5:].isdigit())

    def _is_whole(self, step: int) -> bool:
        try:
            return self.manifest(step)["sha256"] == file_hash(self.path(step) / STATE)
        except (OSError, ValueError, KeyError):
            return False

    def manifest(self, step: int) -> dict[str, Any]:
        """What the checkpoint of a step says of itself."""
        return json.loads(read_text(self.path(step) / MANIFEST))

    def read(self, step: int) -> dict[str, Tensor]:
        """The state of a step."""
        with disk_errors_name(self.path(step), "read"):
            return load_file(self.path(step) / STATE)

    def write(self, step: int, state: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Keep the state of a step, and facts about it in its manifest: all of it or nothing."""
        part = self.folder / f".step_{step:06d}.part"
        shutil.rmtree(part, ignore_errors=True)
        with disk_errors_name(self.path(step)):
            try:
                part.mkdir(parents=True)
                save_file(state, part / STATE)
                synced(part / STATE)
                manifest = {"step": step, "sha256": file_hash(part / STATE), **facts}
                text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
                (part / MANIFEST).write_text(text, encoding="utf-8")
                synced(part / MANIFEST)
                self.remove(step)
                part.rename(self.path(step))
                synced(self.folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def remove(self, step: int) -> None:
        """Remove the checkpoint of a step; killed half way it is not whole, and does not count."""
        (self.path(step) / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self.path(step), ignore_errors=True)

    def keep_only(self, steps: Sequence[int]) -> None:
        """Remove every other checkpoint and what a killed process left of one, once one of `steps` is whole."""
        if not {*steps} & {*self.steps()}:
            return
        for step in {*self._numbers()} - {*steps}:
            self.remove(step)
        for part in self.folder.glob(".step_*.part"):
            shutil.rmtree(part, ignore_errors=True)


def last_common(places: Sequence[Checkpoints]) -> int | None:
    """The last step that every one of `places` has a checkpoint of."""
    return max(set.intersection(*(set(place.steps()) for place in places)), default=None)


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """A list that is no longer empty once the process was asked to end (SIGTERM), as schedulers and Colab ask.

    Where signals cannot be caught, outside the main thread, it stays empty.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def differences(before: Any, now: Any, place: str = "") -> list[str]:
    """What differs between two trees of settings, one line each: `training.steps: 600 → 1000`."""
    if isinstance(before, dict) and isinstance(now, dict):
        lines = []
        for key in dict.fromkeys([*before, *now]):
            inner = f"{place}.{key}" if place else str(key)
            if key not in now:
                lines.append(f"{inner}: {_shown(before[key])} → gone")
            elif key not in before:
                lines.append(f"{inner}: new, {_shown(now[key])}")
            else:
                lines += differences(before[key], now[key], inner)
        return lines
    return [] if before == now else [f"{place}: {_shown(before)} → {_shown(now)}"]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and len(value) == 64 and not value.strip("0123456789abcdef"):
        return f"{value[:8]}…"  # a hash
    return text if len(text) <= 120 else text[:119] + "…"


def set_aside(folder: Path) -> Path:
    """Rename a variant's folder to the first free `<name>~1`, `<name>~2`, …; where it lies now."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}~{number}")).exists():
        number += 1
    folder.rename(aside)
    return aside
