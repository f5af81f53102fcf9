"""How much memory a variant needs, how much the device has free, and packs of variants that fit."""

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
import torch
from torch import Tensor, nn

CGROUP = Path("/sys/fs/cgroup")
SHARE = 0.8  # of the free memory that a pack may take
OVERHEAD = 1.3  # what a step needs beside what it keeps: gradients on their way, workspaces, fragments
T = TypeVar("T")


def bytes_kept(loss_of: Callable[[], Tensor], model: nn.Module) -> int:
    """The memory of everything that autograd keeps for the backward pass of a loss, the model's own weights aside."""
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        loss_of()
    return sum(kept.values())


def bytes_needed(loss_of: Callable[[], Tensor], model: nn.Module, device: torch.device) -> int:
    """The memory that a forward and backward pass needs beside the weights: measured on a GPU, counted on a CPU."""
    if device.type != "cuda":
        return bytes_kept(loss_of, model)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    loss_of().backward()
    return torch.cuda.max_memory_allocated(device) - before


def free_bytes(device: torch.device) -> int:
    """The memory that is free on a device; on the CPU within the limit of the container, if there is one."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(device)[0]
    return min(psutil.virtual_memory().available, _container())


def _container() -> float:
    """What the control group (version 2) of this process leaves it."""
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return math.inf
    return math.inf if limit == "max" else int(limit) - int(used)


def fits(each: int, free: int) -> bool:
    """Whether one thing of `each` bytes fits into `free`."""
    return OVERHEAD * each <= SHARE * free


@contextmanager
def out_of_memory_names(what: str, settings: str) -> Iterator[None]:
    """Within it, torch.OutOfMemoryError says what did not fit and which settings to change; torch's is its cause."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise torch.OutOfMemoryError(
            f"{what} does not fit into the memory of the device: {settings}; what is done so far is kept"
        ) from error


def packs_within(items: Sequence[T], each: int, free: int) -> list[tuple[T, ...]]:
    """The items in as few packs as fit into `free` bytes, of even size; one item is always a pack."""
    return even_packs(items, max(1, int(SHARE * free / (OVERHEAD * each))))


def even_packs(items: Sequence[T], most: int) -> list[tuple[T, ...]]:
    """The items in as few packs of at most `most` as there can be, of even size."""
    count = -(-len(items) // most)
    return [tuple(items[round(i * len(items) / count) : round((i + 1) * len(items) / count)]) for i in range(count)]
