"""Base + adapters + prompts × seeds → samples: every arm of the comparison draws from the same noise.

Arms that lack the same samples draw them together, as one pack; an adapter that draws alone is merged into the base's
weights meanwhile. What files look like is in `samples.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.adapters import read_adapter, weights_file
from caplora.base import encode_texts, noise_of, parts_of, text_tokens
from caplora.checkpoints import file_hash
from caplora.dataset import weights_hash
from caplora.lora import NOTHING, Adapter, Pack, rescaled
from caplora.memory import even_packs
from caplora.merging import Merged
from caplora.samples import (
    DARKEST,
    Wanted,
    claim_folder,
    lacking,
    save_sample,
    scaled_samples,
    wanted_samples,
    write_table,
)
from caplora.settings import Prior, Sampling, Variant
from caplora.study import BASELINE, Study


@dataclass(frozen=True)
class Arm:
    """Who draws, what it draws and where that goes."""

    folder: Path  # its name is the arm's: baseline, a variant's name, or with a scale r4_a8@0.4
    adapter: Adapter
    wanted: tuple[Wanted, ...]
    made: Mapping[str, Any]  # everything beside prompt and seed that decides its pictures


@dataclass(frozen=True)
class Job:
    """Samples that some arms draw in one go."""

    arms: tuple[Arm, ...]
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class Drawn:
    """One wanted sample as the arms of a job drew it."""

    wanted: Wanted
    images: tuple[Image.Image, ...]  # one per arm


def initial_noise(noises: Sequence[int], shape: tuple[int, int, int]) -> Float[Tensor, "n c h w"]:
    """Unit noise, a function of the number alone, drawn on the CPU as diffusers does with `generator=`."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(n)) for n in noises])


@torch.no_grad()
def draw_batch(
    pipeline: StableDiffusionPipeline, arms: int, prompts: Sequence[str], noises: Sequence[int], settings: Sampling
) -> Float[Tensor, "a n c h w"]:
    """The latents that each of `arms` draws for the prompts, guidance batched (Ho and Salimans 2022).

    The UNet must carry a pack of `arms`, or nothing if there is one arm. `noises` are what diffusers takes as
    `generator=torch.Generator().manual_seed(…)`.
    """
    unet, scheduler, n = pipeline.unet, pipeline.scheduler, len(prompts)
    guided = settings.guidance_scale != 1
    texts = encode_texts(pipeline, ([""] * n * guided + [*prompts]) * arms).to(unet.dtype)  # (arms · 2n, 77, d)
    size = unet.config.sample_size
    noise = initial_noise(noises, (unet.config.in_channels, size, size)).to(unet.device)
    scheduler.set_timesteps(settings.num_inference_steps, device=unet.device)
    latents = noise.repeat(arms, 1, 1, 1, 1).view(arms, n, *noise.shape[1:]) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        rows = torch.stack([latents] * (1 + guided), 1).flatten(0, 2)  # (arms · 2 · n, c, h, w)
        rows = scheduler.scale_model_input(rows, t).to(unet.dtype)
        eps = unet(rows, t, texts).sample.float().view(arms, 1 + guided, n, *noise.shape[1:])
        if guided:
            eps[:, 1] = eps[:, 0] + settings.guidance_scale * (eps[:, 1] - eps[:, 0])
        latents = scheduler.step(eps[:, -1], t, latents).prev_sample
    return latents


@torch.no_grad()
def decode(pipeline: StableDiffusionPipeline, latents: Float[Tensor, "n c h w"]) -> tuple[list[Image.Image], list[str]]:
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


def wear(pipeline: StableDiffusionPipeline, adapters: Sequence[Adapter]) -> Pack | Merged:
    """Adapters to lay onto the pipeline and to lift again: one is merged into its weights, several are a pack.

    Weights of 16 bits would round a small change away, so there one is a pack too, unless it has convolutions.
    """
    linear = all(down.ndim == 2 for adapter in adapters for down, _ in adapter.weights.values())
    if len(adapters) == 1 and (pipeline.unet.dtype == torch.float32 or not linear):
        return Merged(pipeline, adapters[0])
    return Pack(parts_of(pipeline), adapters)


def study_arms(study: Study, variants: Sequence[Variant], pipeline: StableDiffusionPipeline) -> list[Arm]:
    """The baseline, the variants that have an adapter, and those at each of `sampling.scales`; their folders claimed.

    What lies there and was drawn otherwise is removed. Raises ValueError naming a prompt that does not fit.
    """
    text_tokens(pipeline, [prompt for suite in study.sampling.suites.values() for prompt in suite])
    key, settings = sampling_key(study.sampling, pipeline) | {"model": Path(study.base.path).name}, study.sampling
    arms = [Arm(study.samples(BASELINE), NOTHING, wanted_samples(settings), key | {"adapter": None})]
    trained = [v for v in variants if weights_file(study, v).is_file()]
    for scale in (1.0, *settings.scales):
        for variant in trained:
            file, name = weights_file(study, variant), variant.name if scale == 1 else f"{variant.name}@{scale:g}"
            adapter = {"name": file.stem, "scale": scale, "sha256": file_hash(file)}
            wanted = wanted_samples(settings) if scale == 1 else scaled_samples(settings)
            arms.append(
                Arm(study.samples(name), rescaled(read_adapter(file), scale), wanted, key | {"adapter": adapter})
            )
    for arm in arms:
        claim_folder(arm.folder, arm.wanted, dict(arm.made))
    return arms


