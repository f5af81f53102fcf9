"""The families of Stable Diffusion that are trained, and how a model or an adapter of each is known.

diffusers takes seconds to import, so it is imported where a pipeline is made: who draws nothing does not wait for it.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    Pipeline: TypeAlias = StableDiffusionPipeline | StableDiffusionXLPipeline
else:
    Pipeline = Any

CLASSES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")  # of diffusers
LIBRARIES = ("diffusers", "transformers", None)  # that the parts of a pipeline are made with; None: there is none


@dataclass(frozen=True)
class Family:
    """Models whose adapters fit each other, and what files of adapters call them."""

    name: str
    version: str  # ss_base_model_version of kohya's scripts
    architecture: str  # modelspec.architecture (sai_model_spec 1.0.0), without what follows for a LoRA


SD1 = Family("Stable Diffusion 1", "sd_v1", "stable-diffusion-v1")
SD2 = Family("Stable Diffusion 2", "sd_v2", "stable-diffusion-v2-512")
SD2_V = Family("Stable Diffusion 2", "sd_v2_v", "stable-diffusion-v2-768-v")
SDXL = Family("Stable Diffusion XL", "sdxl_base_v1-0", "stable-diffusion-xl-v1-base")


def pipeline_class(index: Mapping[str, Any], path: str) -> type[Pipeline]:
    """The class of the pipeline whose model_index.json this is.

    Raises ValueError for one that is not trained, or that has a part of its own code: diffusers before 0.42 runs such
    code where it lies in a folder.
    """
    name = index["_class_name"]
    if name not in CLASSES:
        raise ValueError(
            f"base.path: {path} is a {name}, and LoRA is trained on {' and '.join(CLASSES)} only: Stable Diffusion 1,"
            " 2 or XL"
        )
    for part, made in index.items():
        if isinstance(made, list) and part != "safety_checker" and made[0] not in LIBRARIES:  # which is not loaded
            raise ValueError(
                f"base.path: {path} makes its {part} with {made[0]!r} (model_index.json), code of its own, which"
                " caplora never runs: take a model whose parts are of diffusers and transformers"
            )
    return getattr(importlib.import_module("diffusers"), name)


def is_xl(pipeline: Pipeline) -> bool:
    """Whether a pipeline is Stable Diffusion XL, which has a second text encoder."""
    return getattr(pipeline, "text_encoder_2", None) is not None


def family_of(pipeline: Pipeline) -> Family:
    """The family of a base model."""
    if is_xl(pipeline):
        return SDXL
    if pipeline.unet.config.cross_attention_dim != 1024:
        return SD1
    return SD2_V if pipeline.scheduler.config.prediction_type == "v_prediction" else SD2
