"""How fast nine variants and the baseline draw: one table, all sides in one run, ratios first.

    python benchmarks/sampling.py mini                   # the miniature Stable Diffusion, on any machine
    python benchmarks/sampling.py sd15 --pixels 512      # the shape of Stable Diffusion 1.5, random weights, on a GPU

one by one: for each of ten arms, one sample after another, guidance batched; in diffusers the adapter is loaded with
`load_lora_weights`, in ours it is merged into the weights. pack: ten arms draw a sample together; with --pairs they
draw so many (prompt, seed) pairs at once, and one by one as many of an arm. From noise to picture, adapters put on
included.
Sides take turns; a figure is the median round, with the smallest and the largest ratio of a round. Latents of all sides
are compared.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from diffusers.utils import logging
from torch import Tensor
from training import NINE, stable_diffusion_shaped

from caplora.lora.adapter import NOTHING, Adapter, fresh_adapter
from caplora.lora.adapter_files import write_weights
from caplora.lora.formats import DIFFUSERS
from caplora.lora.layers import target_layers
from caplora.mini.world.words import clip_tokenizer
from caplora.models.base import load_base, parts_of
from caplora.models.devices import DTYPES, device_of, precision_of
from caplora.sampling.drawing import decode
from caplora.sampling.finishing import Finisher
from caplora.sampling.jobs import Drawing
from caplora.sampling.prompts import Texts
from caplora.sampling.samples import Wanted, wanted_samples
from caplora.study.study import read_study
from caplora.study.training_settings import Training

SIDES = ("diffusers, one by one", "ours, one by one", "pack of ten")
STUDY = read_study("mini")


def pipeline_of(model: str, pixels: int) -> StableDiffusionPipeline:
    """The mini study's base, or one of the shape of Stable Diffusion 1.5."""
    if model == "mini":
        return load_base(STUDY)
    device, (unet, vae, text_encoder) = device_of(), stable_diffusion_shaped(pixels)
    dtype = DTYPES[precision_of(device)]
    scheduler = DPMSolverMultistepScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    made = StableDiffusionPipeline(
        vae, text_encoder, clip_tokenizer(), unet, scheduler, None, None, requires_safety_checker=False
    )
    made.unet.to(device, dtype, memory_format=torch.channels_last)
    made.text_encoder.to(device, dtype)
    made.vae.to(device)
    return made


def trained_like(pipeline: StableDiffusionPipeline) -> list[Adapter]:
    """Nine adapters whose B is not zero, of mixed ranks."""
    layers, g = target_layers(parts_of(pipeline), Training()), torch.Generator().manual_seed(0)
    fresh = [fresh_adapter(layers, variant, 0) for variant in NINE]
    return [
        Adapter(
            a.variant, {k: (down, 0.02 * torch.randn(up.shape, generator=g)) for k, (down, up) in a.weights.items()}
        )
        for a in fresh
    ]


class Bench:
    """The three sides over the same samples."""

    def __init__(self, model: str, pixels: int, samples: int, pairs: int, folder: Path) -> None:
        self.ours, self.theirs = pipeline_of(model, pixels), pipeline_of(model, pixels)
        self.theirs.unet.load_state_dict(self.ours.unet.state_dict())
        self.theirs.vae.load_state_dict(self.ours.vae.state_dict())
        self.theirs.text_encoder.load_state_dict(self.ours.text_encoder.state_dict())
        self.theirs.set_progress_bar_config(disable=True)
        self.adapters = [NOTHING, *trained_like(self.ours)]
        self.files = [folder / a.variant.name for a in self.adapters[1:]]
        for adapter, path in zip(self.adapters[1:], self.files, strict=True):
            write_weights(adapter, path / DIFFUSERS, "diffusers", {})
        self.batches = [tuple(wanted_samples(STUDY.sampling)[i * 5 : i * 5 + pairs]) for i in range(samples // pairs)]

    def diffusers(self) -> Tensor:
        """Latents, (arms, samples, c, h, w), one sample after another."""
        arms = []
        for file in (None, *self.files):
            if file:
                self.theirs.load_lora_weights(str(file), adapter_name=file.name)
            arms.append(torch.cat([self._theirs(batch) for batch in self.batches]))
            self.theirs.unload_lora_weights()
        return torch.stack(arms)

    def _theirs(self, batch: tuple[Wanted, ...]) -> Tensor:
        generators, settings = [torch.Generator().manual_seed(w.noise) for w in batch], STUDY.sampling
        latents = self.theirs(
            [w.prompt for w in batch], num_inference_steps=settings.num_inference_steps, output_type="latent",
            guidance_scale=settings.guidance_scale, generator=generators,
        ).images  # fmt: skip
        decode(self.theirs, latents)
        return latents

    def one_by_one(self) -> Tensor:
        """The same by ours."""
        self.texts = Texts(self.ours)
        return torch.cat([self._drawn([adapter]) for adapter in self.adapters])

    def pack(self) -> Tensor:
        """The same, all arms together."""
        self.texts = Texts(self.ours)
        return self._drawn(self.adapters)

    def _drawn(self, adapters: list[Adapter]) -> Tensor:
        drawing, found = Drawing(self.ours, adapters, STUDY.sampling, self.texts), []
        with Finisher(self.ours) as finisher:
            for batch in self.batches:
                found.append(drawing.latents(batch))
                finisher.decoded(found[-1].flatten(0, 1))
        return torch.cat(found, 1)


def ratio(slow: list[float], fast: list[float]) -> str:
    """The ratio of the medians, and the smallest and largest of a round."""
    each = [a / b for a, b in zip(slow, fast, strict=True)]
    return f"**{statistics.median(slow) / statistics.median(fast):.2f}×** ({min(each):.2f} … {max(each):.2f})"


def timed(side: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Seconds, and what came of them."""
    began = time.perf_counter()
    found = side().float().cpu()
    return time.perf_counter() - began, found


def main() -> None:
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("model", choices=("mini", "sd15"))
    top.add_argument("--pixels", type=int, default=512)
    top.add_argument("--samples", type=int, default=4, help="of each arm, a round")
    top.add_argument("--pairs", type=int, default=1, help="(prompt, seed) pairs at once")
    top.add_argument("--rounds", type=int, default=5)
    given = top.parse_args()
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    worst = 0.0
    with TemporaryDirectory() as folder:
        bench = Bench(given.model, given.pixels, given.samples, given.pairs, Path(folder))
        for number in range(given.rounds + 1):  # the first one warms up
            ran = [timed(side) for side in (bench.diffusers, bench.one_by_one, bench.pack)]
            worst = max(worst, *(float((ran[2][1] - own).abs().max()) for _, own in ran[:2]))
            for side, (took, _) in zip(SIDES, ran, strict=True):
                seconds[side] += [took] if number else []
    s, count = {side: statistics.median(took) for side, took in seconds.items()}, given.samples * 10
    ratios = " | ".join(ratio(seconds[side], seconds[SIDES[2]]) for side in SIDES[:2])
    each = " | ".join(f"{s[side] / count:.3f}" for side in SIDES)
    sys.stdout.write(
        f"{device_of().type}, {torch.get_num_threads()} threads, torch {torch.__version__}\n\n"
        f"| pairs at once | diffusers one by one / pack | ours one by one / pack | {', s a sample | '.join(SIDES)}, "
        f"s a sample | largest difference of a latent |\n{'|---' * 7}|\n"
        f"| {given.pairs} | {ratios} | {each} | {worst:.1e} |\n"
    )


if __name__ == "__main__":
    main()
