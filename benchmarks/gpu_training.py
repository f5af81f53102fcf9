"""The sections of gpu.py that train: ours beside diffusers' script, packs beside runs, compiled, a profile."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, partial

import torch
from gpu_rows import Named, Ready, Row, Scale, milliseconds
from loops import ONE, Diffusers, our_run, steps_of, variants
from timing import Spread, Step, arithmetic, freed, matrix_rate, peak, ratio, seconds, turns
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from caplora.training.loop import Run

BACKENDS = {
    "flash attention": SDPBackend.FLASH_ATTENTION,
    "memory-efficient attention": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN attention": SDPBackend.CUDNN_ATTENTION,
    "plain attention": SDPBackend.MATH,
}
PROFILED, KERNELS = 3, 15  # steps, and rows of the table
rate = cache(matrix_rate)


def beside_diffusers(scale: Scale) -> Named:
    """(a) One variant of ours beside the step of diffusers' script."""
    for pixels in scale.pixels:
        for batch in scale.batches:
            yield f"{pixels} px, batch {batch}", partial(_beside_diffusers, scale, pixels, batch)


def _beside_diffusers(scale: Scale, pixels: int, batch: int) -> Row:
    theirs = Diffusers(scale.base, pixels, batch)
    eager = steps_of(our_run(scale.base, pixels, [ONE], batch, recorded=False))
    said, graphs = _watched(our_run(scale.base, pixels, [ONE], batch))
    s = turns({"diffusers": theirs.step, "ours, eager": eager, "ours, graphs": graphs}, scale.turn, scale.rounds)
    flop = arithmetic(eager)
    return Row(
        {f"diffusers / {name}": ratio(s["diffusers"], s[name]) for name in s if name != "diffusers"},
        milliseconds(s),
        {
            "of it loading images, ms": 1000 * seconds(theirs.load, 10),
            **{f"{name}, share of the matrix rate": _share(scale, flop, s[name]) for name in s if name != "diffusers"},
        }
        | said,
    )


def _share(scale: Scale, flop: int, times: list[float]) -> float:
    return flop / Spread.of(times).median / rate(scale.matrix)


def _watched(run: Run) -> tuple[dict[str, str], Step]:
    """A run's steps once the first is taken, and what it warned of: that it could not be recorded."""
    step = steps_of(run)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        step()
    said = {str(w.message) for w in caught if "CUDA graph" in str(w.message)}
    return {"warned": "; ".join(said)} if said else {}, step


def packs(scale: Scale) -> Named:
    """(b) Packs beside as many runs of one variant, one after another; the last with a larger batch."""
    for count, batch in scale.shapes:
        yield f"{count}, batch {batch}", partial(_pack, scale, count, batch)


def _pack(scale: Scale, count: int, batch: int) -> Row:
    pixels, own = scale.pixels[0], variants(count)
    steps, held, said, flop = {}, {}, {}, 0
    for way, recorded in {"eager": False, "graphs": True}.items():
        before = freed()
        run = our_run(scale.base, pixels, own, batch, recorded=recorded)
        freed()  # the peak is that of the steps
        made, steps[f"pack, {way}"] = _watched(run)
        seconds(steps[f"pack, {way}"], 2)
        held[way], said = (peak() - before) / 1e9, said | made
        flop = flop or arithmetic(steps[f"pack, {way}"])
        steps[f"one, {way}"] = steps_of(our_run(scale.base, pixels, [ONE], batch, recorded=recorded))
    s = turns(steps, scale.turn, scale.rounds)
    one = {way: [count * x for x in s[f"one, {way}"]] for way in held}
    return Row(
        {f"one after another / pack, {way}": ratio(one[way], s[f"pack, {way}"]) for way in held}
        | {"one, eager / graphs": ratio(s["one, eager"], s["one, graphs"])},
        milliseconds(s),
        {f"pack, {way}, share of the matrix rate": _share(scale, flop, s[f"pack, {way}"]) for way in held}
        | {f"pack, {way}, peak, GB": gb for way, gb in held.items() if gb}
        | said,
    )


