"""What a process holds: resident memory now and at most, open files, processor seconds. Linux says it in /proc."""

import ctypes
import gc
import os
import time
from pathlib import Path

STATUS, FILES, FORGET = Path("/proc/self/status"), Path("/proc/self/fd"), Path("/proc/self/clear_refs")


def said(file: Path, key: str) -> float:
    """A line of a file such as /proc/self/status, in MB."""
    [line] = [line for line in file.read_text().splitlines() if line.startswith(f"{key}:")]
    return int(line.split()[1]) / 1024


def resident() -> float:
    """Resident memory in MB, once what nobody holds is gone and the C library has given its free pages back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return said(STATUS, "VmRSS")


def open_files() -> int:
    """How many file descriptors are open."""
    return len(os.listdir(FILES)) - 1  # noqa: PTH208  # the list's own


class Peak:
    """The most resident memory in MB and the processor seconds of what runs under it."""

    def __enter__(self) -> "Peak":
        resident()
        FORGET.write_text("5")  # the most is counted from here (proc(5))
        self._began = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = round(time.process_time() - self._began, 2)
        self.most = said(STATUS, "VmHWM")
