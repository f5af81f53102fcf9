"""Files that are whole or not there, and have one writer at a time.

A reader, or a crash, meets the old file or the new one, never a part. Where the disk is full, read-only or broken, the
error names the file and the way out.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

READ_ONLY = "have its folder on a disk that may be written to, or change who may write there"
WAYS_OUT = {  # what the system says → what a person can do
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or have your quota raised",
    errno.EROFS: READ_ONLY,
    errno.EACCES: READ_ONLY,
    errno.EPERM: READ_ONLY,
    errno.EIO: "see that the disk is there and in order, or put the file back from a copy",
}
DEAD = 3600.0  # seconds without a word after which nobody writes to a part any more
PARTS = (".*.part", ".tmp??????")  # ours, and those of safetensors


class BusyError(RuntimeError):
    """A folder that another process is writing to; the message names it."""


class DiskError(OSError):
    """A file that a disk did not take or give; the message names it, the reason and the way out."""


@contextmanager
def disk_errors_name(path: Path, done: str = "written") -> Iterator[None]:
    """Raise DiskError, which names `path`, where the disk fails while the block runs: full, read-only, broken.

    `done` is what was to be done with it.
    """
    try:
        yield
    except DiskError:
        raise
    except Exception as error:
        if (number := _number_of(error)) not in WAYS_OUT:
            raise
        kept = ": what was there before is whole" if done == "written" else ""
        why = f"{path} could not be {done}: {os.strerror(number)}. {WAYS_OUT[number].capitalize()}, and run it again"
        raise DiskError(number, f"{why}{kept}") from error


def _number_of(error: Exception) -> int:
    """The number of a system's error, which safetensors has in its message alone; 0 if it is none."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else 0


def read_text(path: Path) -> str:
    """The content of a file, UTF-8; DiskError names one that the disk does not give."""
    with disk_errors_name(path, "read"):
        return path.read_text(encoding="utf-8")


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

    Folders that lack are made. Raises DiskError where the disk does not take it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with disk_errors_name(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            synced(part)
            part.replace(path)
            synced(path.parent)
        finally:
            with suppress(OSError):  # the first error is the one to tell
                part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` by `text`, UTF-8, line ends as they are."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


def refuse_full_disk(folder: Path, needed: int, work: str, way_out: str) -> None:
    """Raise DiskError (ENOSPC) where some work needs more bytes than are free where `folder` is, or will be."""
    there = next(place for place in (folder, *folder.parents) if place.is_dir())  # it may be made only now
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DiskError(
            errno.ENOSPC,
            f"{work} takes {needed / 2**20:,.1f} MB of the disk and {free / 2**20:,.1f} MB are free in {folder}:"
            f" make room, {way_out}",
        )


def drop_dead_parts(*folders: Path) -> None:
    """Remove what killed processes left half written in folders and below: parts that nobody wrote to for an hour."""
    for part in (found for folder in folders for pattern in PARTS for found in folder.rglob(pattern)):
        with suppress(OSError):  # another process may be faster
            if time.time() - part.stat().st_mtime > DEAD:
                shutil.rmtree(part) if part.is_dir() else part.unlink()


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the lock of a process that died is nobody's.

    Raises BusyError naming the process that holds it, and DiskError where nothing can be written there.
    """
    owner = folder.with_name(f".{folder.name}.writer.json")  # beside it, so that the folder can be renamed
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        with disk_errors_name(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
    except Timeout:
        who = _owner(owner)
        raise BusyError(
            f"{folder} is being written by process {who.get('process', '?')} on {who.get('host', '?')} since"
            f" {who.get('since', '?')}: wait for it or stop it"
        ) from None
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        with disk_errors_name(owner):
            owner.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}))
        yield
    finally:
        with suppress(OSError):  # the first error is the one to tell
            owner.unlink(missing_ok=True)
        lock.release()


def _owner(path: Path) -> dict[str, object]:
    """Who holds a folder; nothing where that is just being written."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def file_hash(path: Path) -> str:
    """SHA-256 of a file; DiskError names one that the disk does not give."""
    with disk_errors_name(path, "read"), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
