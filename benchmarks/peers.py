"""Our training beside the one that people know: one table, all sides in one run, ratios first.

    python benchmarks/peers.py mini                 # the miniature Stable Diffusion, on any machine
    python benchmarks/peers.py sd15 --pixels 384    # the shape of Stable Diffusion 1.5, random weights, on a GPU

diffusers: the loop of its example train_text_to_image_lora.py, from the documentation: a peft adapter, a DataLoader
that decodes and shuffles, VAE and text encoder at every step, accelerate's prepare and backward, clipping, AdamW, a
schedule. one: a variant of ours. nine, one by one: nine of ours, three of each rank. pack: the nine together.
Sides take turns, five rounds; a figure is the median round, with the smallest and the largest. The arithmetic of a step
(torch's FlopCounter) over its time is shown as a share of the rate at which the machine multiplies large matrices.
"""

import argparse
import multiprocessing
import resource
from collections.abc import Iterator

import torch
from bases import PIXELS
from loops import GRID, ONE, Diffusers, our_run, steps_of
from timing import Spread, Step, arithmetic, machine, matrix_rate, ratio, seconds, turns

RATIOS = ("diffusers / one", "nine, one by one / pack", "nine of diffusers / pack")
SIDES = ("diffusers", "one", "pack")


def side(name: str, base: str, pixels: int, batch: int, compiled: bool = False) -> Step:
    """A step of a side; of `rank 4` one variant of that rank."""
    if name == "diffusers":
        return Diffusers(base, pixels, batch, compiled).step
    of_rank = {f"rank {v.rank}": [v] for v in GRID[1::3]}
    own = {"one": [ONE], "pack": GRID} | of_rank
    return steps_of(our_run(base, pixels, own[name], batch, compiled))


def peak_memory(name: str, base: str, pixels: int, batch: int) -> float:
    """The largest memory of a side, in GB, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_memory, (name, base, pixels, batch))


def _peak_memory(name: str, base: str, pixels: int, batch: int) -> float:
    seconds(side(name, base, pixels, batch), 3)
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def rows(base: str, pixels: int, turn: float, compiled: bool, memory: bool) -> Iterator[str]:
    """The table, row by row."""
    rate = matrix_rate(8192 if torch.cuda.is_available() else 2048)
    yield f"Large matrices: {rate / 1e9:,.0f} GFLOP/s.\n"
    heads = ["batch", *RATIOS, *(f"{name}, ms a step" for name in SIDES)]
    heads += [f"{name}, share of the matrix rate" for name in SIDES[1:]] + [f"{n}, GB" for n in SIDES if memory]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for batch in (1, 4):
        names = ("diffusers", "rank 4", "rank 8", "rank 16", "pack")
        steps = {name: side(name, base, pixels, batch, compiled) for name in names}
        s = turns(steps, turn)
        ranks = zip(s["rank 4"], s["rank 8"], s["rank 16"], strict=True)
        s |= {"one": s["rank 8"], "nine": [3 * sum(each) for each in ranks], "theirs": [9 * x for x in s["diffusers"]]}
        ratios = [ratio(s["diffusers"], s["one"]), ratio(s["nine"], s["pack"]), ratio(s["theirs"], s["pack"])]
        cells = [str(batch), *(f"**{r.median:.2f}×** ({r.low:.2f}–{r.high:.2f})" for r in ratios)]
        cells += [Spread.of(s[name]).said(1, 1000) for name in SIDES]
        counted = {"one": arithmetic(steps["rank 8"]), "pack": arithmetic(steps["pack"])}
        cells += [f"{flop / Spread.of(s[name]).median / rate:.0%}" for name, flop in counted.items()]
        del steps
        cells += [f"{peak_memory(name, base, pixels, batch):.2f}" for name in SIDES if memory]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the machine and the table."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("base", choices=("mini", "tiny", "sd15"))
    top.add_argument("--pixels", type=int, default=384, help="of sd15")
    top.add_argument("--turn", type=float, default=1.5, help="seconds of a side's turn")
    top.add_argument("--compile", action="store_true", help="torch.compile every UNet, theirs too")
    top.add_argument("--memory", action="store_true", help="also the largest memory of each, in a process of its own")
    given = top.parse_args()
    print(f"{given.base}, {machine()}\n", flush=True)
    pixels = PIXELS.get(given.base, given.pixels)
    for row in rows(given.base, pixels, given.turn, given.compile, given.memory):
        print(row, flush=True)


if __name__ == "__main__":
    main()