COMPILED: dict[str, Callable[[Scale, int], Step]] = {
    "one": lambda scale, batch: steps_of(our_run(scale.base, scale.pixels[0], [ONE], batch, compiled=True)),
    "pack": lambda scale, batch: steps_of(
        our_run(scale.base, scale.pixels[0], variants(scale.pack), batch, compiled=True)
    ),
    "diffusers": lambda scale, batch: Diffusers(scale.base, scale.pixels[0], batch, compiled=True).step,
}


def compiled(scale: Scale, side: str, ready: Ready) -> Named:
    """Sides of (a) and (b) compiled; several processes compile at once and measure by turns."""
    yield f"{side}, batch 1", partial(_compiled, scale, side, ready)


def _compiled(scale: Scale, side: str, ready: Ready) -> Row:
    step = COMPILED[side](scale, 1)
    took = seconds(step, 1)
    seconds(step, 3)
    ready()
    s = turns({f"{side}, compiled": step}, scale.turn, scale.rounds)
    return Row({}, milliseconds(s), {"compiling, s": took, "variants": scale.pack if side == "pack" else 1})


def layouts(scale: Scale) -> Named:
    """(f) The packed step with other layouts and kernels than the usual ones, and its kernels by time."""
    usual = cache(lambda: steps_of(_pack_run(scale)))
    yield "kernels", partial(_kernels, usual)
    for name, backend in BACKENDS.items():
        yield name, partial(_backend, scale, usual, backend)
    yield "contiguous, not channels_last", partial(_layout, scale, usual)
    yield "cudnn.benchmark", partial(_benchmarked, scale, usual)


def _pack_run(scale: Scale) -> Run:
    return our_run(scale.base, scale.pixels[0], variants(scale.pack), 1)


def _beside_usual(scale: Scale, usual: Callable[[], Step], other: Step) -> Row:
    s = turns({"usual": usual(), "so": other}, scale.turn, scale.rounds)
    return Row({"usual / so": ratio(s["usual"], s["so"])}, milliseconds(s))


def _layout(scale: Scale, usual: Callable[[], Step]) -> Row:
    run = _pack_run(scale)
    run.objective.pipeline.unet.to(memory_format=torch.contiguous_format)
    return _beside_usual(scale, usual, steps_of(run))


def _benchmarked(scale: Scale, usual: Callable[[], Step]) -> Row:
    usual()()
    own, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    try:
        step = steps_of(_pack_run(scale))
        seconds(step, 2)  # a graph is recorded here, with the kernels that were found fastest
        return _beside_usual(scale, usual, step)
    finally:
        torch.backends.cudnn.benchmark = own


def _backend(scale: Scale, usual: Callable[[], Step], backend: SDPBackend) -> Row:
    step = steps_of(_pack_run(scale))

    def so() -> None:
        with sdpa_kernel(backend) if torch.cuda.is_available() else nullcontext():
            step()

    return _beside_usual(scale, usual, so)


def _kernels(usual: Callable[[], Step]) -> Row:
    """Which kernels the packed step spends its time in, of all the time that the device is at work."""
    step, on_card = usual(), torch.cuda.is_available()
    seconds(step, 2)
    with profile(activities=[ProfilerActivity.CUDA if on_card else ProfilerActivity.CPU]) as watched:
        wall = seconds(step, PROFILED)
    key = "self_device_time_total" if on_card else "self_cpu_time_total"
    spent = {}
    for event in watched.key_averages():
        if "CUDA" in str(event.device_type) or not on_card:
            spent[event.key[:90]] = spent.get(event.key[:90], 0) + getattr(event, key) / 1000 / PROFILED
    if not spent:
        raise RuntimeError("the profiler saw no kernels")
    longest = sorted(spent, key=spent.__getitem__, reverse=True)[:KERNELS]
    whole = sum(spent.values())
    shares = {f"{name}, ms": spent[name] for name in longest}
    return Row({}, {}, {"a step, ms": 1000 * wall, "kernels at work, ms": whole} | shares)
