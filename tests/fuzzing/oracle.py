"""What no input may bring about: an error that is not ours, a hang, much memory, a file written outside the study.

`tried` runs one case of a parser in a folder of its own and says what became of it. Time is the processor's, so that a
busy machine makes no hang; memory is what the process ever held, which its first case beyond the limit is blamed for.
"""

import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 5.0  # of the processor, for a case
MEMORY = 2 * 1024**3  # bytes that the process may hold
REACHES = {
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "socket.connect",
    "pickle.find_class",
}
CHANGES = {  # event of the interpreter → which of its arguments are paths that it changes
    "os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,), "os.mkdir": (0,), "os.link": (1,), "os.symlink": (1,),
    "os.truncate": (0,), "os.chmod": (0,), "os.utime": (0,), "shutil.rmtree": (0,), "shutil.move": (0, 1),
}  # fmt: skip


class HangError(BaseException):
    """A case took longer than it may; no `except Exception` of what is tried catches it."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case: `accepted`, `refused` with a message of ours, or `fault` and what it was."""

    kind: str
    said: str  # the message of a refusal; of a fault what it was
    place: str = ""  # of a fault: the innermost line of ours, by which faults are told apart
    seconds: float = 0.0


class _Watch:
    """Whether what runs writes outside of `allowed`; one for the process, since such a hook cannot be taken away."""

    def __init__(self) -> None:
        self.allowed: str | None = None
        self.seen: list[str] = []
        self.hooked = False

    def hook(self) -> None:
        if not self.hooked:
            sys.addaudithook(self._heard)
            self.hooked = True

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = set(mode or "") & set("wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if writes and isinstance(path, str | bytes):
                self._written(event, path)
        elif event in CHANGES:
            for place in CHANGES[event]:
                if isinstance(arguments[place], str | bytes | os.PathLike):
                    self._written(event, arguments[place])
        elif event in REACHES:
            self.seen.append(f"{event} {arguments[:2]!r}")

    def _written(self, event: str, path: Any) -> None:
        real = os.path.realpath(os.fsdecode(path))
        if "__pycache__" in real:
            return  # byte code of what is imported only now
        if real not in (os.devnull, self.allowed) and not real.startswith(f"{self.allowed}{os.sep}"):
            self.seen.append(f"{event} outside of the folder: {real!r}")


WATCH = _Watch()


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """The list of what the block writes outside of `folder`, runs or connects to."""
    WATCH.hook()
    WATCH.seen, WATCH.allowed = [], os.path.realpath(folder)
    try:
        yield WATCH.seen
    finally:
        WATCH.allowed = None


def _late(signum: int, frame: FrameType | None) -> None:
    raise HangError


@contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Raise HangError in the block once it has used so many seconds of the processor."""
    before = signal.signal(signal.SIGPROF, _late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def held() -> int:
    """The most bytes that this process has held; without /proc those of the process that started it count too."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def tried(
    run: Callable[[], object],
    errors: tuple[type[Exception], ...],
    names: Callable[[str], bool],
    folder: Path,
    most: float = SECONDS,
) -> Outcome:
    """What becomes of `run`, which may raise `errors` whose message `names` what is wrong, and may write to `folder`.

    It may use `most` seconds of the processor.
    A text that it returns is a reason for which the input is refused.
    """
    before, began = held(), time.process_time()
    try:
        with warnings.catch_warnings(), watched(folder) as seen, limited(most):
            warnings.simplefilter("ignore")  # a warning is no error
            reason = run()
        kind, said, place = ("refused", reason, "") if isinstance(reason, str) else ("accepted", "", "")
    except HangError as error:
        kind, said, place = "fault", f"still at work after {most:g} s", _place(error)
    except errors as error:
        ours = type(error) in errors and names(str(error))
        kind, said = "refused" if ours else "fault", f"{type(error).__name__}: {error}"
        place = "" if ours else _place(error)
    except Exception as error:
        kind, said, place = "fault", f"{type(error).__name__}: {error}", _place(error)
    seconds = time.process_time() - began
    if seen:
        kind, said, place = "fault", seen[0], "written outside"
    elif before <= MEMORY < held():
        kind, said, place = "fault", f"{held() / 1024**3:.1f} GB of memory", "memory"
    return Outcome(kind, said[:2000], place, seconds)


def _place(error: BaseException) -> str:
    """The kind of an error and the innermost line of caplora that it came through."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/caplora/" in f.filename]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "?"
    return f"{type(error).__name__} in {where}"
