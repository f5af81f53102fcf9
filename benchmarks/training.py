"""How fast a pack trains, beside what people do otherwise: one table, both sides in one run, ratios first.

    python benchmarks/training.py mini                 # the miniature Stable Diffusion, on any machine
    python benchmarks/training.py sd15 --pixels 384    # the shape of Stable Diffusion 1.5, random weights, on a GPU

(a) The plain loop of diffusers' example (peft adapter; VAE and text encoder at every step) against one variant of ours.
(b) Nine variants one after another, each as fast as we can make it, against one pack of nine.
Sides take turns, five rounds; a figure is the median round. Memory is the largest of a process of its own for each side
on a CPU, the largest that torch allocated on a GPU. The arithmetic of a step (torch's FlopCounter) over its time is
shown as a share of the rate at which the machine multiplies large matrices.
"""

import argparse
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from caplora.lora.adapter import fresh_adapter
from caplora.lora.layers import linear_layers, target_layers
from caplora.lora.pack import Pack
from caplora.models.base import load_base, parts_of
from caplora.models.devices import DTYPES, device_of, precision_of
from caplora.study.study import read_study
from caplora.study.training_settings import Training
from caplora.study.variants import TARGETS, Variant
from caplora.training.checkpoints import Checkpoints
from caplora.training.inputs import Inputs
from caplora.training.loop import Run

NINE = [Variant(rank=r, alpha=r * a) for r in (4, 8, 16) for a in (0.5, 1, 2)]
ROUNDS, IMAGES = 5, 16
SIDES = ("plain", "one", "pack")


class Parts:
    """What a side trains on: the models as a pipeline has them, random pictures and token ids."""

    def __init__(self, model: str, pixels: int) -> None:
        self.device = device_of()
        if model == "mini":
            pipeline = load_base(read_study("mini"))
            self.unet, self.vae, self.text_encoder = pipeline.unet, pipeline.vae, pipeline.text_encoder
            self.scheduler, pixels = pipeline.scheduler, 128
        else:
            self.unet, self.vae, self.text_encoder = stable_diffusion_shaped(pixels)
            self.scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
            dtype = DTYPES[precision_of(self.device)]
            self.unet.to(self.device, dtype)
            if self.device.type == "cuda":
                self.unet.to(memory_format=torch.channels_last)
            self.text_encoder.to(self.device, dtype)
            self.vae.to(self.device)
        g = torch.Generator().manual_seed(0)
        self.pixels = torch.rand(IMAGES, 3, pixels, pixels, generator=g).to(self.device) * 2 - 1
        self.ids = torch.randint(3, 300, (IMAGES, 77), generator=g).to(self.device)

    @property
    def pipeline(self) -> StableDiffusionPipeline:
        """The parts as our trainer takes them."""
        made = StableDiffusionPipeline(
            self.vae, self.text_encoder, None, self.unet, self.scheduler, None, None, requires_safety_checker=False
        )
        made.set_progress_bar_config(disable=True)
        return made

    @torch.no_grad()
    def inputs(self) -> Inputs:
        """The moments and embeddings, made once."""
        moments = torch.cat([self.vae.encode(x[None]).latent_dist.parameters for x in self.pixels])[:, None]
        texts = torch.cat([self.text_encoder(ids[None]).last_hidden_state for ids in self.ids])
        return Inputs({str(i): {} for i in range(IMAGES)}, moments, texts, texts[0])


def stable_diffusion_shaped(pixels: int) -> tuple[UNet2DConditionModel, AutoencoderKL, CLIPTextModel]:
    """The models of Stable Diffusion 1.5 with random weights; their speed is that of the trained ones."""
    unet = UNet2DConditionModel(sample_size=pixels // 8, cross_attention_dim=768, attention_head_dim=8)
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    )
    text = CLIPTextModel(
        CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    )
    for part in (unet, vae, text):
        part.requires_grad_(False).eval()
    return unet, vae, text


