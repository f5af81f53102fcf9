"""A training step of each side: diffusers' documented loop with peft, and ours; each on a base model of its own."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from bases import Portraits, inputs_of, pipeline_of
from diffusers import DDPMScheduler
from diffusers.optimization import get_scheduler
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from timing import Step
from torch import Tensor
from torch.utils.data import DataLoader

from caplora.lora.adapter import fresh_adapter
from caplora.lora.layers import linear_layers, target_layers
from caplora.lora.pack import Pack
from caplora.models.base import parts_of
from caplora.models.devices import device_of, precision_of
from caplora.study.training_settings import Training
from caplora.study.variants import TARGETS, Variant
from caplora.training.checkpoints import Checkpoints
from caplora.training.loop import Run

GRID = [Variant(rank=r, alpha=r * a) for r in (4, 8, 16) for a in (0.5, 1, 2)]
ONE = GRID[4]  # of rank 8, in the middle
NOWHERE = Path("nowhere")  # a step writes no checkpoint


def variants(count: int) -> list[Variant]:
    """So many different variants, of the ranks 4, 8 and 16 by turns; one alone is of rank 8."""
    mixed = [Variant(rank=rank, alpha=rank * (1 + i // 3) / 2) for i in range(count) for rank in [(4, 8, 16)[i % 3]]]
    return [ONE] if count == 1 else mixed


def the_accelerator() -> Accelerator:
    """accelerate as diffusers' example makes it; the first of a process decides for all, so ours comes after it."""
    device = device_of()
    return Accelerator(mixed_precision=precision_of(device), cpu=device.type == "cpu")


class Diffusers:
    """The loop of train_text_to_image_lora.py, from diffusers' documentation of it.

    Everything frozen is in the precision of training, the adapter in fp32. Images are decoded and captions put into
    tokens at every step, in this process, as is the example's default; VAE and text encoder run at every step; the loss
    is read back for the progress bar.
    """

    def __init__(self, base: str, pixels: int, batch: int, compiled: bool = False) -> None:
        self.accelerator, self.batch = the_accelerator(), batch
        pipeline = pipeline_of(base, pixels)
        unet, self.vae, self.text_encoder = pipeline.unet, pipeline.vae, pipeline.text_encoder
        self.dtype = unet.dtype
        if self.dtype != self.vae.dtype:
            self.vae.to(self.dtype)
        for part in (unet, self.vae):
            part.to(memory_format=torch.contiguous_format)  # channels_last is ours
        layers = list(linear_layers(unet, TARGETS["qv"]))  # the ones that our side trains
        adapter = {"r": ONE.rank, "lora_alpha": ONE.alpha, "init_lora_weights": "gaussian"}
        unet.add_adapter(LoraConfig(**adapter, target_modules=layers))
        cast_training_params(unet, torch.float32)
        self.weights = [p for p in unet.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(self.weights, lr=1e-4, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-8)
        loader = DataLoader(Portraits(pipeline, pixels), shuffle=True, batch_size=batch)
        schedule = get_scheduler("constant", optimizer)
        self.unet, self.optimizer, self.loader, self.schedule = self.accelerator.prepare(
            unet.train(), optimizer, loader, schedule
        )
        self.unet = torch.compile(self.unet) if compiled else self.unet
        self.noise = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.batches = self._batches()
        self.loss = 0.0

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        while True:
            yield from self.loader

    def load(self) -> dict[str, Tensor]:
        """The next batch, on the device."""
        return next(self.batches)

    def step(self) -> None:
        """One step."""
        batch = self.load()
        with self.accelerator.accumulate(self.unet):
            with torch.no_grad():  # nothing of them is trained; the example leaves that to requires_grad
                latents = self.vae.encode(batch["pixel_values"].to(self.dtype)).latent_dist.sample()
                texts = self.text_encoder(batch["input_ids"], return_dict=False)[0]
            latents = latents * self.vae.config.scaling_factor
            noise = torch.randn_like(latents)
            t = torch.randint(0, self.noise.config.num_train_timesteps, (len(latents),), device=latents.device)
            noisy = self.noise.add_noise(latents, noise, t.long())
            seen = self.unet(noisy, t, texts, return_dict=False)[0]
            loss = F.mse_loss(seen.float(), noise.float(), reduction="mean")
            self.loss = self.accelerator.gather(loss.repeat(self.batch)).mean().item()
            self.accelerator.backward(loss)
            if self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.weights, 1.0)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad()


def our_run(
    base: str, pixels: int, own: list[Variant], batch: int, compiled: bool = False, recorded: bool = True
) -> Run:
    """Variants of ours in training, one or a pack.

    `recorded`: on a card the step is recorded as CUDA graphs, as it is by itself; or else not.
    """
    the_accelerator()
    pipeline = pipeline_of(base, pixels)
    settings, host = Training(batch_size=batch, compile=compiled), parts_of(pipeline)
    pack = Pack(host, [fresh_adapter(target_layers(host, settings), v, 0) for v in own])
    run = Run(pipeline, pack, inputs_of(base, pixels), settings, [Checkpoints(NOWHERE / v.name) for v in own])
    if not recorded:
        without_graphs(run)
    return run


def without_graphs(run: Run) -> None:
    """Have a card's passes and updates called, not replayed; it must not have taken a step yet."""
    for own in getattr(run, "recorded", {}).values():
        own.records = False


def steps_of(run: Run) -> Step:
    """Its steps, one at each call."""
    numbers = itertools.count()
    return lambda: run.optimise(next(numbers))
