"""Files that are whole or not there, and have one writer at a time.

A reader, or a crash, meets the old file or the new one, never a part.
"""

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class BusyError(RuntimeError):
    """A folder that another process is writing to; the message names it."""


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


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the lock of a process that died is nobody's.

    Raises BusyError naming the process that holds it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    owner = folder.with_name(f".{folder.name}.writer.json")  # beside it, so that the folder can be renamed
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        who = json.loads(owner.read_text(encoding="utf-8")) if owner.is_file() else {}
        raise BusyError(
            f"{folder} is being written by process {who.get('process', '?')} on {who.get('host', '?')} since"
            f" {who.get('since', '?')}: wait for it or stop it"
        ) from None
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        owner.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
