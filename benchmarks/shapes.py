"""Stable Diffusion 1.5, 2.1 and XL, BLIP and ViT-B/32 in full shape: their published configs, with random weights.

    python benchmarks/shapes.py sd15 ~/shapes        # as the hub has it, in 16 bit; or sd21, sdxl, blip, clip

What needs no trained weights can be tried on these: loading, names, counts, memory and time.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler, UNet2DConditionModel
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from caplora.mini.world.words import bert_tokenizer
from caplora.planning import BaseConfigs

DOWN, UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
SD = {"down_block_types": [DOWN, DOWN, DOWN, "DownBlock2D"], "up_block_types": ["UpBlock2D", UP, UP, UP]}
UNETS: dict[str, dict[str, Any]] = {  # where they differ from the class's defaults
    "sd15": SD | {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    "sd21": SD
    | {
        "sample_size": 96,
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
    "sdxl": {
        "sample_size": 128,
        "cross_attention_dim": 2048,
        "attention_head_dim": [5, 10, 20],
        "use_linear_projection": True,
        "block_out_channels": [320, 640, 1280],
        "down_block_types": ["DownBlock2D", DOWN, DOWN],
        "up_block_types": [UP, UP, "UpBlock2D"],
        "transformer_layers_per_block": [1, 2, 10],
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
VAES = {
    "sd15": VAE | {"sample_size": 512, "scaling_factor": 0.18215},
    "sd21": VAE | {"sample_size": 768, "scaling_factor": 0.18215},
    "sdxl": VAE | {"sample_size": 1024, "scaling_factor": 0.13025},
}
SPECIAL = {"bos_token_id": 49406, "eos_token_id": 49407}
L = SPECIAL | {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16}
G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
TEXTS: dict[
    str, list[dict[str, Any]]
] = {  # ViT-L/14; OpenCLIP's ViT-H/14 without its last layer; ViT-L/14 and ViT-bigG
    "sd15": [L | {"hidden_act": "quick_gelu", "projection_dim": 768}],
    "sd21": [SPECIAL | H | {"hidden_act": "gelu", "projection_dim": 512}],
    "sdxl": [
        L | {"hidden_act": "quick_gelu", "projection_dim": 768},
        SPECIAL | G | {"hidden_act": "gelu", "projection_dim": 1280},
    ],
}
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
SCHEDULERS = {
    "sd15": lambda: PNDMScheduler(**NOISE, skip_prk_steps=True),
    "sd21": lambda: DDIMScheduler(**NOISE, clip_sample=False, set_alpha_to_one=False, prediction_type="v_prediction"),
    "sdxl": lambda: EulerDiscreteScheduler(**NOISE, timestep_spacing="leading"),
}
PARAMETERS = {"sd15": 859_520_964, "sd21": 865_910_724, "sdxl": 2_567_463_684}  # of the UNet, as published
RESOLUTION = {"sd15": 512, "sd21": 768, "sdxl": 1024}


def unet_config(name: str) -> dict[str, Any]:
    """The UNet's config of `sd15`, `sd21` or `sdxl`."""
    return UNETS[name]


def base_configs(name: str) -> BaseConfigs:
    """What a plan is made from: the configs of UNet, VAE and text encoders."""
    return BaseConfigs.of(UNETS[name], VAES[name], [CLIPTextConfig(**text).to_dict() for text in TEXTS[name]])


def meta_unet(name: str) -> UNet2DConditionModel:
    """The UNet without any weights: shapes and names alone."""
    with torch.device("meta"):
        return UNet2DConditionModel(**unet_config(name))


def clip_tokenizer(pad_token: str = "<|endoftext|>") -> CLIPTokenizer:
    """CLIP's own tokenizer, of 49,408 tokens, from the vocabulary that open_clip carries."""
    own = open_clip.tokenizer.SimpleTokenizer()
    vocabulary = {
        {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}.get(token, token): number
        for token, number in own.encoder.items()
    }
    merges = sorted(own.bpe_ranks, key=own.bpe_ranks.get)
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77, pad_token=pad_token)


def write_stable_diffusion(name: str, folder: Path, dtype: torch.dtype = torch.float16) -> Path:
    """A pipeline in full shape as a folder of the hub, its safety checker named and without weights."""
    torch.manual_seed(0)
    UNet2DConditionModel(**unet_config(name)).to(dtype).save_pretrained(folder / "unet")
    AutoencoderKL(**VAES[name]).to(dtype).save_pretrained(folder / "vae")
    SCHEDULERS[name]().save_pretrained(folder / "scheduler")
    index: dict[str, Any] = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", type(SCHEDULERS[name]()).__name__],
    }
    for number, config in enumerate(TEXTS[name]):
        kind = CLIPTextModelWithProjection if number else CLIPTextModel
        end = "_2" if number else ""
        kind(CLIPTextConfig(**config)).to(dtype).save_pretrained(folder / f"text_encoder{end}")
        clip_tokenizer("<|endoftext|>" if name != "sd21" and not number else "!").save_pretrained(
            folder / f"tokenizer{end}"
        )
        index |= {f"text_encoder{end}": ["transformers", kind.__name__]}
        index |= {f"tokenizer{end}": ["transformers", "CLIPTokenizer"]}
    if name == "sdxl":
        index |= {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True}
    else:
        checker = ["stable_diffusion", "StableDiffusionSafetyChecker"]
        index |= {"_class_name": "StableDiffusionPipeline", "feature_extractor": [None, None]}
        index |= {"safety_checker": checker if name == "sd15" else [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index | {"_diffusers_version": "0.34.0"}, indent=1))
    return folder


def write_blip(folder: Path) -> Path:
    """BLIP large for captioning, with the miniature's tokenizer: 470 M parameters."""
    torch.manual_seed(0)
    tokenizer = bert_tokenizer()
    config = BlipConfig(
        text_config={"bos_token_id": tokenizer.bos_token_id, "sep_token_id": tokenizer.sep_token_id},
        vision_config={"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "image_size": 384}
        | {"num_attention_heads": 16},
    )
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size={"height": 384, "width": 384}), tokenizer).save_pretrained(folder)
    return folder


def write_clip(folder: Path) -> Path:
    """ViT-B/32 as a folder that open_clip reads as `local-dir:`."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    model = open_clip.create_model("ViT-B-32")
    config = {
        "model_cfg": open_clip.get_model_config("ViT-B-32"),
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=[*UNETS, "blip", "clip"])
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    out = asked.folder / asked.shape
    if asked.shape in UNETS:
        write_stable_diffusion(asked.shape, out)
    else:
        {"blip": write_blip, "clip": write_clip}[asked.shape](out)
