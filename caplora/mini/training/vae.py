"""The autoencoder of the mini stack: pictures of 128 × 128 ↔ latents of 16 × 16 × 8; it is trained on every style."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from numpy.typing import NDArray
from torch import Tensor

from caplora.mini.training.fitting import as_pixels, batch_of, device_of, fit
from caplora.mini.world import Pictures


def new_vae() -> AutoencoderKL:
    """An untrained AutoencoderKL whose latents are eight times smaller in each direction."""
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 96),
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=4,
        sample_size=128,
    ).to(memory_format=torch.channels_last)


def train_vae(
    vae: AutoencoderKL, pictures: Pictures, steps: int, folder: Path, batch: int = 8
) -> Iterator[tuple[int, float]]:
    """Train the autoencoder to reconstruct crops of 64 × 64 on the grid of the latents; yields (step, loss)."""
    images, device = torch.from_numpy(pictures.images), device_of(vae)

    def loss(generator: torch.Generator) -> Tensor:
        x = crops(images, batch, generator).to(device)
        posterior = vae.encode(x).latent_dist
        latents = noisy_latents(posterior, generator)
        return reconstruction_loss(vae.decode(latents).sample, x) + 2e-6 * posterior.kl().mean() / 64

    yield from fit(vae, loss, steps, 1.5e-3, folder)


def train_decoder(
    vae: AutoencoderKL, pictures: Pictures, steps: int, folder: Path, batch: int = 8
) -> Iterator[tuple[int, float]]:
    """Train the decoder alone, so that the latents the UNet learned from stay as they are; yields (step, loss)."""
    images, device = torch.from_numpy(pictures.images), device_of(vae)
    for part in (vae.encoder, vae.quant_conv):
        part.requires_grad_(False)

    def loss(generator: torch.Generator) -> Tensor:
        x = crops(images, batch, generator).to(device)
        with torch.no_grad():
            latents = noisy_latents(vae.encode(x).latent_dist, generator)
        return reconstruction_loss(vae.decode(latents).sample, x)

    yield from fit(vae, loss, steps, 8e-4, folder, seed=1)


def crops(images: Tensor, batch: int, generator: torch.Generator) -> Tensor:
    """Crops of 64 × 64 whose corner lies on the grid of the latents, (batch, 3, 64, 64)."""
    top, left = (8 * torch.randint(9, (2,), generator=generator)).tolist()
    index = batch_of(generator, len(images), batch)
    return as_pixels(images[index, top : top + 64, left : left + 64])


def noisy_latents(posterior: DiagonalGaussianDistribution, generator: torch.Generator) -> Tensor:
    """Latents drawn at random from the posterior."""
    noise = torch.randn(posterior.mean.shape, generator=generator).to(posterior.mean.device)
    return posterior.mean + posterior.std * noise


def reconstruction_loss(y: Tensor, x: Tensor) -> Tensor:
    """Mean absolute plus twice the mean squared error: the first keeps edges sharp, the second avoids large errors."""
    return F.l1_loss(y, x) + 2.0 * F.mse_loss(y, x)


@torch.no_grad()
def set_scaling(vae: AutoencoderKL, pictures: Pictures, count: int = 512) -> None:
    """Set the scaling factor that gives the latents unit variance, as in SD."""
    x = as_pixels(torch.from_numpy(pictures.images[:count]))
    latents = torch.cat([vae.encode(part.to(device_of(vae))).latent_dist.mean for part in x.split(64)])
    vae.register_to_config(scaling_factor=1.0 / float(latents.std()))


@torch.no_grad()
def reconstructed(vae: AutoencoderKL, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pictures (n, 128, 128, 3), encoded and decoded again."""
    x = as_pixels(torch.from_numpy(images)).to(device_of(vae))
    y = vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
    return ((y + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


@torch.no_grad()
def psnr(vae: AutoencoderKL, pictures: Pictures) -> Tensor:
    """Peak signal-to-noise ratio of each picture's reconstruction, dB, (n,)."""
    values = []
    for part in torch.from_numpy(pictures.images).split(64):
        x = as_pixels(part).to(device_of(vae))
        error = (vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1) - x).square().mean((1, 2, 3))
        values.append(10 * torch.log10(4 / error.cpu()))
    return torch.cat(values)