def plan(arms: Sequence[Arm], settings: Sampling) -> list[Job]:
    """What the arms lack, as jobs of at most `batch_size` pictures; arms that lack the same draw it together."""
    lack: dict[Wanted, list[Arm]] = {}
    for arm in arms:
        for wanted in lacking(arm.folder, arm.wanted):
            lack.setdefault(wanted, []).append(arm)
    groups: dict[tuple[Path, ...], tuple[list[Arm], list[Wanted]]] = {}
    for wanted, own in lack.items():
        groups.setdefault(tuple(arm.folder for arm in own), (own, []))[1].append(wanted)
    jobs = []
    for own, missing in groups.values():
        for together in even_packs(own, settings.batch_size):
            size = settings.batch_size // len(together)
            jobs += [Job(together, tuple(missing[i : i + size])) for i in range(0, len(missing), size)]
    return jobs


def sample(pipeline: StableDiffusionPipeline, jobs: Sequence[Job], settings: Sampling) -> Iterator[list[Drawn]]:
    """Draw the jobs of a plan, yielding each once its pictures are on disk.

    One that does not fit into the memory of the device is halved; a single picture that does not raises
    torch.OutOfMemoryError.
    """
    for _, alike in groupby(jobs, key=lambda job: [arm.folder for arm in job.arms]):
        run = list(alike)
        adapters = wear(pipeline, [arm.adapter for arm in run[0].arms])
        for job in run:
            yield from draw_job(pipeline, adapters, job, settings)


def draw_job(
    pipeline: StableDiffusionPipeline, adapters: Pack | Merged, job: Job, settings: Sampling
) -> Iterator[list[Drawn]]:
    """Draw one job, in halves where it does not fit; the pipeline is the base model again when it yields."""
    arms = None
    try:
        arms = draw_arms(pipeline, adapters, job, settings)
    except torch.OutOfMemoryError:
        if len(job.arms) * len(job.wanted) == 1:
            raise
    if arms is None:  # only here, for an exception that is being handled keeps what did not fit
        torch.cuda.empty_cache()
        yield from sample(pipeline, halves(job), settings)
        return
    for arm, (images, flags) in zip(job.arms, arms, strict=True):
        for wanted, image, flag in zip(job.wanted, images, flags, strict=True):
            save_sample(image, flag, arm.folder, wanted, dict(arm.made))
    pictures = zip(*(images for images, _ in arms), strict=True)
    yield [Drawn(wanted, images) for wanted, images in zip(job.wanted, pictures, strict=True)]


def halves(job: Job) -> list[Job]:
    """A job as two: fewer samples if there are several, else fewer arms."""
    if len(job.wanted) > 1:
        return [Job(job.arms, half) for half in even_packs(job.wanted, -(-len(job.wanted) // 2))]
    return [Job(half, job.wanted) for half in even_packs(job.arms, -(-len(job.arms) // 2))]


def draw_arms(
    pipeline: StableDiffusionPipeline, adapters: Pack | Merged, job: Job, settings: Sampling
) -> list[tuple[list[Image.Image], list[str]]]:
    """What each arm of a job draws, in its order: pictures and flags as of `decode`."""
    prompts, noises = [w.prompt for w in job.wanted], [w.noise for w in job.wanted]
    try:
        adapters.lay()
        latents = draw_batch(pipeline, len(job.arms), prompts, noises, settings)
    finally:
        adapters.lift()
    return [decode(pipeline, arm) for arm in latents]


def write_tables(arms: Sequence[Arm]) -> None:
    """The metadata.csv of every arm; all pictures must be there."""
    for arm in arms:
        write_table(arm.folder, arm.wanted)


def draw_class_images(
    pipeline: StableDiffusionPipeline, folder: Path, prior: Prior, settings: Sampling
) -> Iterator[Path]:
    """What the base model draws for the class, the pictures of a prior; those that are there are not drawn again."""
    wanted = tuple(Wanted(prior.prompt, seed, "class", f"{seed:04d}.png") for seed in range(prior.images))
    arm = Arm(folder, NOTHING, wanted, sampling_key(settings, pipeline) | {"model": "", "adapter": None})
    claim_folder(folder, wanted, dict(arm.made))
    drawing = sample(pipeline, plan([arm], settings), settings)
    for w in wanted:
        while not (folder / w.file_name).is_file():
            next(drawing)
        yield folder / w.file_name


def sampling_key(settings: Sampling, pipeline: StableDiffusionPipeline) -> dict[str, Any]:
    """What decides a picture, beside adapter, prompt and seed: settings, the base's weights by their hashes, size."""
    weights = {name: weights_hash(getattr(pipeline, name)) for name in ("unet", "vae", "text_encoder")}
    return {
        "sampling": settings.model_dump(include={"num_inference_steps", "guidance_scale"}, mode="json"),
        "base": weights | noise_of(pipeline),
        "pixels": pipeline.unet.config.sample_size * pipeline.vae_scale_factor,
        "noise": "of prompt and seed",
    }
