"""Tiny real models for the tests: Stable Diffusion with random weights, a fraction of a second a step."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from caplora.lora.adapter import Adapter, fresh_adapter
from caplora.lora.layers import target_layers
from caplora.mini.training.clip import new_clip, save_clip
from caplora.mini.training.diffusion import NOISE
from caplora.mini.training.measure import MODELS
from caplora.study.training_settings import Training
from caplora.study.variants import Variant
from caplora.training.inputs import Inputs

TRAINING = Training()


def tiny_unet(seed: int = 0) -> UNet2DConditionModel:
    """A frozen UNet over 8 × 8 × 4 latents with two levels of attention."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=24,
        attention_head_dim=2,
        norm_num_groups=8,
    )
    return unet.requires_grad_(False).eval()


@cache
def tokenizer_once() -> CLIPTokenizer:
    """The world's tokenizer as it is shipped: to learn it anew takes seconds in every process of the tests."""
    return CLIPTokenizer.from_pretrained(MODELS / "stable_diffusion" / "tokenizer")


def pixels_of(images: Sequence[Image.Image]) -> torch.Tensor:
    """Pictures of one size as they are, 0 … 255: what encoders of tests are shown."""
    return torch.tensor(np.stack([np.asarray(image, dtype=np.float32) for image in images])).permute(0, 3, 1, 2)


def tiny_pipeline(seed: int = 0) -> StableDiffusionPipeline:
    """A whole Stable Diffusion of 32-pixel pictures."""
    tokenizer = tokenizer_once()
    torch.manual_seed(seed + 1)
    text = tiny_text_encoder(24)
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
    )
    return StableDiffusionPipeline(
        vae=vae.requires_grad_(False).eval(),
        text_encoder=text,
        tokenizer=tokenizer,
        unet=tiny_unet(seed),
        scheduler=DPMSolverMultistepScheduler(**{k: v for k, v in NOISE.items() if k != "clip_sample"}, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def tiny_text_encoder(width: int, projection: int | None = None) -> CLIPTextModel | CLIPTextModelWithProjection:
    """A text encoder with two layers; with `projection` one that embeds the whole text too."""
    tokenizer = tokenizer_once()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=projection or width,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    kind = CLIPTextModelWithProjection if projection else CLIPTextModel
    return kind(config).requires_grad_(False).eval()


def tiny_sd2(seed: int = 0) -> StableDiffusionPipeline:
    """A pipeline made as Stable Diffusion 2.1: it predicts the velocity, and its attention has linear projections."""
    pipeline = tiny_pipeline(seed)
    torch.manual_seed(seed + 2)
    config = dict(pipeline.unet.config) | {"use_linear_projection": True, "attention_head_dim": (2, 4)}
    unet = UNet2DConditionModel.from_config(config).requires_grad_(False).eval()
    velocity = pipeline.scheduler.from_config(pipeline.scheduler.config, prediction_type="v_prediction")
    pipeline.register_modules(unet=unet, scheduler=velocity)
    return pipeline


def tiny_sdxl(seed: int = 0) -> StableDiffusionXLPipeline:
    """A pipeline made as Stable Diffusion XL, with its layout of blocks, two text encoders and conditions of size."""
    one = tiny_pipeline(seed)
    torch.manual_seed(seed + 3)
    second = CLIPTokenizer(tokenizer_object=one.tokenizer.backend_tokenizer, pad_token="!")
    second.model_max_length = one.tokenizer.model_max_length
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16, 16),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=24 + 16,
        attention_head_dim=(2, 2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + 12,
        norm_num_groups=4,
    )
    return StableDiffusionXLPipeline(
        vae=one.vae,
        text_encoder=one.text_encoder,
        text_encoder_2=tiny_text_encoder(16, projection=12),
        tokenizer=one.tokenizer,
        tokenizer_2=second,
        unet=unet.requires_grad_(False).eval(),
        scheduler=one.scheduler,
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


FAMILIES = {"sd1": tiny_pipeline, "sd2": tiny_sd2, "sdxl": tiny_sdxl}  # each a pipeline of 32-pixel pictures


def tiny_clip(folder: Path, seed: int = 0) -> Path:
    """An open_clip model with random weights in a folder that `local-dir:` reads; the folder."""
    tokenizer = tokenizer_once()
    save_clip(new_clip(len(tokenizer), seed).eval(), tokenizer, folder)
    return folder


def tiny_inputs(count: int = 5, seed: int = 0, flips: int = 1) -> Inputs:
    """Random moments and text embeddings of `count` images."""
    g = torch.Generator().manual_seed(seed)
    moments = torch.randn(count, flips, 8, 8, 8, generator=g)
    moments[:, :, 4:] -= 4  # a log-variance as small as a trained VAE's
    texts = torch.randn(count, 7, 24, generator=g)
    sources = {f"{i}.png": {"caption": f"number {i}", "pixels": f"{seed}"} for i in range(count)}
    return Inputs(sources, moments, texts, torch.randn(7, 24, generator=g))


def noise_scheduler() -> DDPMScheduler:
    return DDPMScheduler(**NOISE)


def host_of(unet: UNet2DConditionModel) -> nn.ModuleDict:
    """A UNet as the models that a pack changes."""
    return nn.ModuleDict({"unet": unet})


def trained_like(host: nn.ModuleDict, rank: int, alpha: float, seed: int = 0, settings: Training = TRAINING) -> Adapter:
    """An adapter with a B that is not zero, as after training."""
    adapter = fresh_adapter(target_layers(host, settings), Variant(rank=rank, alpha=alpha), seed)
    g = torch.Generator().manual_seed(seed + 100)
    weights = {k: (a, 0.1 * torch.randn(b.shape, generator=g)) for k, (a, b) in adapter.weights.items()}
    return Adapter(adapter.variant, weights)


def captioned_inputs(inputs: Inputs, *kinds: str) -> Inputs:
    """The same images with further captions, each kind's the ledger's as they are moved on by one image more."""
    names, count = list(inputs.sources), len(inputs.sources)
    dealt = {k: [(i + step) % count for i in range(count)] for step, k in enumerate(kinds, 1)}
    others = {
        k: {name: inputs.sources[names[i]]["caption"] for name, i in zip(names, places, strict=True)}
        for k, places in dealt.items()
    }
    return replace(inputs, texts=torch.cat([inputs.texts, *(inputs.texts[p] for p in dealt.values())]), others=others)
