"""Work on a card, recorded once as a CUDA graph and replayed: the same kernels, without the processor starting each.

A card finishes a small kernel sooner than Python can start the next one. A replayed graph has no Python in it. On a CPU
nothing is recorded.
"""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

WARM_UPS = 3  # passes before a recording, in which libraries choose their kernels
TOLERANCE = 1e-2  # relative, between a replay and the work itself; 16-bit kernels may add up in another order


def sent(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """The tensors on a device, copied beside what it is computing: from pinned memory, on a stream of their own."""
    if device.type != "cuda":
        return [x.to(device) for x in tensors]
    side, now = _side_stream(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(side):
        there = [x.pin_memory().to(device, non_blocking=True) if x.device.type == "cpu" else x for x in tensors]
    now.wait_stream(side)
    for x in there:
        x.record_stream(now)  # or its memory could be given away while it is still read
    return there


_SIDES: dict[torch.device, "torch.cuda.Stream"] = {}


def _side_stream(device: torch.device) -> "torch.cuda.Stream":
    return _SIDES.setdefault(device, torch.cuda.Stream(device))


class Recorded:
    """A function of tensors that is recorded at its first call with inputs of a shape, and replayed after that.

    The function may change tensors in place, and those are its `state`. What it returns holds until the next call. The
    first replay is compared with the function itself: where a card cannot record it, or the two differ, the function
    is called as it is, and a warning says why, once.
    """

    def __init__(self, function: Callable[..., Tensor], state: Sequence[Tensor], device: torch.device) -> None:
        self.function, self.state = function, list(state)
        self.records = device.type == "cuda"
        self._made: dict[tuple, tuple[list[Tensor], torch.cuda.CUDAGraph, Tensor]] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        """What the function returns for the inputs."""
        key = tuple((x.shape, x.dtype) for x in inputs)
        if self.records and key not in self._made:
            self._try(key, inputs)
        if not self.records:
            return self.function(*inputs)
        held, graph, made = self._made[key]
        for own, given in zip(held, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        graph.replay()
        return made

    def _try(self, key: tuple, inputs: Sequence[Tensor]) -> None:
        """Record for the shapes of `inputs`, or note that it cannot be done; the state is as it was."""
        before = [x.clone() for x in self.state]
        try:
            self._made[key] = self._record([x.clone() for x in inputs], before)
        except (RuntimeError, ArithmeticError) as error:  # torch.OutOfMemoryError and errors of CUDA are RuntimeErrors
            self.records = False
            self._made.clear()
            torch.cuda.empty_cache()
            warnings.warn(f"without a CUDA graph, so slower: {str(error).splitlines()[0]}", stacklevel=3)
        finally:
            self._put_back(before)

    def _record(self, held: list[Tensor], before: list[Tensor]) -> tuple[list[Tensor], "torch.cuda.CUDAGraph", Tensor]:
        side, now = torch.cuda.Stream(), torch.cuda.current_stream()
        side.wait_stream(now)
        with torch.cuda.stream(side):  # as the documentation of torch.cuda.graph asks
            for _ in range(WARM_UPS):
                self._put_back(before)
                expected = self.function(*held).clone()
            expected_state = [x.clone() for x in self.state]
            self._put_back(before)
        now.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may write pictures
            made = self.function(*held)
        graph.replay()
        for own, other in zip([made, *self.state], [expected, *expected_state], strict=True):
            if not _alike(own, other):
                raise ArithmeticError("a replay gave other numbers than the work itself")
        return held, graph, made

    def _put_back(self, before: Sequence[Tensor]) -> None:
        for own, old in zip(self.state, before, strict=True):
            own.copy_(old)


def _alike(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors are the same but for rounding."""
    x, y = x.detach().double(), y.detach().double()
    return bool((x - y).nan_to_num().norm() <= TOLERANCE * y.nan_to_num().norm())
