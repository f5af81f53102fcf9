"""A study's base model, loaded and frozen, and the embeddings that it makes of texts."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from jaxtyping import Float, Int
from torch import Tensor, nn

from caplora.captions import MOVED, base_path, lost_words, token_count, token_limit
from caplora.models.devices import DTYPES, device_of, precision_of
from caplora.study import Model, Study


def named_base(model: str, own: Model) -> Model:
    """The base model that a command line names: a folder, or owner/name@revision.

    An id that is gone from the hub stands for the one that has its files now; the id of `own` is pinned as that is.
    """
    if (folder := Path(model).expanduser()).is_dir():
        return Model(path=str(folder.resolve()))
    name, _, revision = model.partition("@")
    path = MOVED.get(name, name)
    return Model(path=path, revision=revision or (own.revision if path == own.path else None))


def load_base(study: Study) -> StableDiffusionPipeline:
    """The study's Stable Diffusion, frozen: UNet and text encoder in the device's precision, the VAE in fp32.

    The VAE stays in fp32 because SD 1.5's overflows to black pictures in fp16. The scheduler is DPM-Solver++ (2M)
    over the model's own noise schedule, and pictures are drawn at the resolution that the study trains at. Raises
    OSError where there is no such model.
    """
    device = device_of()
    dtype = DTYPES[precision_of(device, study.training.mixed_precision)]  # before anything is loaded
    pipeline = StableDiffusionPipeline.from_pretrained(
        base_path(study),
        revision=study.base.revision,
        safety_checker=None,
        requires_safety_checker=False,
        use_safetensors=True,
    )
    pipeline.unet.register_to_config(sample_size=study.images.resolution // pipeline.vae_scale_factor)
    own = {"prediction_type": study.training.prediction_type} if study.training.prediction_type else {}
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, **own)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.requires_grad_(False).eval()
    pipeline.text_encoder.to(dtype)  # transformers loads it in the precision of its file
    if dtype != torch.float32:
        pipeline.unet.to(dtype)
    pipeline.to(device)
    if device.type == "cuda":  # tensor cores want it; on a CPU it costs at batch 1 and gains little above
        pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    return pipeline


def text_tokens(pipeline: StableDiffusionPipeline, texts: Sequence[str]) -> Int[Tensor, "n tokens"]:
    """The token ids of texts; one that does not fit raises ValueError and shows what is lost."""
    tokenizer = pipeline.tokenizer
    for text in texts:
        if lost := lost_words(text, tokenizer):
            count, limit = token_count(text, tokenizer), token_limit(tokenizer)
            raise ValueError(f"{text!r} has {count} tokens and {limit} fit: {lost!r} would be lost; shorten it")
    length = tokenizer.model_max_length
    return tokenizer(list(texts), padding="max_length", max_length=length, return_tensors="pt").input_ids


def encode_texts(pipeline: StableDiffusionPipeline, texts: Sequence[str]) -> Float[Tensor, "n tokens d"]:
    """Text embeddings on the device, in one pass; a text that does not fit raises ValueError."""
    return encode_tokens(pipeline, text_tokens(pipeline, texts))


def encode_tokens(pipeline: StableDiffusionPipeline, ids: Int[Tensor, "n tokens"]) -> Float[Tensor, "n tokens d"]:
    """The embeddings of token ids, in one pass."""
    return pipeline.text_encoder(ids.to(pipeline.text_encoder.device)).last_hidden_state


def noise_of(pipeline: StableDiffusionPipeline) -> dict[str, float | str | None]:
    """The numbers that decide what a pipeline's weights mean: its noise schedule and the scale of its latents."""
    names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")
    config = pipeline.scheduler.config
    return {name: config[name] for name in names} | {"scaling_factor": pipeline.vae.config.scaling_factor}


def parts_of(pipeline: StableDiffusionPipeline) -> nn.ModuleDict:
    """The models that adapters change, by the first word of their layers' names."""
    return nn.ModuleDict({"unet": pipeline.unet, "text_encoder": pipeline.text_encoder})


def weights_hash(module: torch.nn.Module) -> str:
    """A hash of a module's own weights and their dtype, whether it carries a pack of adapters or not."""
    digest = hashlib.sha256()
    for name, value in sorted((k.replace(".base.", "."), v) for k, v in module.state_dict().items()):
        digest.update(f"{name}{value.dtype}".encode())
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
