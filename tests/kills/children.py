"""Work in a forked child, which starts in milliseconds and may be killed, and how it ended."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from tests.kills.layer import Told
from tests.kills.people import Say

MIDDLES = ("write", "pwrite", "pwrite64", "writev", "sendfile", "sendfile64", "copy_file_range")


@dataclass(frozen=True)
class Ran:
    """How a child ended."""

    status: str  # done, failed or killed
    said: int  # how far it said that it is; 0 where it says nothing
    error: str  # the kind of error and its message
    traceback: str
    touches: int
    last: str  # the call and the file at the chosen touch

    @property
    def writing(self) -> bool:
        """Whether the fault met a call that had bytes to write."""
        return self.last.split(" ")[0] in MIDDLES


def forked(work: Callable[[Say], None], armed: Callable[[], None], told: Told, kill_after: float | None = None) -> Ran:
    """Run some work in a child, killed after so many seconds if it runs so long."""
    reads, writes = os.pipe()
    told.clear()
    child = os.fork()
    if not child:
        os.close(reads)
        _in_child(work, armed, writes)
    os.close(writes)
    timer = threading.Timer(kill_after, os.kill, (child, signal.SIGKILL)) if kill_after is not None else None
    if timer:
        timer.start()
    with open(reads, encoding="utf-8", errors="replace") as pipe:
        lines = pipe.read().split("\0")
    if timer:
        timer.cancel()
        timer.join()
    _, status = os.waitpid(child, 0)
    said = [line[2:] for line in lines if line.startswith("n ")]
    failed = next((line[2:].split("\1") for line in lines if line.startswith("e ")), ["", ""])
    ended = "killed" if os.WIFSIGNALED(status) else "done" if status == 0 else "failed"
    return Ran(ended, int(said[-1]) if said else 0, failed[0], failed[1], told.touches, told.last)


def _in_child(work: Callable[[Say], None], armed: Callable[[], None], writes: int) -> None:
    """Work in this process, which ends here; nothing is printed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    try:
        armed()
        work(lambda number: void(os.write(writes, f"n {number}\0".encode())))
    except BaseException as error:
        text = f"e {type(error).__name__}: {error}\1{''.join(traceback.format_exception(error))}\0"
        os.write(writes, text.encode(errors="replace"))
        os._exit(1)
    os._exit(0)


def void(value: object) -> None:
    """Nothing of a value."""
