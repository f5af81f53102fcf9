"""How fast nine variants and the baseline draw: one table, all sides in one run, ratios first.

    python benchmarks/sampling.py mini                   # the miniature Stable Diffusion, on any machine
    python benchmarks/sampling.py sd15 --pixels 512      # the shape of Stable Diffusion 1.5, random weights, on a GPU

one by one: for each of ten arms, one sample after another, guidance batched; in diffusers the adapters are loaded with
`load_lora_weights`, in ours they are merged into the weights. pack: ten arms draw a sample together; with --pairs they
draw so many (prompt, seed) pairs at once, and one by one as many of an arm. From noise to picture; adapters are put on
beside the clock. Sides take turns; a figure is the median round, with the smallest and the largest. Latents of all
sides are compared.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from bases import BASES, MINI, PIXELS, pipeline_of
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging
from loops import GRID
from timing import ROUNDS, Clock, Spread, clocked, machine, ratio
from torch import Tensor

from caplora.lora.adapter import NOTHING, Adapter, fresh_adapter
from caplora.lora.adapter_files import write_weights
from caplora.lora.formats import DIFFUSERS
from caplora.lora.layers import target_layers
from caplora.lora.merging import Merged
from caplora.lora.pack import Pack
from caplora.models.base import parts_of
from caplora.sampling.drawing import Denoiser, decode
from caplora.sampling.prompts import texts_of_arms
from caplora.sampling.samples import Wanted, wanted_samples
from caplora.sampling.solvers import scheduler_of
from caplora.study.sampling_settings import Sampling
from caplora.study.training_settings import Training

SIDES = ("diffusers, one by one", "ours, one by one", "pack of ten")
Draw = Callable[[Sequence[str], Sequence[int]], Tensor]  # prompts and seeds of noise → latents, (arms, n, c, h, w)


def drawing(pipeline: StableDiffusionPipeline, arms: int, settings: Sampling) -> Draw:
    """What draws batch after batch of `arms` with what the pipeline wears."""
    denoiser = Denoiser(pipeline, arms, settings, records=True)
    return lambda prompts, noises: denoiser.latents(texts_of_arms(pipeline, arms, denoiser.asked(prompts)), noises)


def trained_like(pipeline: StableDiffusionPipeline) -> list[Adapter]:
    """Nine adapters whose B is not zero, of mixed ranks."""
    layers, g = target_layers(parts_of(pipeline), Training()), torch.Generator().manual_seed(0)
    fresh = [fresh_adapter(layers, variant, 0) for variant in GRID]
    return [
        Adapter(
            a.variant, {k: (down, 0.02 * torch.randn(up.shape, generator=g)) for k, (down, up) in a.weights.items()}
        )
        for a in fresh
    ]


class Bench:
    """The three sides over the same samples, and the clock that counts their drawing."""

    def __init__(
        self, base: str, pixels: int, batches: list[tuple[Wanted, ...]], folder: Path, settings: Sampling
    ) -> None:
        self.ours, self.theirs = pipeline_of(base, pixels), pipeline_of(base, pixels)
        self.theirs.set_progress_bar_config(disable=True)
        self.theirs.scheduler = scheduler_of(self.theirs, settings.solver)
        self.batches, self.settings, self.clock = batches, settings, Clock()
        self.adapters = [NOTHING, *trained_like(self.ours)]
        self.names = [a.variant.name for a in self.adapters[1:]]
        for adapter, name in zip(self.adapters[1:], self.names, strict=True):
            write_weights(adapter, folder / name / DIFFUSERS, "diffusers", {})
            self.theirs.load_lora_weights(str(folder / name), adapter_name=name)
        self.merged = [Merged(self.ours, adapter) for adapter in self.adapters]
        self.alone = drawing(self.ours, 1, settings)
        self.together = drawing(self.ours, len(self.adapters), settings)
        self.worn = Pack(parts_of(self.ours), self.adapters)

    def sides(self) -> dict[str, Callable[[], Tensor]]:
        """Each gives its latents, (arms, samples, c, h, w)."""
        return dict(zip(SIDES, (self.diffusers, self.one_by_one, self.pack), strict=True))

    def diffusers(self) -> Tensor:
        """One sample after another by diffusers."""
        arms = []
        for name in (None, *self.names):
            if name is None:
                self.theirs.disable_lora()
            else:
                self.theirs.enable_lora()
                self.theirs.set_adapters(name)
            arms.append(torch.cat([self._theirs(batch) for batch in self.batches]))
        return torch.stack(arms)

    def _theirs(self, batch: tuple[Wanted, ...]) -> Tensor:
        generators, settings = [torch.Generator().manual_seed(w.noise) for w in batch], self.settings
        with self.clock:
            latents = self.theirs(
                [w.prompt for w in batch], num_inference_steps=settings.num_inference_steps, output_type="latent",
                guidance_scale=settings.guidance_scale, generator=generators,
            ).images  # fmt: skip
            decode(self.theirs, latents)
        return latents

    def one_by_one(self) -> Tensor:
        """The same by ours."""
        arms = []
        self.worn.lift()
        for merged in self.merged:
            merged.lay()
            arms.append(torch.cat([self._drawn(self.alone, batch) for batch in self.batches], 1))
            merged.lift()
        return torch.cat(arms)

    def pack(self) -> Tensor:
        """The same, all arms together."""
        self.worn.lay()
        drawn = torch.cat([self._drawn(self.together, batch) for batch in self.batches], 1)
        self.worn.lift()
        return drawn

    def _drawn(self, draw: Draw, batch: tuple[Wanted, ...]) -> Tensor:
        with self.clock:
            arms = draw([w.prompt for w in batch], [w.noise for w in batch])
            for arm in arms:
                decode(self.ours, arm)
        return arms


def batches_of(settings: Sampling, samples: int, pairs: int) -> list[tuple[Wanted, ...]]:
    """So many samples of each arm, `pairs` at once."""
    return [tuple(wanted_samples(settings)[i * 5 : i * 5 + pairs]) for i in range(samples // pairs)]


def rounds_of(bench: Bench, rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each side, round by round after one that warms up; how far its latents are from those of the pack."""
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    worst = dict.fromkeys(SIDES[:2], 0.0)
    for number in range(rounds + 1):
        ran = {name: clocked(side, bench.clock) for name, side in bench.sides().items()}
        for name in worst:
            worst[name] = max(worst[name], float((ran[SIDES[2]][1] - ran[name][1]).float().abs().max()))
        for name, (took, _) in ran.items():
            seconds[name] += [took] if number else []
    return seconds, worst


