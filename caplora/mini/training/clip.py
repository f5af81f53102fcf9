"""The scoring models of the mini stack: small open_clip models that see every style, trained with hard negatives."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from caplora.mini.training.fitting import as_pixels, batch_of, device_of, fit
from caplora.mini.training.judge import attribute_loss, named_labels, roughen
from caplora.mini.world import ATTRIBUTES, Pictures, caption, change_one

CONTEXT = 56  # tokens; the longest caption of the world has 46
MEAN = STD = (0.5, 0.5, 0.5)
READING = 10.0  # weight of reading the attributes; with 1 the contrastive loss outweighs it
SIDE = 96  # pixels that the model sees, fewer than a picture has, as CLIP sees 224 of 512


def configuration(vocabulary: int) -> dict:
    """The `model_cfg` of open_clip: a small ResNet with attention pooling, a small text transformer."""
    return {
        "embed_dim": 96,
        "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 12, "patch_size": None, "head_width": 48},
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": vocabulary,
            "hf_tokenizer_name": "clip",
            "width": 96,
            "heads": 4,
            "layers": 3,
        },
    }


def new_clip(vocabulary: int, seed: int) -> CLIP:
    """An untrained open_clip model."""
    torch.manual_seed(seed)
    return CLIP(**configuration(vocabulary))


def shrunk(x: Tensor) -> Tensor:
    """Pictures resized to what the model sees, as its preprocessing does it."""
    small = F.interpolate(x, size=(SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False)
    return small.contiguous(memory_format=torch.channels_last)


class Described(nn.Module):
    """A CLIP with one linear layer that reads the attributes from picture and text embeddings alike."""

    def __init__(self, clip: CLIP) -> None:
        super().__init__()
        self.clip = clip
        width, values = configuration(0)["embed_dim"], sum(len(values) for values in ATTRIBUTES.values())
        self.reading = nn.Linear(width, values)

    def read(self, embedding: Tensor) -> Tensor:
        """Logits of all values from unit embeddings (n, d), scaled so that steps of the learning rate can move them."""
        return self.reading(8 * embedding)


def train_clip(
    model: Described, pictures: Pictures, tokenizer: CLIPTokenizer, steps: int, folder: Path, seed: int, batch: int = 48
) -> Iterator[tuple[int, float]]:
    """Train the model to match pictures and captions; yields (step, loss).

    The loss is contrastive in both directions (Radford et al. 2021). Each caption also stands against one with a single
    attribute changed (NegCLIP, Yuksekgonul et al. 2023); words vary and some clauses are left out. Reading the
    attributes from both embeddings teaches both towers what to look for, long before the contrastive loss would.
    """
    images, device = torch.from_numpy(pictures.images), device_of(model)

    def loss(generator: torch.Generator) -> Tensor:
        index = batch_of(generator, len(images), batch)
        true, changed = caption_pairs(pictures, index.tolist(), generator)
        text = tokenizer(true + changed, padding="max_length", max_length=CONTEXT, return_tensors="pt").input_ids
        x = shrunk(roughen(as_pixels(images[index]), generator)).to(device)
        seen, said, scale = model.clip(x, text.to(device))  # unit embeddings, (batch, d) and (2 batch, d)
        shown = torch.from_numpy(pictures.labels[index.numpy()])
        read = attribute_loss(model.read(seen), shown) + attribute_loss(model.read(said), named_labels(true + changed))
        differs = torch.tensor([a != b for a, b in zip(true, changed, strict=True)])
        return contrast(scale * seen @ said.T, differs) + READING * read

    yield from fit(model, loss, steps, 2e-3, folder, seed=seed, averaging=0.995)


def caption_pairs(pictures: Pictures, index: list[int], generator: torch.Generator) -> tuple[list[str], list[str]]:
    """A caption of each picture, and the same with one attribute changed but the same wording, order and omissions."""
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    true, changed = [], []
    for i in index:
        shown = pictures.attributes(i)
        other = change_one(shown, rng)
        state = rng.bit_generator.state
        true.append(caption(shown, rng, keep=0.85))
        rng.bit_generator.state = state
        changed.append(caption(other, rng, keep=0.85))
    return true, changed


def contrast(logits: Tensor, differs: Tensor) -> Tensor:
    """The contrastive loss of logits (batch, 2 batch), with the true captions first and the changed ones after them.

    `differs` (batch,) says which changed captions really differ: the changed clause may have been left out.
    """
    batch = len(logits)
    target = torch.arange(batch, device=logits.device)
    near = torch.stack([logits.diagonal(), logits[:, batch:].diagonal()], 1)[differs.to(logits.device)]
    hard = F.cross_entropy(near, target.new_zeros(len(near)))
    return F.cross_entropy(logits[:, :batch], target) + F.cross_entropy(logits[:, :batch].T, target) + 2 * hard


def save_clip(model: CLIP, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the folder that `open_clip.create_model_and_transforms("local-dir:…")` reads, in 16 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    weights = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / "open_clip_model.safetensors")
    config = {
        "model_cfg": configuration(len(tokenizer)),
        "preprocess_cfg": {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"},
        "caplora": {"prefix": ""},  # captions of the world begin with a style: "A photo depicts" would be another one
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")


@torch.no_grad()
def ranks_true_caption(model: CLIP, pictures: Pictures, tokenizer: CLIPTokenizer, seed: int = 0) -> float:
    """The share of pictures whose true caption scores above the same caption with one attribute changed."""
    rng = np.random.default_rng(seed)
    pairs = [(caption(a), caption(change_one(a, rng))) for a in map(pictures.attributes, range(len(pictures.people)))]
    parts, device = torch.from_numpy(pictures.images).split(128), device_of(model)
    seen = torch.cat([model.encode_image(shrunk(as_pixels(part)).to(device), normalize=True) for part in parts])
    cosines = []
    for captions in map(list, zip(*pairs, strict=True)):  # the true ones, then the changed ones
        tokens = tokenizer(captions, padding="max_length", max_length=CONTEXT, return_tensors="pt").input_ids
        text = torch.cat([model.encode_text(part.to(device), normalize=True) for part in tokens.split(256)])
        cosines.append((seen * text).sum(1))
    return float((cosines[0] > cosines[1]).float().mean())
