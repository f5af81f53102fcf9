"""What a section of gpu.py yields: rows that are measured one after another, and how large they are on a card."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from timing import Spread


@dataclass(frozen=True)
class Scale:
    """What is measured."""

    base: str
    pixels: tuple[int, ...]
    batches: tuple[int, ...]
    packs: tuple[int, ...]  # in the order of their worth
    pack: int  # the one that is looked at closely
    turn: float  # seconds of a side's turn
    rounds: int
    pictures: int  # to score
    clips: tuple[str, ...]
    tokens: int  # of a caption
    steps: int  # of the training that is resumed, twice as many in all
    matrix: int  # rows and columns of the large matrices

    @property
    def large(self) -> bool:
        """Whether it is for a card."""
        return self.base == "sd15"

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The packs of (b), as variants and batch: each at batch 1, and one with the larger batches."""
        return [(count, 1) for count in self.packs] + [(self.pack, batch) for batch in self.batches[1:]]


CARD = Scale("sd15", (384, 512), (1, 4), (9, 1, 3, 18), 9, 0.4, 5, 96, ("ViT-B-32", "ViT-L-14"), 20, 20, 8192)
TINY = Scale("tiny", (32,), (1,), (1, 3), 3, 0.0, 2, 4, ("local-dir:caplora/mini/models/clip_a",), 3, 2, 256)


@dataclass
class Row:
    """What was measured: ratios, times in ms (or what their name says), and other figures."""

    ratios: dict[str, Spread] = field(default_factory=dict)
    times: dict[str, Spread] = field(default_factory=dict)
    figures: dict[str, float | str] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """As JSON holds it: spreads as median, smallest, largest."""
        spreads = {
            key: {k: list(vars(s).values()) for k, s in getattr(self, key).items()} for key in ("ratios", "times")
        }
        return spreads | {"figures": self.figures}


Named = Iterator[tuple[str, Callable[[], Row]]]  # what a section gives: a row's name, and the work that measures it
Ready = Callable[[], None]  # says that what takes long is done, and waits for one's turn to measure


def milliseconds(times: dict[str, list[float]], per: float = 1) -> dict[str, Spread]:
    """Seconds of each side as milliseconds, of `per` things a step."""
    return {name: Spread.of([1000 * s / per for s in seconds]) for name, seconds in times.items()}