def rows(base: str, pixels: int, samples: int, pairs: int, rounds: int) -> Iterator[str]:
    """The table, row by row."""
    with TemporaryDirectory() as folder:
        bench = Bench(base, pixels, batches_of(MINI.sampling, samples, pairs), Path(folder), MINI.sampling)
        s, worst = rounds_of(bench, rounds)
    ratios = [ratio(s[side], s[SIDES[2]]) for side in SIDES[:2]]
    cells = [str(pairs), *(f"**{r.median:.2f}×** ({r.low:.2f}–{r.high:.2f})" for r in ratios)]
    cells += [Spread.of(s[side]).said(3, 1 / samples / 10) for side in SIDES] + [f"{max(worst.values()):.1e}"]
    yield (
        f"| pairs at once | diffusers one by one / pack | ours one by one / pack | {', s a sample | '.join(SIDES)}, "
        "s a sample | largest difference of a latent |"
    )
    yield "|---" * 7 + "|"
    yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the machine and the table."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("base", choices=BASES)
    top.add_argument("--pixels", type=int, default=512, help="of sd15")
    top.add_argument("--samples", type=int, default=4, help="of each arm, a round")
    top.add_argument("--pairs", type=int, default=1, help="(prompt, seed) pairs at once")
    top.add_argument("--rounds", type=int, default=ROUNDS)
    given = top.parse_args()
    sys.stdout.write(f"{given.base}, {machine()}\n\n")
    for row in rows(given.base, PIXELS.get(given.base, given.pixels), given.samples, given.pairs, given.rounds):
        sys.stdout.write(f"{row}\n")


if __name__ == "__main__":
    main()
