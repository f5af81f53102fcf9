"""Trained models of the mini stack → how good they are on people and scenes held out from training."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from transformers import BertTokenizer, BlipForConditionalGeneration, ResNetForImageClassification

from caplora.mini.training.fitting import as_pixels, device_of
from caplora.mini.training.judge import judged, phrases
from caplora.mini.world import ATTRIBUTES, BASE_STYLES, Pictures, caption, draw_person, draw_scene, truth
from caplora.sampling import decode, draw_batch
from caplora.scoring import named_attributes
from caplora.study import read_study, write_text

HERE = Path(__file__).resolve().parents[1]
MODELS = HERE / "models"
TARGETS = {  # what a mini study needs; measured on held-out data
    "judge: attributes right on renders, worst style": 0.98,
    "VAE: reconstruction, dB PSNR": 27.0,
    "baseline: samples show what the prompt names, known styles": 0.85,
    "BLIP: attributes right, known styles": 0.95,
    "CLIP a: true caption above one with an attribute changed": 0.95,
    "CLIP b: true caption above one with an attribute changed": 0.95,
    "identity: AUC of same or different person": 0.95,
}


@torch.no_grad()
def captions_of(blip: BlipForConditionalGeneration, tokenizer: BertTokenizer, pictures: Pictures) -> list[str]:
    """The machine caption of each picture, greedily decoded."""
    said: list[str] = []
    for part in torch.from_numpy(pictures.images).split(64):
        tokens = blip.generate(as_pixels(part).to(device_of(blip)), num_beams=1, max_new_tokens=60)
        said += tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return [text.replace(" - ", "-") for text in said]


def caption_precision(said: list[str], pictures: Pictures) -> dict[str, float]:
    """Attribute → share of the captions that name it right, among those that name it."""
    right: dict[str, list[bool]] = defaultdict(list)
    for i, text in enumerate(said):
        shown = pictures.attributes(i)
        for attribute, value in named_attributes(phrases(), text).items():
            right[attribute].append(shown[attribute] == value)
    return {attribute: float(np.mean(values)) for attribute, values in right.items()}


def baseline_samples(
    pipeline: StableDiffusionPipeline, count: int, seed: int = 3
) -> tuple[list[dict[str, str]], list[Image.Image]]:
    """The attributes that `count` random prompts in the known styles name, and the pictures drawn for these prompts.

    They are drawn by the base model with the sampling settings of the mini study.
    """
    rng = np.random.default_rng(seed)
    wanted = [truth(draw_person(rng), draw_scene(rng, BASE_STYLES)) for _ in range(count)]
    settings = read_study("mini").sampling
    images: list[Image.Image] = []
    for start in range(0, count, 16):
        prompts = [caption(shown) for shown in wanted[start : start + 16]]
        latents = draw_batch(pipeline, 1, prompts, range(start, start + len(prompts)), settings)
        images += decode(pipeline, latents[0])[0]
    return wanted, images


def shown_as_named(
    judge: ResNetForImageClassification, wanted: list[dict[str, str]], images: list[Image.Image]
) -> dict[str, float]:
    """Attribute → share of the samples that show the value named in their prompt."""
    seen = judged(judge, as_pixels(torch.from_numpy(np.stack([np.asarray(image) for image in images]))))
    shares = {}
    for i, (attribute, values) in enumerate(ATTRIBUTES.items()):
        named = [n for n, shown in enumerate(wanted) if (attribute, shown[attribute]) != ("glasses", "none")]
        shares[attribute] = float(np.mean([values[seen[n, i]] == wanted[n][attribute] for n in named]))
    return shares


def write_figures(figures: dict[str, float], models: Path = MODELS) -> None:
    """Write the measured figures to figures.json beside the models, and the model card that shows them."""
    kept = {name: round(value, 4) for name, value in figures.items()}
    write_text(models / "figures.json", json.dumps(kept, indent=1) + "\n")
    rows = [f"| {name} | {TARGETS[name]:g} | {figures[name]:.3f} |" for name in TARGETS if name in figures]
    write_text(models / "README.md", CARD + "\n".join(rows) + "\n")


CARD = """\
# The mini stack

Miniatures of the models of a LoRA study, trained from nothing by `notebooks/00_mini_stack.ipynb` on a portrait world
that caplora draws itself. Real classes, real file layouts, 16-bit safetensors; Apache-2.0, like the code. The shipped
UNet was trained in sittings, 15,000 steps in all (`LOG.md`); the notebook's default is one cycle of 10,000.

| folder | class | learned from |
|---|---|---|
| `stable_diffusion` | `StableDiffusionPipeline` | UNet, text encoder: every style but ink; autoencoder: every style |
| `blip` | `BlipForConditionalGeneration` | the five base styles; ink is new to it |
| `clip_a`, `clip_b` | open_clip, two training seeds | every style, as CLIP has seen the world |
| `identity` | `Dinov2Model` | 2,400 persons in every style, from a convolutional teacher |
| `judge` | `ResNetForImageClassification` | every style; it says what a picture of this world shows |

They know a hundred or so words and one kind of picture. They are for trying, teaching and testing caplora, and for
nothing else: what they score says nothing about real faces.

Measured on persons and scenes held out from all training:

| measure | to reach | measured |
|---|---|---|
"""
