"""The process that measures for gpu.py: it waits for orders, an object of JSON a line, and answers row by row.

An order names a section, the seconds that it has and how many rows are done already. A row that fails is a row that
says so. If the card is of no use after that, the process ends and another takes its place.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import gpu_others
import gpu_training
from diffusers.utils import logging
from gpu_process import UNUSABLE
from gpu_rows import CARD, TINY, Named, Ready, Row, Scale
from timing import freed, machine, synchronise


class Worker:
    """Orders in, rows out."""

    def __init__(self, scale: Scale) -> None:
        self.scale, self.out = scale, os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what a library prints is none of the answers
        self.sections: dict[str, Callable[[Ready], Named]] = {
            "machine": lambda ready: iter([("matrices", self._machine)]),
            "forecast": lambda ready: gpu_others.forecast(scale),
            "a": lambda ready: gpu_training.beside_diffusers(scale),
            "b": lambda ready: gpu_training.packs(scale),
            "c": lambda ready: gpu_others.sampling(scale),
            "d": lambda ready: gpu_others.scoring(scale),
            "e": lambda ready: gpu_others.resume(scale),
            "f": lambda ready: gpu_training.layouts(scale),
        }
        for side in gpu_training.COMPILED:
            self.sections[f"compiled {side}"] = partial(gpu_training.compiled, scale, side)

    def serve(self) -> None:
        """Until there are no more orders."""
        for line in sys.stdin:
            order = json.loads(line)
            self.section(order["section"], order["seconds"], order["done"])

    def section(self, name: str, limit: float, done: int) -> None:
        """Measure what is left of a section, row by row, as long as another one as long as the longest fits."""
        began, longest = time.monotonic(), 0.0
        for number, (row, work) in enumerate(self.sections[name](partial(self._ready, name))):
            if number < done:
                continue
            spent = time.monotonic() - began
            if spent + longest > limit:
                self.say(section=name, row=row, skipped=f"no time left after {spent:.0f} s")
                continue
            self._row(name, row, work)
            longest = max(longest, time.monotonic() - began - spent)
        self.say(section=name, ended=True)

    def _row(self, section: str, row: str, work: Callable[[], Row]) -> None:
        began = time.monotonic()
        try:
            said = work().content()
        except Exception as error:  # a row that fails is a row that says so
            traceback.print_exc()
            said = {"error": f"{type(error).__name__}: {str(error).strip() or 'no message'}".splitlines()[0][:200]}
            del error
        self.say(section=section, row=row, took=time.monotonic() - began, **said)
        try:
            freed()
            synchronise()
        except Exception:
            traceback.print_exc()
            os._exit(UNUSABLE)

    def _ready(self, section: str) -> None:
        self.say(section=section, ready=True)
        sys.stdin.readline()

    def _machine(self) -> Row:
        figures = {"machine": machine(), "matrix rate, TFLOP/s": gpu_training.rate(self.scale.matrix) / 1e12}
        return Row({}, {}, figures)

    def say(self, **content: Any) -> None:
        """A line to gpu.py."""
        print(json.dumps(content), file=self.out, flush=True)


if __name__ == "__main__":
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    Worker(TINY if "--tiny" in sys.argv else CARD).serve()
