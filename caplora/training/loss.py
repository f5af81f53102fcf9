"""The loss of a base model on the rows of a step: target, min-SNR weights, prior preservation, variant by variant."""

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from jaxtyping import Bool, Float, Int
from torch import Tensor

from caplora.models import Pipeline, conditions, encode_tokens
from caplora.study import Training
from caplora.training.draws import Draw
from caplora.training.inputs import Inputs


class Objective:
    """The loss of a base model on rows of inputs, as a study's training settings say."""

    def __init__(self, pipeline: Pipeline, settings: Training) -> None:
        self.pipeline, self.settings = pipeline, settings
        self.compiled: Any = torch.compile(pipeline.unet, fullgraph=True) if settings.compile else None
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
        seen = self.unet(noisy, t, **conditions(self.pipeline, texts)).sample.float()
        target = self.scheduler.get_velocity(latents, noise, t) if self.velocity else noise
        return F.mse_loss(seen, target, reduction="none").mean((1, 2, 3)) * self.snr_weights(t)

    @property
    def unet(self) -> Any:
        """The UNet, compiled to train and as it is to validate, which would be compiled for minutes more."""
        compiled = self.compiled is not None and torch.is_grad_enabled()
        return self.compiled if compiled else self.pipeline.unet

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
