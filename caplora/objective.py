"""What one step sees and how far off the model is: draws, noise, targets and the loss of every variant."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.training_utils import compute_snr
from jaxtyping import Bool, Float, Int
from torch import Tensor

from caplora.base import encode_tokens
from caplora.dataset import Inputs
from caplora.seeds import generator_of
from caplora.settings import Training

IMAGES, PRIOR = 1, 2  # the streams of samples that a training draws from


@dataclass(frozen=True)
class Draw:
    """What some rows of a pass see; a row is a sample of one variant."""

    images: Int[Tensor, " n"]  # indices of training images
    texts: Int[Tensor, " n"]  # indices of texts
    flipped: Bool[Tensor, " n"]
    dropped: Bool[Tensor, " n"]  # whose caption is the empty one
    t: Int[Tensor, " n"]
    posterior: Float[Tensor, "n c h w"]  # noise that resamples the latents from their moments
    noise: Float[Tensor, "n c h w"]
    weights: Float[Tensor, " n"]  # of the row's loss in its variant's

    @staticmethod
    def concatenated(draws: Sequence["Draw"]) -> "Draw":
        """The rows of several draws."""
        return Draw(*(torch.cat([getattr(d, field) for d in draws]) for field in Draw.__annotations__))

    def captioned(self, first: int) -> "Draw":
        """The same rows, seen with the texts of their images that begin at `first`."""
        return replace(self, texts=self.images + first)


def image_at(seed: int, stream: int, position: int, count: int) -> int:
    """Which image stands at `position` of the endless row of epochs, each a fresh permutation."""
    epoch, place = divmod(position, count)
    return int(torch.randperm(count, generator=generator_of(seed, "epoch", stream, epoch))[place])


def draw_samples(
    settings: Training, inputs: Inputs, samples: Sequence[int], timesteps: int, stream: int = IMAGES
) -> Draw:
    """The rows of `samples`, numbered from the first step on: each a function of the seed and its number alone."""
    shape = (inputs.moments.shape[2] // 2, *inputs.moments.shape[3:])
    count, first = (len(inputs), 0) if stream == IMAGES else (inputs.class_images, len(inputs))
    generators = [generator_of(settings.seed, "sample", stream, sample) for sample in samples]
    chances = torch.stack([torch.rand(2, generator=g) for g in generators])
    t = torch.cat([torch.randint(timesteps, (1,), generator=g) for g in generators])
    posterior = torch.stack([torch.randn(shape, generator=g) for g in generators])
    noise = torch.stack([torch.randn(shape, generator=g) for g in generators])
    if settings.noise_offset:
        noise += settings.noise_offset * torch.stack([torch.randn(shape[0], 1, 1, generator=g) for g in generators])
    images = torch.tensor([first + image_at(settings.seed, stream, s, count) for s in samples])
    return Draw(
        images=images,
        texts=images,
        flipped=chances[:, 0] < (0.5 if inputs.moments.shape[1] == 2 else 0.0),
        dropped=chances[:, 1] < settings.caption_dropout,
        t=t,
        posterior=posterior,
        noise=noise,
        weights=torch.full((len(samples),), settings.prior.weight if settings.prior and stream == PRIOR else 1.0),
    )


def draw_micro_batch(
    settings: Training, inputs: Inputs, number: int, process: int, processes: int, timesteps: int
) -> Draw:
    """What one process sees of micro-batch `number` of a variant trained as `settings` say, the prior's images last."""
    first = number * settings.batch_size
    samples = range(first + process, first + settings.batch_size, processes)
    own = draw_samples(settings, inputs, samples, timesteps)
    if not settings.prior:
        return own
    return Draw.concatenated([own, draw_samples(settings, inputs, samples, timesteps, PRIOR)])


def draw_validation(settings: Training, inputs: Inputs, each: int, timesteps: int) -> Draw:
    """Fixed rows for held-out images: every image `each` times, its timesteps spread over the whole schedule."""
    shape = (inputs.moments.shape[2] // 2, *inputs.moments.shape[3:])
    count = len(inputs) * each
    g = generator_of(settings.seed, "validation")
    places = (torch.arange(each).repeat(len(inputs)) + torch.rand(count, generator=g)) / each
    images = torch.arange(len(inputs)).repeat_interleave(each)
    return Draw(
        images=images,
        texts=images,
        flipped=torch.zeros(count, dtype=torch.bool),
        dropped=torch.zeros(count, dtype=torch.bool),
        t=(places * timesteps).long(),
        posterior=torch.randn(count, *shape, generator=g),
        noise=torch.randn(count, *shape, generator=g),
        weights=torch.ones(count),
    )


class Objective:
    """The loss of a base model on rows of inputs, as a study's training settings say."""

    def __init__(self, pipeline: StableDiffusionPipeline, settings: Training) -> None:
        self.pipeline, self.settings = pipeline, settings
        self.unet = torch.compile(pipeline.unet) if settings.compile else pipeline.unet
        self.scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.scaling = pipeline.vae.config.scaling_factor
        self.timesteps = self.scheduler.config.num_train_timesteps
        self.velocity = self.scheduler.config.prediction_type == "v_prediction"

    def row_losses(self, inputs: Inputs, drawn: Draw) -> Float[Tensor, " n"]:
        """The mean squared error of what the UNet predicts for each row, times what min-SNR-γ gives its timestep."""
        dtype, device = self.pipeline.unet.dtype, inputs.moments.device
        index, t, noise = drawn.images.to(device), drawn.t.to(device), drawn.noise.to(device)
        mean, log_variance = inputs.moments[index, drawn.flipped.long().to(device)].float().chunk(2, dim=1)
        latents = self.scaling * (mean + (0.5 * log_variance).exp() * drawn.posterior.to(device))
        noisy = self.scheduler.add_noise(latents, noise, t).to(dtype)
        texts = self.texts(inputs, drawn.texts.to(device), drawn.dropped.to(device)).to(dtype)
        seen = self.unet(noisy, t, texts).sample.float()
        target = self.scheduler.get_velocity(latents, noise, t) if self.velocity else noise
        return F.mse_loss(seen, target, reduction="none").mean((1, 2, 3)) * self.snr_weights(t)

    def texts(
        self, inputs: Inputs, index: Int[Tensor, " n"], dropped: Bool[Tensor, " n"]
    ) -> Float[Tensor, "n tokens d"]:
        """The text embedding of each row; computed here where the text encoder is trained."""
        kept = inputs.texts[index]
        kept = torch.where(dropped.view(-1, *[1] * (kept.ndim - 1)), inputs.empty, kept)
        return kept if kept.is_floating_point() else encode_tokens(self.pipeline, kept)

    def snr_weights(self, t: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """min(SNR, γ) / SNR for the noise, / (SNR + 1) for the velocity (Hang et al. 2023, section 3.4); or ones."""
        gamma = self.settings.snr_gamma
        if gamma is None:
            return torch.ones(len(t), device=t.device)
        snr = compute_snr(self.scheduler, t)
        return snr.clamp(max=gamma) / (snr + 1 if self.velocity else snr)
