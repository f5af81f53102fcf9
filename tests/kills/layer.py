"""The layer of faults in `layer.c`: compiled once, preloaded into a process, and armed in its children."""

import ctypes
import mmap
import os
import shutil
import struct
import subprocess
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("layer.c")
COMPILER = shutil.which("cc") or shutil.which("gcc")
PAGE = 4096  # bytes that are shared with a child: how many touches there were, and the last


class Fault(IntEnum):
    """What comes at the chosen touch, in the order of `layer.c`."""

    COUNT = 1  # nothing: touches are counted
    KILL_BEFORE = 2
    KILL_TORN = 3  # after half of the bytes, or after what writes none
    FULL = 4  # the disk, from there on
    READ_ONLY = 5  # from the first touch on
    BAD_READ = 6  # of the file that is read there, from there on; only reads are touches


def compiled(folder: Path) -> Path:
    """The layer as a library in a folder."""
    assert COMPILER
    library = folder / "layer.so"
    subprocess.run([COMPILER, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def preloaded(folder: Path) -> dict[str, str]:
    """The environment of a process that carries the layer, compiled into a folder; or not, where no compiler is."""
    layer = {"LD_PRELOAD": str(compiled(folder))} if COMPILER else {}
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | layer


class Told:
    """What a child's layer tells, also of one that was killed."""

    def __init__(self) -> None:
        self.page = mmap.mmap(-1, PAGE)

    @property
    def touches(self) -> int:
        """How many touches of the folder there were."""
        return struct.unpack_from("q", self.page)[0]

    @property
    def last(self) -> str:
        """The call and the file of the chosen touch; empty if it did not come."""
        return self.page[8:].split(b"\0")[0].decode(errors="replace")

    def clear(self) -> None:
        """Forget what an earlier child told."""
        self.page[:] = bytes(PAGE)


def arm(folder: Path, fault: Fault, touch: int, told: Told) -> None:
    """Have the fault come at the touch of that number in this process, from 1; touches are counted from now on.

    A process without the layer can be killed at random moments alone, and touches are not counted.
    """
    layer = ctypes.CDLL(None)
    if fault == Fault.COUNT and not hasattr(layer, "fault_arm"):
        return
    shared = ctypes.addressof(ctypes.c_char.from_buffer(told.page))
    layer.fault_arm(str(folder).encode(), int(fault), ctypes.c_long(touch), ctypes.c_void_p(shared))
