"""Work on a CPU, shared out: on two cores two halves at once are done sooner than all of it on both cores together."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from caplora.models import even_packs

T = TypeVar("T")
R = TypeVar("R")


def shares_of(items: Sequence[T], device: torch.device) -> list[tuple[T, ...]]:
    """The items shared out evenly, to every core of a CPU; a card takes them all at once."""
    lanes = torch.get_num_threads() if device.type == "cpu" else 1
    return even_packs(items, -(-len(items) // lanes))


def on_all_cores(work: Callable[[T], R], shares: Sequence[T]) -> list[R]:
    """What the work makes of each share, in their order: all at once, each in a thread with its part of the cores.

    Work without gradients has to say so itself, because a thread begins with them.
    """
    if len(shares) == 1:
        return [work(shares[0])]
    cores = torch.get_num_threads()
    torch.set_num_threads(max(1, cores // len(shares)))  # a thread that begins takes what is set now
    try:
        with ThreadPoolExecutor(len(shares)) as pool:
            return list(pool.map(work, shares))
    finally:
        torch.set_num_threads(cores)
