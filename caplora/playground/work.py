"""One long work at a time, in a thread of its own: the kernel stays free to hear that it is to stop."""

import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any, ClassVar

OFTEN = 0.15  # seconds between two words of progress


class StoppedError(Exception):
    """A person has stopped the work."""


class Work:
    """A work and how far it is; `told` gets `{"done": share, "words": …}` as it goes on, and {} at its end.

    Adapters are laid onto the one base model that a kernel has, so there is one work at a time in it, in whatever
    widget it was begun.
    """

    going: ClassVar[Lock] = Lock()

    def __init__(self, told: Callable[[dict[str, Any]], object]) -> None:
        self.told, self.busy, self._stop = told, False, Event()
        self._thread: Thread | None = None
        self._total, self._done, self._began, self._last = 1, 0, 0.0, 0.0
        self.part = ""

    def begin(self, does: Callable[[], None], ends: Callable[[Exception | None], None]) -> None:
        """Do it in a thread, then `ends` with the error that ended it, if one did.

        Raises RuntimeError where a work is going on.
        """
        if not self.going.acquire(blocking=False):
            raise RuntimeError("a drawing is going on: stop it first, or wait for it")
        self._stop.clear()
        self.busy = True
        self._thread = Thread(target=self._run, args=(does, ends), daemon=True)
        self._thread.start()

    def of(self, total: int) -> None:
        """How many steps of pictures the work has."""
        self._total, self._done, self._began = max(1, total), 0, time.monotonic()

    def step(self, count: int) -> None:
        """That `count` pictures have gone a step further; raises StoppedError where it is to stop."""
        if self._stop.is_set():
            raise StoppedError
        self._done += count
        now = time.monotonic()
        if now - self._last >= OFTEN:
            self._last = now
            left = (now - self._began) / self._done * (self._total - self._done)
            self.told({"done": self._done / self._total, "words": f"{self.part}, about {duration(left)} left"})

    def stop(self) -> None:
        """Have it stop at its next step."""
        self._stop.set()

    def wait(self) -> None:
        """Wait for its end."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, does: Callable[[], None], ends: Callable[[Exception | None], None]) -> None:
        error: Exception | None = None
        try:
            does()
        except Exception as raised:  # it is shown in the widget, because nobody sees one raised in a thread
            error = raised
        self.busy = False
        self.going.release()
        self.told({})
        ends(error)


def refuse_while_drawing() -> None:
    """Raise RuntimeError while a playground draws: its adapter lies on the one base model that a kernel has."""
    if Work.going.locked():
        raise RuntimeError("the playground is drawing: stop it first, or wait for it")


def duration(seconds: float) -> str:
    """A time in words, as exact as an estimate is."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
