"""Captioned images → what training sees: VAE moments and text embeddings, made once and resident on the device."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Float
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from caplora.files import replacing


@dataclass(frozen=True)
class Inputs:
    """The training images as the UNet meets them, in the order of `file_names`.

    `moments` holds the mean and log-variance of each image's latents, so that they can be resampled at every step.
    """

    file_names: tuple[str, ...]
    moments: Float[Tensor, "n c h w"]  # c = 2 × latent channels
    texts: Float[Tensor, "n tokens d"]
    empty: Float[Tensor, "tokens d"]  # the embedding of ""

    def fingerprint(self) -> str:
        """A hash of everything that is trained on."""
        digest = hashlib.sha256(json.dumps(self.file_names).encode())
        for part in (self.moments, self.texts, self.empty):
            digest.update(part.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()


def weights_hash(module: torch.nn.Module) -> str:
    """A hash of a module's weights and their dtype."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name}{value.dtype}".encode())
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def pixels_of(image: Image.Image) -> Float[Tensor, "3 h w"]:
    """An RGB image as floats in −1 … 1."""
    return pil_to_tensor(image.convert("RGB")).float() / 127.5 - 1


def image_key(image: Image.Image, vae: str) -> str:
    """The name of an image's moments: its pixels, its size and the VAE, hashed."""
    pixels = np.asarray(image.convert("RGB"))
    return hashlib.sha256(f"{vae}{pixels.shape}".encode() + pixels.tobytes()).hexdigest()[:32]


@torch.no_grad()
def cached_moments(
    vae: AutoencoderKL, paths: Sequence[Path], cache: Path, batch_size: int = 8
) -> Iterator[Float[Tensor, "b c h w"]]:
    """The latent moments of the images, batch by batch; those in `cache` (by content) are not made again."""
    key = weights_hash(vae)
    for start in range(0, len(paths), batch_size):
        images = [Image.open(path) for path in paths[start : start + batch_size]]
        files = [cache / f"{image_key(image, key)}.safetensors" for image in images]
        missing = [(image, file) for image, file in zip(images, files, strict=True) if not file.is_file()]
        if missing:
            x = torch.stack([pixels_of(image) for image, _ in missing]).to(vae.device, vae.dtype)
            for made, (_, file) in zip(vae.encode(x).latent_dist.parameters.cpu(), missing, strict=True):
                with replacing(file) as part:
                    save_file({"moments": made.contiguous()}, part)
        yield torch.stack([load_file(file)["moments"] for file in files]).to(vae.device)
