"""A process that measures, as gpu.py sees it: orders go in, answers come out, and it may hang or die."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

UNUSABLE = 3  # the exit code of a process that has said its row and whose card is of no use any more


class Process:
    """A worker, which loads its libraries while it waits for its first order; `card`: whether it sees one."""

    def __init__(self, script: Path, tiny: bool, log: Path, card: bool = True) -> None:
        environment = dict(os.environ) | ({} if card else {"CUDA_VISIBLE_DEVICES": ""})
        if tiny:
            environment |= {"TORCHDYNAMO_DISABLE": "1"}  # compiling takes longer than all the rest
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(script), *["--tiny"] * tiny],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
            )
        self.answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.process.wait()
        self.answers.put(None)

    def order(self, section: str, seconds: float, done: int = 0) -> None:
        """Have a section measured, of which so many rows are done."""
        self.tell(json.dumps({"section": section, "seconds": seconds, "done": done}))

    def tell(self, line: str) -> None:
        """Write a line to it; if it has died, its answers will say so."""
        try:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return

    def answer(self, until: float) -> dict[str, Any] | None:
        """What it says next: a row, or that it is late; None if it has died."""
        try:
            return self.answers.get(timeout=max(0.01, until - time.monotonic()))
        except queue.Empty:
            return {"late": True}

    def gave_up(self) -> bool:
        """Whether it ended itself, its last row said."""
        return self.process.poll() == UNUSABLE

    def end(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.listener.join(timeout=5)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):  # of an order that it did not live to read
                pipe.close()
