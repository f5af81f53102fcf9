"""Base + adapters + prompts × seeds → samples: every arm of the comparison draws from the same noise."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from jaxtyping import Float
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from caplora.base import encode_texts, noise_of
from caplora.dataset import weights_hash
from caplora.files import replacing, write_text
from caplora.lora import Pack
from caplora.settings import Prior, Sampling

COLUMNS = ("file_name", "text", "seed", "split")


@dataclass(frozen=True)
class Wanted:
    """One sample that every arm draws."""

    file_name: str
    prompt: str
    seed: int
    split: str  # development, test, edits or unrelated


def wanted_samples(settings: Sampling) -> list[Wanted]:
    """Every prompt with every seed, in the study's order."""
    prompts = [(prompt, split) for split, suite in settings.suites.items() for prompt in suite]
    return [
        Wanted(f"{number:03d}_{seed}.png", prompt, seed, split)
        for number, (prompt, split) in enumerate(prompts)
        for seed in settings.seeds
    ]


def initial_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> Float[Tensor, "n c h w"]:
    """Unit noise, a function of the seed alone, drawn on the CPU as diffusers does with `generator=`."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@torch.no_grad()
def draw_batch(
    pipeline: StableDiffusionPipeline, arms: int, prompts: list[str], seeds: Sequence[int], settings: Sampling
) -> Float[Tensor, "a n c h w"]:
    """The latents that each of `arms` draws for the prompts, guidance batched (Ho and Salimans 2022).

    The UNet must carry a pack of `arms`, or nothing if there is one arm.
    """
    unet, scheduler, n = pipeline.unet, pipeline.scheduler, len(prompts)
    texts = encode_texts(pipeline, ([""] * n + prompts) * arms).to(unet.dtype)  # (arms · 2n, 77, d)
    size = unet.config.sample_size
    noise = initial_noise(seeds, (unet.config.in_channels, size, size)).to(unet.device)
    scheduler.set_timesteps(settings.num_inference_steps, device=unet.device)
    latents = noise.repeat(arms, 1, 1, 1, 1).view(arms, n, *noise.shape[1:]) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        twice = torch.stack([latents, latents], 1).flatten(0, 2)  # (arms · 2 · n, c, h, w)
        twice = scheduler.scale_model_input(twice, t).to(unet.dtype)
        eps = unet(twice, t, texts).sample.float().view(arms, 2, n, *noise.shape[1:])
        guided = eps[:, 0] + settings.guidance_scale * (eps[:, 1] - eps[:, 0])
        latents = scheduler.step(guided, t, latents).prev_sample
    return latents


@torch.no_grad()
def decode(pipeline: StableDiffusionPipeline, latents: Float[Tensor, "n c h w"]) -> list[Image.Image]:
    """The pictures of the latents; one that is not finite raises FloatingPointError."""
    vae = pipeline.vae
    images = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
    if not torch.isfinite(images).all():
        raise FloatingPointError("the decoder gave values that are not finite; is the VAE in fp16?")
    pixels = ((images / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(picture) for picture in pixels]


def draw_pictures(
    pipeline: StableDiffusionPipeline, arms: int, prompts: list[str], seeds: Sequence[int], settings: Sampling
) -> list[list[Image.Image]]:
    """What each of `arms` draws for the prompts, as of `draw_batch`."""
    return [decode(pipeline, arm) for arm in draw_batch(pipeline, arms, prompts, seeds, settings)]


@dataclass(frozen=True)
class Drawn:
    """One wanted sample as every arm drew it."""

    wanted: Wanted
    images: tuple[Image.Image, ...]  # one per arm


def is_complete(folder: Path, settings: Sampling) -> bool:
    """Whether every sample of the study is in the folder, and their table."""
    return (folder / "metadata.csv").is_file() and not missing_samples([folder], settings)


def restore_table(folder: Path, settings: Sampling) -> None:
    """Write the metadata.csv of a folder that lacks nothing else, so that its arm need not be drawn again.

    Snakemake deletes it, as it does the outputs of every job before it runs.
    """
    if not missing_samples([folder], settings) and not (folder / "metadata.csv").is_file():
        write_metadata(folder, wanted_samples(settings))


def batch_count(folders: Sequence[Path], settings: Sampling) -> int:
    """How many batches `sample` will yield."""
    return -(-len(missing_samples(folders, settings)) // pairs_per_batch(folders, settings))


def missing_samples(folders: Sequence[Path], settings: Sampling) -> list[Wanted]:
    """The samples that some arm still lacks."""
    return [w for w in wanted_samples(settings) if not all((folder / w.file_name).is_file() for folder in folders)]


def pairs_per_batch(folders: Sequence[Path], settings: Sampling) -> int:
    """How many (prompt, seed) pairs go through the UNet at once, every arm drawing each."""
    return max(1, settings.batch_size // max(1, len(folders)))


def sample(
    pipeline: StableDiffusionPipeline, pack: Pack, folders: Sequence[Path], settings: Sampling
) -> Iterator[list[Drawn]]:
    """Draw what the folders still lack, all arms of `pack` together, yielding each batch once it is on disk.

    `folders` holds one folder per arm. A folder's `metadata.csv` appears when all its pictures are there.
    """
    missing, size = missing_samples(folders, settings), pairs_per_batch(folders, settings)
    for start in range(0, len(missing), size):
        pack.lay()
        batch = missing[start : start + size]
        arms = draw_pictures(pipeline, len(folders), [w.prompt for w in batch], [w.seed for w in batch], settings)
        for folder, images in zip(folders, arms, strict=True):
            for w, image in zip(batch, images, strict=True):
                save_sample(image, folder / w.file_name, w, settings)
        pack.lift()
        yield [Drawn(w, images) for w, images in zip(batch, zip(*arms, strict=True), strict=True)]
    for folder in folders:
        write_metadata(folder, wanted_samples(settings))


def save_sample(image: Image.Image, path: Path, wanted: Wanted, settings: Sampling) -> None:
    """Write the picture with its parameters as A1111 writes them; whole or not at all."""
    info = PngInfo()
    info.add_text(
        "parameters",
        f"{wanted.prompt}\nSteps: {settings.num_inference_steps}, Sampler: DPM++ 2M, "
        f"CFG scale: {settings.guidance_scale:g}, Seed: {wanted.seed}, Size: {image.width}x{image.height}",
    )
    with replacing(path) as part:
        image.save(part, format="PNG", pnginfo=info)


def write_metadata(folder: Path, wanted: Sequence[Wanted]) -> None:
    """metadata.csv of an arm: file_name, text (the prompt), seed, split."""
    with replacing(folder / "metadata.csv") as part, open(part, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows((w.file_name, w.prompt, w.seed, w.split) for w in wanted)


def draw_class_images(
    pipeline: StableDiffusionPipeline, folder: Path, prior: Prior, settings: Sampling
) -> Iterator[Path]:
    """What the base model draws for the class, the pictures of a prior; those that are there are not drawn again."""
    key = sampling_key(settings, pipeline)
    decisive = {name: key["sampling"][name] for name in ("num_inference_steps", "guidance_scale")}
    claim_folder(folder, key | {"sampling": decisive, "prompt": prior.prompt})
    paths = [folder / f"{seed:04d}.png" for seed in range(prior.images)]
    for start in range(0, len(paths), settings.batch_size):
        batch = range(len(paths))[start : start + settings.batch_size]
        if not all(paths[seed].is_file() for seed in batch):
            [images] = draw_pictures(pipeline, 1, [prior.prompt] * len(batch), batch, settings)
            for seed, image in zip(batch, images, strict=True):
                save_sample(image, paths[seed], Wanted(paths[seed].name, prior.prompt, seed, "class"), settings)
        yield from (paths[seed] for seed in batch)


def claim_folder(folder: Path, key: dict) -> None:
    """Make `folder` the place for samples drawn as `key` says; what was drawn otherwise is removed.

    `key` is kept in `settings.json`: the sampling settings, the base and the adapter by their hashes.
    """
    text = json.dumps(key, indent=2, sort_keys=True) + "\n"
    path = folder / "settings.json"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    for old in (*folder.glob("*.png"), *folder.glob("metadata.csv")):
        old.unlink()
    write_text(path, text)


def sampling_key(settings: Sampling, pipeline: StableDiffusionPipeline) -> dict:
    """Everything, beside its adapter, that decides what an arm draws: settings, weights by their hashes, size."""
    parts = {name: weights_hash(getattr(pipeline, name)) for name in ("unet", "vae", "text_encoder")}
    decisive = settings.model_dump(exclude={"batch_size"}, mode="json")
    return {
        "sampling": decisive,
        "base": parts | noise_of(pipeline),
        "pixels": pipeline.unet.config.sample_size * pipeline.vae_scale_factor,
    }
