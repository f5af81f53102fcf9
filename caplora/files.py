"""Files that are whole or not there: a reader, or a crash, meets the old file or the new one, never a part."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def synced(path: Path) -> None:
    """Have the disk hold what was written to a file, or a folder's names, before anything that comes after."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; when the block ends well it is synced and takes the place of `path`, else it is removed.

    Folders that lack are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        synced(part)
        part.replace(path)
        synced(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` by `text`, UTF-8, line ends as they are."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")
