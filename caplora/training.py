"""Dataset + a pack of variants → adapters: a generator of steps; the notebook owns the bar and the plot.

Each variant gets exactly the training that it would get alone, on the same images, noise and timesteps. What a step
draws is a function of (seed, step, sample), made on the CPU: the same on any device, after any resume, in any pack.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from caplora.dataset import Inputs
from caplora.files import replacing
from caplora.lora import Pack
from caplora.study import Training


@dataclass(frozen=True)
class Step:
    """One optimiser step of the whole pack."""

    number: int  # steps done
    losses: Float[Tensor, " v"]  # mean squared error of the noise, per variant
    seconds: float  # spent training so far, earlier sessions included


@dataclass(frozen=True)
class Draw:
    """What one micro-batch of a step sees; the same for every variant."""

    images: Int[Tensor, " b"]  # indices of training images
    dropped: Float[Tensor, " b"]  # uniform; below the caption dropout the caption is the empty one
    t: Int[Tensor, " b"]
    posterior: Float[Tensor, "b c h w"]  # noise that resamples the latents from their moments
    noise: Float[Tensor, "b c h w"]


def generator_of(*key: int) -> torch.Generator:
    """A generator that is a function of its key."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def image_at(seed: int, position: int, count: int) -> int:
    """Which image stands at `position` of the endless row of epochs, each a fresh permutation."""
    epoch, place = divmod(position, count)
    return int(torch.randperm(count, generator=generator_of(seed, 0, epoch))[place])


def draw(seed: int, first_sample: int, batch: int, count: int, shape: tuple[int, int, int], timesteps: int) -> Draw:
    """The draw of samples `first_sample` … `first_sample + batch` of a training on `count` images."""
    samples = range(first_sample, first_sample + batch)
    generators = [generator_of(seed, 1, sample) for sample in samples]
    return Draw(
        images=torch.tensor([image_at(seed, sample, count) for sample in samples]),
        dropped=torch.cat([torch.rand(1, generator=g) for g in generators]),
        t=torch.cat([torch.randint(timesteps, (1,), generator=g) for g in generators]),
        posterior=torch.stack([torch.randn(shape, generator=g) for g in generators]),
        noise=torch.stack([torch.randn(shape, generator=g) for g in generators]),
    )


def pack_losses(
    unet: UNet2DConditionModel,
    variants: int,
    inputs: Inputs,
    drawn: Draw,
    noise_scheduler: DDPMScheduler,
    dropout: float,
    scale: float,
) -> Float[Tensor, " v"]:
    """Each variant's mean squared error on the draw, (V,): the UNet sees V·B images in one pass."""
    device = inputs.moments.device
    mean, log_variance = inputs.moments[drawn.images.to(device)].chunk(2, dim=1)
    latents = scale * (mean + (0.5 * log_variance).exp() * drawn.posterior.to(device))
    texts = inputs.texts[drawn.images.to(device)]
    dropped = (drawn.dropped.to(device) < dropout)[:, None, None]
    texts = torch.where(dropped, inputs.empty, texts)
    noise, t = drawn.noise.to(device), drawn.t.to(device)
    target = (
        noise_scheduler.get_velocity(latents, noise, t)
        if noise_scheduler.config.prediction_type == "v_prediction"
        else noise
    )
    noisy = noise_scheduler.add_noise(latents, noise, t).to(unet.dtype)
    seen = unet(noisy.repeat(variants, 1, 1, 1), t.repeat(variants), texts.to(unet.dtype).repeat(variants, 1, 1)).sample
    error = F.mse_loss(
        seen.float().view(variants, *target.shape), target.expand(variants, *target.shape), reduction="none"
    )
    return error.mean(dim=(1, 2, 3, 4))


def train(
    unet: UNet2DConditionModel,
    pack: Pack,
    inputs: Inputs,
    noise_scheduler: DDPMScheduler,
    settings: Training,
    latent_scale: float,
    folder: Path,
    precision: str = "no",
) -> Iterator[Step]:
    """Train every arm of `pack` on `inputs`, yielding after each optimiser step.

    The loss is the sum of per-variant means; gradients are clipped per variant. `folder` keeps the state: run again
    with the same settings and inputs, training goes on where it stopped. Raises FloatingPointError, naming the
    variant, when a loss or a gradient is no longer finite; the last checkpoint stays. In fp16 a step whose gradients
    overflow is skipped by the whole pack.
    """
    accelerator = Accelerator(mixed_precision=precision, cpu=inputs.moments.device.type == "cpu")
    state = restore(folder, pack, settings)
    optimizer = accelerator.prepare(state.optimizer)
    began = time.monotonic() - state.seconds
    while state.done < settings.steps:
        losses = torch.zeros(len(pack.flat))
        for drawn in draws_of_step(state.done, inputs, settings, noise_scheduler.config.num_train_timesteps):
            pack.lay()
            with accelerator.autocast():
                each = pack_losses(
                    unet, len(pack.flat), inputs, drawn, noise_scheduler, settings.caption_dropout, latent_scale
                )
            accelerator.backward(each.sum() / settings.gradient_accumulation_steps)
            losses += each.detach().float().cpu() / settings.gradient_accumulation_steps
        stop_if_not_finite(losses, "loss", pack, state.done + 1)
        accelerator.unscale_gradients(optimizer)
        norms = torch.stack([nn.utils.clip_grad_norm_(flat, settings.max_grad_norm) for flat in pack.flat])
        if accelerator.scaler is None:  # fp16 meets infinite gradients on its way to a scale, and skips the step
            stop_if_not_finite(norms, "gradient", pack, state.done + 1)
        optimizer.step()
        state.schedule.step()
        optimizer.zero_grad(set_to_none=True)
        state.advance(losses, time.monotonic() - began)
        if state.done % settings.checkpointing_steps == 0 or state.done == settings.steps:
            state.keep(folder, pack)
        yield Step(state.done, losses, state.seconds)
    pack.lay()


