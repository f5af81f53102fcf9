"""The diffusion model of the mini stack: a text encoder and a UNet, trained together on the base styles."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.training_utils import compute_snr
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from caplora.mini.training.fitting import as_pixels, batch_of, device_of, fit
from caplora.mini.training.judge import attribute_loss, named_labels
from caplora.mini.world import ATTRIBUTES, Pictures, caption

WIDTH = 128  # of the text embeddings
LONGEST = 48  # no caption has more tokens
READING = 0.1  # weight of reading the attributes from the text
NOISE = {  # SD 1.5's schedule
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
}


def new_unet() -> UNet2DConditionModel:
    """An untrained UNet for latents of 16 × 16 × 8; self- and cross-attention at sizes 16, 8 and, in the middle, 4."""
    torch.manual_seed(1)
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=8,
        out_channels=8,
        block_out_channels=(64, 128, 160),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=2,  # as in SD, this is the number of heads
        norm_num_groups=16,
    ).to(memory_format=torch.channels_last)


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained CLIP text encoder for the vocabulary of `tokenizer`."""
    torch.manual_seed(2)
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            hidden_act="gelu",
        )
    )


class TextToLatents(nn.Module):
    """The text encoder and the UNet as one module to train, and a linear layer that reads attributes from the text."""

    def __init__(self, text_encoder: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.unet = unet
        self.reading = nn.Linear(WIDTH, sum(len(values) for values in ATTRIBUTES.values()))

    def read(self, texts: Tensor) -> Tensor:
        """Logits of all values, (n, values), from the padding after encoded texts (n, 77, WIDTH)."""
        return self.reading(texts[:, LONGEST:].mean(1))


@torch.no_grad()
def latent_moments(vae: AutoencoderKL, pictures: Pictures) -> Tensor:
    """Mean and log-variance of the latents of each picture, (n, 16, 16, 16)."""
    parts = torch.from_numpy(pictures.images).split(64)
    device = device_of(vae)
    return torch.cat([vae.encode(as_pixels(part).to(device)).latent_dist.parameters.cpu() for part in parts])


def caption_tokens(pictures: Pictures, tokenizer: CLIPTokenizer, variety: int = 4) -> tuple[Tensor, Tensor]:
    """The tokens of captions of each picture, (n, variety + 1, 77), and the attributes that each caption names.

    Each picture has `variety` captions in varied words, then an empty one. The attributes (n, variety + 1, attributes)
    are indices, −100 where a caption does not name one.
    """
    rng = np.random.default_rng(7)
    texts = []
    for i in range(len(pictures.people)):
        shown = pictures.attributes(i)
        texts += [caption(shown, rng, keep=0.9) for _ in range(variety - 1)] + [caption(shown), ""]
    ids = tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt").input_ids
    return ids.view(-1, variety + 1, 77).to(torch.int16), named_labels(texts).view(-1, variety + 1, len(ATTRIBUTES))


def train_diffusion(
    model: TextToLatents,
    moments: Tensor,
    captions: tuple[Tensor, Tensor],
    scaling: float,
    steps: int,
    folder: Path,
    batch: int = 16,
) -> Iterator[tuple[int, float]]:
    """Train `model` to predict the noise in scaled latents; yields (step, loss).

    `moments` is (n, 16, 16, 16), `captions` what `caption_tokens` returns; the empty caption is drawn one time in ten.
    The loss is weighted by min-SNR-γ with γ = 5 (Hang et al. 2023). Reading the attributes from the text teaches the
    text encoder which colour belongs to what; from the noise alone it did not learn this in 6,000 steps.
    """
    scheduler = DDPMScheduler(**NOISE)
    snr = compute_snr(scheduler, torch.arange(1000))
    weight = snr.clamp(max=5.0) / snr
    token_ids, labels = captions
    empty, device = token_ids.shape[1] - 1, device_of(model)

    def loss(generator: torch.Generator) -> Tensor:
        index = batch_of(generator, len(moments), batch)
        mean, log_variance = moments[index].chunk(2, dim=1)
        latents = scaling * (mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator))
        which = batch_of(generator, empty, batch)
        which = torch.where(torch.rand(batch, generator=generator) < 0.1, empty, which)
        text = token_ids[index, which].long()
        noise = torch.randn(latents.shape, generator=generator)
        t = batch_of(generator, 1000, batch)
        noisy = scheduler.add_noise(latents, noise, t).to(device)
        texts = model.text_encoder(text.to(device)).last_hidden_state
        predicted = model.unet(noisy, t.to(device), texts).sample.float()
        error = F.mse_loss(predicted, noise.to(device), reduction="none")
        read = attribute_loss(model.read(texts), labels[index, which])
        return (weight[t].to(device) * error.mean((1, 2, 3))).mean() + READING * read

    yield from fit(model, loss, steps, 8e-4, folder, averaging=0.9985)


def pipeline_of(model: TextToLatents, vae: AutoencoderKL, tokenizer: CLIPTokenizer) -> StableDiffusionPipeline:
    """The parts put together as the pipeline that diffusers saves and loads."""
    tokenizer.backend_tokenizer.no_padding()  # otherwise its file would say how the last call padded
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=model.text_encoder,
        tokenizer=tokenizer,
        unet=model.unet,
        scheduler=PNDMScheduler(
            **{k: v for k, v in NOISE.items() if k != "clip_sample"}, skip_prk_steps=True, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
