"""A study's base model, loaded and frozen, and what tells it from another."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from torch import nn

from caplora.jobs import no_secret_told
from caplora.models.devices import DTYPES, device_of, precision_of
from caplora.models.family import Pipeline, is_xl, pipeline_class
from caplora.models.texts import text_encoders
from caplora.study import Model, Study, current_model

# What diffusers calls the precision that it reads weights in; the older name warns from 0.42 on.
DTYPE = "dtype" if tuple(map(int, version("diffusers").split(".")[:2])) >= (0, 42) else "torch_dtype"


def named_base(model: str, own: Model) -> Model:
    """The base model that a command line names: a folder, or owner/name@revision.

    An id that is gone from the hub stands for the one that has its files now; the id of `own` is pinned as that is.
    """
    if (folder := Path(model).expanduser()).is_dir():
        return Model(path=str(folder.resolve()))
    name, _, revision = model.partition("@")
    named = current_model(Model(path=name, revision=revision or None))
    return own if named == Model(path=own.path) else named


def load_base(study: Study) -> Pipeline:
    """The study's Stable Diffusion, frozen: UNet and text encoders in the device's precision, the VAE in fp32.

    The VAE stays in fp32 because those of SD 1.5 and SDXL overflow to black pictures in fp16. The scheduler has the
    model's own noise schedule, from which `sampling.solver` is made, and pictures are drawn at the resolution that the
    study trains at. Raises OSError where there is no such model, and ValueError for one of another kind.
    """
    from diffusers import DPMSolverMultistepScheduler

    device = device_of()
    dtype = DTYPES[precision_of(device, study.training.mixed_precision)]  # before anything is loaded
    pipeline = read_pipeline(study.model_path(study.base), study.base.revision, dtype)
    pipeline.unet.register_to_config(sample_size=study.images.resolution // pipeline.vae_scale_factor)
    own = {"prediction_type": study.training.prediction_type} if study.training.prediction_type else {}
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, **own)
    for part in (pipeline.unet, pipeline.vae, *text_encoders(pipeline)):
        part.requires_grad_(False).eval()
    pipeline.to(device)
    if device.type == "cuda":  # tensor cores want it; on a CPU it costs at batch 1 and gains little above
        pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    if is_xl(pipeline):
        pipeline.vae.enable_slicing()  # a picture of 1024 pixels at a time is what a card has room for
    return pipeline


@no_secret_told()
def config_of(path: str, revision: str | None, name: str) -> dict[str, Any]:
    """A JSON file of a model, from its folder or, alone, from the hub; raises OSError where it is not there."""
    folder = Path(path)
    file = folder / name if folder.is_dir() else Path(hf_hub_download(path, name, revision=revision))
    return json.loads(file.read_text(encoding="utf-8"))


@no_secret_told()
def read_pipeline(path: str, revision: str | None, dtype: torch.dtype) -> Pipeline:
    """The pipeline in a folder or of the hub: the VAE in fp32, all else in `dtype` as it is read, to spare memory.

    Raises OSError where there is none, and ValueError for one of another kind than Stable Diffusion 1, 2 and XL.
    """
    kind = pipeline_class(config_of(path, revision, "model_index.json"), path)
    checker: dict[str, Any] = {"safety_checker": None, "requires_safety_checker": False}
    pipeline = kind.from_pretrained(
        path,
        revision=revision,
        use_safetensors=True,
        **{DTYPE: {"vae": torch.float32, "default": dtype}},
        **({} if kind.__name__ == "StableDiffusionXLPipeline" else checker),
    )
    for encoder in text_encoders(pipeline):
        encoder.to(dtype)  # transformers loads it in the precision of its file
    return pipeline


def noise_of(pipeline: Pipeline) -> dict[str, float | str | None]:
    """The numbers that decide what a pipeline's weights mean: its noise schedule and the scale of its latents."""
    names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")
    config = pipeline.scheduler.config
    return {name: config[name] for name in names} | {"scaling_factor": pipeline.vae.config.scaling_factor}


def parts_of(pipeline: Pipeline) -> nn.ModuleDict:
    """The models that adapters change, by the first word of their layers' names.

    Of a text encoder it is the part that its layers are named from, whatever transformers puts around it.
    """
    texts = [getattr(encoder, "text_model", encoder) for encoder in text_encoders(pipeline)]
    names = ("text_encoder", "text_encoder_2")[: len(texts)]
    return nn.ModuleDict({"unet": pipeline.unet, **dict(zip(names, texts, strict=True))})


def base_hashes(pipeline: Pipeline) -> dict[str, str]:
    """A hash of the weights of each model of a pipeline, by its name there."""
    names = ("unet", "text_encoder", "vae", "text_encoder_2")
    return {name: weights_hash(part) for name in names if (part := getattr(pipeline, name, None)) is not None}


def weights_hash(module: torch.nn.Module) -> str:
    """A hash of a module's own weights and their dtype, whether it carries a pack of adapters or not."""
    digest = hashlib.sha256()
    for name, value in sorted((k.replace(".base.", "."), v) for k, v in module.state_dict().items()):
        digest.update(f"{name}{value.dtype}".encode())
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