def plain(parts: Parts, batch: int) -> Callable[[], None]:
    """A step as diffusers' train_text_to_image_lora.py takes it: peft, VAE and text encoder every time."""
    names = list(linear_layers(parts.unet, TARGETS["qv"]))
    parts.unet.add_adapter(LoraConfig(r=8, lora_alpha=8, target_modules=names))
    weights = [p for p in parts.unet.parameters() if p.requires_grad]
    for weight in weights:
        weight.data = weight.data.float()
    optimizer = torch.optim.AdamW(weights, lr=1e-4)
    scheduler = DDPMScheduler.from_config(parts.scheduler.config)
    precision = precision_of(parts.device)

    def step() -> None:
        index = torch.randint(IMAGES, (batch,), device=parts.device)
        with torch.no_grad():
            latents = parts.vae.encode(parts.pixels[index]).latent_dist.sample() * parts.vae.config.scaling_factor
            texts = parts.text_encoder(parts.ids[index]).last_hidden_state
        noise = torch.randn_like(latents)
        t = torch.randint(1000, (batch,), device=parts.device)
        noisy = scheduler.add_noise(latents, noise, t).to(parts.unet.dtype)
        with torch.autocast(parts.device.type, DTYPES[precision], enabled=precision != "no"):
            seen = parts.unet(noisy, t, texts.to(parts.unet.dtype)).sample
        F.mse_loss(seen.float(), noise).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def ours(parts: Parts, variants: list[Variant], batch: int, compile_unet: bool = False) -> Callable[[], None]:
    """A step of a pack."""
    settings = Training(batch_size=batch, compile=compile_unet)
    host = parts_of(parts.pipeline)
    pack = Pack(host, [fresh_adapter(target_layers(host, settings), v, 0) for v in variants])
    with TemporaryDirectory() as folder:
        places = [Checkpoints(Path(folder) / v.name) for v in variants]
    run = Run(parts.pipeline, pack, parts.inputs(), settings, places)
    done = iter(range(10**9))
    return lambda: run.optimise(next(done))


def seconds(step: Callable[[], None], steps: int) -> float:
    """Of one step, the mean over `steps`."""
    began = time.perf_counter()
    for _ in range(steps):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def turns(sides: dict[str, Callable[[], None]], steps: int) -> dict[str, float]:
    """Seconds a step of each side, the median of rounds in which each has its turn."""
    for step in sides.values():
        seconds(step, 2)
    rounds = [{name: seconds(step, steps) for name, step in sides.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(r[name] for r in rounds) for name in sides}


def arithmetic(step: Callable[[], None]) -> int:
    """Floating-point operations of one step."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def matrix_rate(side: int = 2048) -> float:
    """Operations per second of the product of two large matrices in the precision of training, the best of ten."""
    device = device_of()
    dtype = DTYPES[precision_of(device)]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in "ab")
    return 2 * side**3 / min(seconds(lambda: a @ b, 10) for _ in range(10))


def peak(model: str, pixels: int, side: str, batch: int) -> float:
    """The largest memory of a side, in GB, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (model, pixels, side, batch))


def _peak(model: str, pixels: int, side: str, batch: int) -> float:
    parts = Parts(model, pixels)
    step = {
        "plain": lambda: plain(parts, batch),
        "one": lambda: ours(parts, NINE[4:5], batch),
        "pack": lambda: ours(parts, NINE, batch),
    }[side]()
    seconds(step, 3)
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def rows(model: str, pixels: int, steps: int, compile_unet: bool) -> Iterator[str]:
    """The table, row by row."""
    rate = matrix_rate()
    yield f"Large matrices: {rate / 1e9:,.0f} GFLOP/s.\n"
    heads = ["batch", "(a) plain loop / one variant", "(b) nine, one by one / a pack of nine"]
    heads += [f"{side}, share of the matrix rate" for side in SIDES[1:]]
    heads += [f"{side}, ms a step" for side in SIDES] + [f"{side}, GB" for side in SIDES]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for batch in (1, 4):
        memory = [peak(model, pixels, side, batch) for side in SIDES]
        theirs = Parts(model, pixels)
        sides = {f"rank {v.rank}": ours(Parts(model, pixels), [v], batch, compile_unet) for v in NINE[1::3]}
        sides |= {"plain": plain(theirs, batch), "pack": ours(Parts(model, pixels), NINE, batch, compile_unet)}
        s = turns(sides, steps)
        s |= {"one": s["rank 8"], "nine": 3 * sum(s[f"rank {rank}"] for rank in (4, 8, 16))}  # three alphas of each
        share = {name: arithmetic(sides["rank 8" if name == "one" else name]) / s[name] / rate for name in SIDES[1:]}
        yield (
            f"| {batch} | **{s['plain'] / s['one']:.2f}×** | **{s['nine'] / s['pack']:.2f}×** |"
            + "".join(f" {share[name]:.0%} |" for name in SIDES[1:])
            + "".join(f" {1000 * s[name]:.1f} |" for name in SIDES)
            + "".join(f" {gb:.2f} |" for gb in memory)
        )


def main() -> None:
    """Print the machine and the table."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("model", choices=("mini", "sd15"))
    top.add_argument("--pixels", type=int, default=384)
    top.add_argument("--steps", type=int, default=20, help="a side's turn")
    top.add_argument("--compile", action="store_true", help="torch.compile our UNets, the sequential side's too")
    given = top.parse_args()
    machine = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    )
    print(f"{given.model}, {machine}, torch {torch.__version__}\n", flush=True)
    for row in rows(given.model, given.pixels, given.steps, given.compile):
        print(row, flush=True)


if __name__ == "__main__":
    main()
