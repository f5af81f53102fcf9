"""What every benchmark here measures with: turns, their spread, the arithmetic of a step and the machine's matrix rate.

Sides take turns round by round, so that what else the machine does falls on all of them alike. A figure is the median
round, with the smallest and the largest. The clock of a card is read when it has finished.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from caplora.models.devices import DTYPES, device_of, precision_of

ROUNDS = 5
Step = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, the smallest and the largest."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        return Spread(statistics.median(values), min(values), max(values))

    def said(self, digits: int = 2, factor: float = 1, unit: str = "") -> str:
        """As a cell of a table: `1.28× (1.25–1.31)`."""
        m, low, high = (f"{factor * x:.{digits}f}" for x in (self.median, self.low, self.high))
        return f"{m}{unit} ({low}–{high})"


def synchronise() -> None:
    """Wait until the card, if there is one, has done everything that it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(step: Step, steps: int) -> float:
    """Of one step, the mean over `steps`; the card is idle before and after."""
    synchronise()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    synchronise()
    return (time.perf_counter() - began) / steps


def turns(
    sides: dict[str, Step], turn: float, rounds: int = ROUNDS, warm_ups: int = 3, least: int = 3
) -> dict[str, list[float]]:
    """Seconds a step of each side, round by round; a turn is about `turn` seconds long, and of `least` steps."""
    for step in sides.values():
        seconds(step, warm_ups)
    steps = {name: max(least, round(turn / seconds(step, 1))) for name, step in sides.items()}
    measured = [{name: seconds(step, steps[name]) for name, step in sides.items()} for _ in range(rounds)]
    return {name: [r[name] for r in measured] for name in sides}


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """How often `under` fits into `over`, each round's times with each other."""
    return Spread.of([a / b for a, b in zip(over, under, strict=True)])


def arithmetic(step: Step) -> int:
    """Floating-point operations of one step, a multiplication and an addition two; not of a replayed graph."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


class Clock:
    """Seconds of what runs under it, added up; the card is idle before and after."""

    def __init__(self) -> None:
        self.seconds = self._began = 0.0

    def __enter__(self) -> None:
        synchronise()
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        synchronise()
        self.seconds += time.perf_counter() - self._began


def clocked(side: Step, clock: Clock) -> tuple[float, object]:
    """What a side's clock counts while it runs, and what came of it."""
    clock.seconds = 0.0
    found = side()
    return clock.seconds, found


def matrix_rate(side: int) -> float:
    """Operations per second of the product of two large matrices in the precision of training, the best of ten."""
    device = device_of()
    dtype = DTYPES[precision_of(device)]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in "ab")
    seconds(lambda: a @ b, 3)
    return 2 * side**3 / min(seconds(lambda: a @ b, 10) for _ in range(10))


def freed() -> int:
    """The bytes that torch holds on the card once what nobody holds is gone; the peak counts from here."""
    gc.collect()
    if not torch.cuda.is_available():
        return 0
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def peak() -> int:
    """The most bytes that torch held on the card since `freed`; 0 on a CPU."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


def machine() -> str:
    """What a table was measured on."""
    if not torch.cuda.is_available():
        return f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    tf32 = f"TF32 {'on' if torch.backends.cuda.matmul.allow_tf32 else 'off'} for matrices"
    tf32 += f" and {'on' if torch.backends.cudnn.allow_tf32 else 'off'} for convolutions"
    libraries = f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    return f"{torch.cuda.get_device_name()}, {precision_of(device_of())}, {tf32}, {libraries}"


def processor() -> str:
    """The name of the processor."""
    return platform.processor() or platform.machine()
