"""The identity encoder of the mini stack: a small DINOv2 whose embedding tells persons apart, whatever they wear.

A convolutional teacher learns to recognise persons first; the encoder then learns to see what the teacher sees.
"""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor, nn
from transformers import BitImageProcessor, Dinov2Config, Dinov2Model, ResNetConfig, ResNetModel

from caplora.mini.training.fitting import as_pixels, batch_of, device_of, fit
from caplora.mini.training.judge import roughen
from caplora.mini.world import Pictures, draw_person

WIDTH = 128
CROP = 80  # pixels in the middle that the model sees, the face and little else, as DINOv2 crops 224 of 256


def new_encoder() -> Dinov2Model:
    """An untrained encoder for the middle 80 pixels; its `pooler_output` is the embedding.

    Its position embeddings start as sines and cosines (Vaswani et al. 2017), which a small transformer does not find by
    itself.
    """
    torch.manual_seed(5)
    encoder = Dinov2Model(
        Dinov2Config(
            hidden_size=WIDTH, num_hidden_layers=4, num_attention_heads=4, mlp_ratio=3, image_size=CROP, patch_size=8
        )
    )
    encoder.embeddings.position_embeddings.data[0, 1:] = 0.5 * waves(CROP // 8)
    return encoder


def waves(side: int) -> Tensor:
    """Sines and cosines of row and column of a square grid, (side², WIDTH)."""
    angles = torch.arange(side)[:, None] * 100 ** -torch.linspace(0, 1, WIDTH // 4)
    line = torch.cat([angles.sin(), angles.cos()], 1)  # (side, WIDTH / 2)
    return torch.cat([line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)], 2).reshape(-1, WIDTH)


def new_teacher() -> ResNetModel:
    """An untrained convolutional network for the same crop; its pooled features are as wide as the embedding."""
    torch.manual_seed(6)
    config = ResNetConfig(embedding_size=24, hidden_sizes=[32, 48, 96, WIDTH], depths=[1, 1, 1, 1], layer_type="basic")
    return ResNetModel(config).to(memory_format=torch.channels_last)


def processor() -> BitImageProcessor:
    """The image processor that goes with the encoder: the middle 80 of 128 pixels, −1 … 1."""
    return BitImageProcessor(
        size={"shortest_edge": 128},
        crop_size={"height": CROP, "width": CROP},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def middle(x: Tensor) -> Tensor:
    """The middle of pictures (n, 3, 128, 128), cropped as the processor does it."""
    edge = (x.shape[-1] - CROP) // 2
    return x[..., edge : edge + CROP, edge : edge + CROP]


class Recogniser(nn.Module):
    """A network with a linear layer that reads a person's traits from its features, and one direction per person."""

    def __init__(self, network: ResNetModel, people: int, traits: int) -> None:
        super().__init__()
        self.network = network
        self.traits = nn.Linear(WIDTH, traits)
        self.people = nn.Parameter(0.1 * torch.randn(people, WIDTH))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The traits read from each picture, (n, traits), and its cosine to each person, (n, people)."""
        features = self.network(x).pooler_output.flatten(1)
        return self.traits(features), F.normalize(features, dim=1) @ F.normalize(self.people, dim=1).T


class Student(nn.Module):
    """The encoder with linear layers that predict the teacher's feature maps from the tokens of two of its layers."""

    def __init__(self, encoder: Dinov2Model, teacher: ResNetModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.reads = nn.ModuleList(nn.Linear(WIDTH, width) for width in teacher.config.hidden_sizes[1:3])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The predicted maps of the teacher, (n, 48, 10, 10) and (n, 96, 5, 5), and the embedding, (n, WIDTH)."""
        seen = self.encoder(x, output_hidden_states=True)
        side = CROP // 8
        fine, coarse = (
            read(layer[:, 1:]).mT.unflatten(2, (side, side))
            for read, layer in zip(self.reads, seen.hidden_states[2:4], strict=True)
        )
        return fine, F.avg_pool2d(coarse, 2), seen.pooler_output


def traits_of(world: int, people: int) -> Tensor:
    """The traits of the people of the world with this seed, standardised over the people, (people, traits)."""
    table = []
    for number in range(people):
        person = draw_person(np.random.default_rng((world, number)))
        values = [v for f in fields(person) if isinstance(v := getattr(person, f.name), float)]
        mole = (1.0, *person.mole) if person.mole else (0.0, 0.0, 0.0)
        table.append([*values, *person.skin, *person.iris, *mole, float(person.kind == "woman")])
    traits = torch.tensor(table)
    return (traits - traits.mean(0)) / traits.std(0)


def train_teacher(
    model: Recogniser, pictures: Pictures, traits: Tensor, steps: int, folder: Path, batch: int = 64
) -> Iterator[tuple[int, float]]:
    """Train the network to read each person's traits and to name the person; yields (step, loss).

    Reading the traits (people, traits) teaches it where to look. Naming, by cosine with a margin (CosFace, Wang et al.
    2018), makes its features forget whatever is not the person.
    """
    people, device = torch.from_numpy(pictures.people), device_of(model)

    def loss(generator: torch.Generator) -> Tensor:
        index = batch_of(generator, len(people), batch)
        read, cosine = model(crops(pictures, index, generator).to(device))
        who = people[index].to(device)
        named = F.cross_entropy(16.0 * (cosine - 0.1 * F.one_hot(who, cosine.shape[1])), who)
        return 6.0 * F.mse_loss(read, traits.to(device)[who]) + named

    yield from fit(model, loss, steps, 2e-3, folder, averaging=0.995)


def train_identity(
    student: Student, teacher: ResNetModel, pictures: Pictures, steps: int, folder: Path, batch: int = 64
) -> Iterator[tuple[int, float]]:
    """Train the encoder to give the teacher's feature maps and pooled features; yields (step, loss).

    DINOv2's own small models are distilled from its large one too (Oquab et al. 2023). The reason here is that a
    transformer trained from scratch needs many times the steps of a convolution to find the eyes in a face.
    """
    device = device_of(student)
    teacher.eval().requires_grad_(False)

    def loss(generator: torch.Generator) -> Tensor:
        index = batch_of(generator, len(pictures.people), batch)
        x = crops(pictures, index, generator).to(device)
        taught, (fine, coarse, embedding) = lesson(teacher, x), student(x)
        far = 1 - F.cosine_similarity(embedding, taught[2], dim=1).mean()
        return F.mse_loss(fine, taught[0]) + F.mse_loss(coarse, taught[1]) + 2 * far

    yield from fit(student, loss, steps, 1.5e-3, folder, averaging=0.997)


def crops(pictures: Pictures, index: Tensor, generator: torch.Generator) -> Tensor:
    """The middles of the pictures at `index`, roughened, (n, 3, CROP, CROP)."""
    x = as_pixels(torch.from_numpy(pictures.images[index.numpy()]))
    return middle(roughen(x, generator)).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def lesson(teacher: ResNetModel, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Two feature maps of the teacher, each channel standardised over the batch, and its pooled features, centred."""
    seen = teacher(x, output_hidden_states=True)
    fine, coarse = (
        (part - part.mean((0, 2, 3), keepdim=True)) / (part.std((0, 2, 3), keepdim=True) + 1e-3)
        for part in seen.hidden_states[2:4]
    )
    features = seen.pooler_output.flatten(1)
    return fine, coarse, features - features.mean(0)


@torch.no_grad()
def verification_auc(encoder: Dinov2Model, pictures: Pictures) -> float:
    """The chance that two pictures of one person are closer than two of different persons, in [0, 1] (an AUC)."""
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