def draws_of_step(step: int, inputs: Inputs, settings: Training, timesteps: int) -> Iterator[Draw]:
    """The draws of a step's micro-batches."""
    count, channels = len(inputs.moments), inputs.moments.shape[1] // 2
    shape = (channels, *inputs.moments.shape[2:])
    for part in range(settings.gradient_accumulation_steps):
        first = (step * settings.gradient_accumulation_steps + part) * settings.batch_size
        yield draw(settings.seed, first, settings.batch_size, count, shape, timesteps)


def stop_if_not_finite(values: Tensor, what: str, pack: Pack, number: int) -> None:
    """Raise FloatingPointError naming the first variant whose value is NaN or infinite."""
    for arm, value in zip(pack.arms, values.tolist(), strict=True):
        if arm and not math.isfinite(value):
            raise FloatingPointError(
                f"the {what} of {arm.variant.name} is {value} at step {number}: lower training.learning_rate; "
                "the last checkpoint is kept"
            )


@dataclass
class State:
    """Where a training stands: what a checkpoint holds beside the weights."""

    optimizer: torch.optim.AdamW
    schedule: torch.optim.lr_scheduler.LRScheduler
    losses: list[Tensor]  # (V,) each step
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Steps done."""
        return len(self.losses)

    def advance(self, losses: Tensor, seconds: float) -> None:
        """Count one more step."""
        self.losses.append(losses)
        self.seconds = seconds

    def keep(self, folder: Path, pack: Pack) -> None:
        """Write the checkpoint beside the old one, sync it and put it in its place."""
        tensors = {f"flat.{i}": flat.detach().cpu().clone() for i, flat in enumerate(pack.flat)}
        for i, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adamw.{i}.{key}": value.cpu().clone() for key, value in moments.items()}
        tensors["losses"] = torch.stack(self.losses)
        with replacing(folder / "state.safetensors") as part:
            save_file(tensors, part, metadata={"seconds": repr(self.seconds)})


def restore(folder: Path, pack: Pack, settings: Training) -> State:
    """The state to train on from, and `pack` with its weights: the checkpoint in `folder`, or the beginning."""
    path = folder / "state.safetensors"
    pack.begin()
    kept = load_file(path) if path.is_file() else {"losses": torch.zeros(0, len(pack.flat))}
    done = len(kept["losses"])
    rate = settings.learning_rate
    optimizer = torch.optim.AdamW(
        [{"params": [flat], "lr": rate, "initial_lr": rate} for flat in pack.flat], weight_decay=settings.weight_decay
    )
    if done:
        moments: dict[int, dict[str, Tensor]] = {i: {} for i in range(len(pack.flat))}
        with torch.no_grad():
            for i, flat in enumerate(pack.flat):
                flat.copy_(kept[f"flat.{i}"])
                moments[i] = {key: kept[f"adamw.{i}.{key}"] for key in ("step", "exp_avg", "exp_avg_sq")}
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    schedule = get_scheduler(
        settings.lr_scheduler,
        optimizer,
        num_warmup_steps=settings.lr_warmup_steps,
        num_training_steps=settings.steps,
        last_epoch=done - 1,
    )
    return State(optimizer, schedule, list(kept["losses"]), seconds_of(path))


def seconds_of(path: Path) -> float:
    """The training time that a checkpoint has seen, 0 where there is none."""
    if not path.is_file():
        return 0.0
    with safe_open(path, framework="pt") as file:
        return float(file.metadata()["seconds"])


def training_key(settings: Training, pack: Pack, inputs: Inputs, base: str) -> str:
    """Names a training by everything that decides its result; a change of any of it is another training.

    `base` is the hash of the base model's weights.
    """
    parts = [
        settings.model_dump(exclude={"checkpointing_steps"}),
        [arm.variant.model_dump() if arm else None for arm in pack.arms],
        inputs.fingerprint(),
        base,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def losses_of(folder: Path) -> tuple[Float[Tensor, "steps v"], float]:
    """The loss of every step of every variant, and the seconds trained, from the checkpoint in `folder`."""
    path = folder / "state.safetensors"
    return load_file(path)["losses"], seconds_of(path)
