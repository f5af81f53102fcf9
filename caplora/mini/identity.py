"""The identity encoder of the stack: a small DINOv2 whose embedding tells persons apart, whatever they wear."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor, nn
from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

from caplora.mini.fitting import as_pixels, batch_of, device_of, fit
from caplora.mini.judge import roughen
from caplora.mini.pictures import Pictures
from caplora.mini.world import draw_person

WIDTH = 128
CROP = 80  # pixels around the middle that the model sees, as DINOv2 crops 224 of 256: the face and little else


def new_encoder() -> Dinov2Model:
    """An untrained encoder of the middle 80 pixels; its `pooler_output` is the embedding."""
    torch.manual_seed(5)
    return Dinov2Model(
        Dinov2Config(
            hidden_size=WIDTH, num_hidden_layers=4, num_attention_heads=4, mlp_ratio=3, image_size=CROP, patch_size=8
        )
    )


def processor() -> BitImageProcessor:
    """The image processor that goes with the encoder: the middle 80 of 128 pixels, −1 … 1."""
    return BitImageProcessor(
        size={"shortest_edge": 128},
        crop_size={"height": CROP, "width": CROP},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def middle(x: Tensor) -> Tensor:
    """The middle of pictures (n, 3, 128, 128), as the processor crops it."""
    edge = (x.shape[-1] - CROP) // 2
    return x[..., edge : edge + CROP, edge : edge + CROP]


class Recogniser(nn.Module):
    """The encoder, a reading of the person's traits from its embedding, and one direction per person it trains on."""

    def __init__(self, encoder: Dinov2Model, people: int, traits: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.traits = nn.Linear(WIDTH, traits)
        self.people = nn.Parameter(0.1 * torch.randn(people, WIDTH))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The traits read from each picture, (n, traits), and its cosine to each person, (n, people)."""
        embedding = self.encoder(x).pooler_output
        return self.traits(embedding), F.normalize(embedding, dim=1) @ F.normalize(self.people, dim=1).T


def traits_of(world: int, people: int) -> Tensor:
    """The traits of the people of a world, standardised over them, (people, traits)."""
    table = []
    for number in range(people):
        person = draw_person(np.random.default_rng((world, number)))
        values = [v for f in fields(person) if isinstance(v := getattr(person, f.name), float)]
        mole = (1.0, *person.mole) if person.mole else (0.0, 0.0, 0.0)
        table.append([*values, *person.skin, *person.iris, *mole, float(person.kind == "woman")])
    traits = torch.tensor(table)
    return (traits - traits.mean(0)) / traits.std(0)


def train_identity(
    model: Recogniser, pictures: Pictures, traits: Tensor, steps: int, folder: Path, batch: int = 64
) -> Iterator[tuple[int, float]]:
    """Fit the encoder to the traits of its people, and to their names by cosine with a margin; yields (step, loss).

    The traits (people, traits) teach it where to look; naming (CosFace, Wang et al. 2018) then makes the embedding
    forget what is not the person.
    """
    images, people, device = torch.from_numpy(pictures.images), torch.from_numpy(pictures.people), device_of(model)

    def loss(generator: torch.Generator) -> Tensor:
        index = batch_of(generator, len(images), batch)
        read, cosine = model(middle(roughen(as_pixels(images[index]), generator)).to(device))
        who = people[index].to(device)
        named = F.cross_entropy(16.0 * (cosine - 0.1 * F.one_hot(who, cosine.shape[1])), who)
        return 6.0 * F.mse_loss(read, traits.to(device)[who]) + named

    yield from fit(model, loss, steps, 1.5e-3, folder, averaging=0.997)


@torch.no_grad()
def verification_auc(encoder: Dinov2Model, pictures: Pictures) -> float:
    """Chance that two pictures of one person are closer than two of different persons (held-out people)."""
    parts = torch.from_numpy(pictures.images).split(128)
    seen = F.normalize(
        torch.cat([encoder(middle(as_pixels(p)).to(device_of(encoder))).pooler_output.cpu() for p in parts]), dim=1
    )
    i, j = torch.triu_indices(len(seen), len(seen), 1)
    cosine = (seen @ seen.T)[i, j].numpy()
    same = pictures.people[i.numpy()] == pictures.people[j.numpy()]
    ranks = rankdata(cosine)
    n, m = int(same.sum()), int((~same).sum())
    return float((ranks[same].sum() - n * (n + 1) / 2) / (n * m)) if n * m else float(np.nan)
