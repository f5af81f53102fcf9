"""Adapters + prompts + noise → latents → pictures: the denoising loop with classifier-free guidance.

Several adapters draw together as a pack. One that draws alone is merged into the base's weights meanwhile.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.lora import Adapter, Merged, Pack
from caplora.models import Pipeline, base_hashes, conditions, encode_texts, noise_of, parts_of
from caplora.sampling.samples import DARKEST
from caplora.study import Sampling


def initial_noise(noises: Sequence[int], shape: tuple[int, int, int]) -> Float[Tensor, "n c h w"]:
    """Unit noise, a function of the number alone, drawn on the CPU as diffusers does with `generator=`."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(n)) for n in noises])


@torch.no_grad()
def draw_batch(
    pipeline: Pipeline, arms: int, prompts: Sequence[str], noises: Sequence[int], settings: Sampling
) -> Float[Tensor, "a n c h w"]:
    """The latents that each of `arms` draws for the prompts, guidance batched (Ho and Salimans 2022).

    The UNet must carry a pack of `arms`, or nothing if there is one arm. `noises` are what diffusers takes as
    `generator=torch.Generator().manual_seed(…)`.
    """
    unet, scheduler, n = pipeline.unet, pipeline.scheduler, len(prompts)
    guided = settings.guidance_scale != 1
    texts = encode_texts(pipeline, ([""] * n * guided + [*prompts]) * arms).to(unet.dtype)  # (arms · 2n, rows, d)
    told = conditions(pipeline, texts)
    size = unet.config.sample_size
    noise = initial_noise(noises, (unet.config.in_channels, size, size)).to(unet.device)
    scheduler.set_timesteps(settings.num_inference_steps, device=unet.device)
    latents = noise.repeat(arms, 1, 1, 1, 1).view(arms, n, *noise.shape[1:]) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        rows = torch.stack([latents] * (1 + guided), 1).flatten(0, 2)  # (arms · 2 · n, c, h, w)
        rows = scheduler.scale_model_input(rows, t).to(unet.dtype)
        eps = unet(rows, t, **told).sample.float().view(arms, 1 + guided, n, *noise.shape[1:])
        if guided:
            eps[:, 1] = eps[:, 0] + settings.guidance_scale * (eps[:, 1] - eps[:, 0])
        latents = scheduler.step(eps[:, -1], t, latents).prev_sample
    return latents


@torch.no_grad()
def decode(pipeline: Pipeline, latents: Float[Tensor, "n c h w"]) -> tuple[list[Image.Image], list[str]]:
    """The pictures of the latents, and of each why it cannot be scored: "not finite", "black", or nothing.

    What is not finite is drawn black.
    """
    vae = pipeline.vae
    images = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
    finite = torch.isfinite(images).flatten(1).all(1) & torch.isfinite(latents).flatten(1).all(1)
    images = torch.where(finite[:, None, None, None], images, -1.0)
    pixels = ((images / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    black = ["black" if picture.max() <= DARKEST else "" for picture in pixels]
    flags = [dark if own else "not finite" for own, dark in zip(finite.tolist(), black, strict=True)]
    return [Image.fromarray(picture) for picture in pixels], flags


def wear(pipeline: Pipeline, adapters: Sequence[Adapter]) -> Pack | Merged:
    """Adapters to lay onto the pipeline and to lift again: one is merged into its weights, several are a pack.

    Weights of 16 bits would round a small change away, so there one is a pack too, unless it has convolutions.
    """
    linear = all(down.ndim == 2 for adapter in adapters for down, _ in adapter.weights.values())
    if len(adapters) == 1 and (pipeline.unet.dtype == torch.float32 or not linear):
        return Merged(pipeline, adapters[0])
    return Pack(parts_of(pipeline), adapters)


def sampling_key(settings: Sampling, pipeline: Pipeline) -> dict[str, Any]:
    """What decides a picture, beside adapter, prompt and seed: settings, the base's weights by their hashes, size."""
    return {
        "sampling": settings.model_dump(include={"num_inference_steps", "guidance_scale"}, mode="json"),
        "base": base_hashes(pipeline) | noise_of(pipeline),
        "pixels": pipeline.unet.config.sample_size * pipeline.vae_scale_factor,
        "noise": "of prompt and seed",
    }
