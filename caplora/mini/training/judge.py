"""The judge of the mini stack: a classifier that says what a picture of this world shows, attribute by attribute."""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BitImageProcessor, ResNetConfig, ResNetForImageClassification

from caplora.mini.training.fitting import as_pixels, batch_of, device_of, fit
from caplora.mini.world import ATTRIBUTES, WORDS, Pictures
from caplora.scoring import named_attributes


def phrases() -> dict[str, dict[str, list[str]]]:
    """Attribute → value → each phrase by which a prompt names that value."""
    named: dict[str, dict[str, list[str]]] = {a: {v: [] for v in values} for a, values in ATTRIBUTES.items()}
    for coloured, colours in (("hair", "hair_colour"), ("clothes", "clothes_colour")):
        for value, templates in WORDS[coloured].items():
            for colour, words in WORDS[colours].items():
                said = [t.format(w) for t in templates for w in words]
                named[coloured][value] += said
                named[colours][colour] += said
    for attribute, values in WORDS.items():
        if attribute not in ("hair", "hair_colour", "clothes", "clothes_colour"):
            for value, words in values.items():
                named[attribute][value] += [w for w in words if w]
    return named


def new_judge() -> ResNetForImageClassification:
    """An untrained judge, one logit per value; its config has the labels ("attribute: value") and phrases of each."""
    torch.manual_seed(3)
    labels = [f"{attribute}: {value}" for attribute, values in ATTRIBUTES.items() for value in values]
    config = ResNetConfig(
        embedding_size=24,
        hidden_sizes=[32, 48, 96, 128],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        phrases=phrases(),
    )
    return ResNetForImageClassification(config).to(memory_format=torch.channels_last)


def processor() -> BitImageProcessor:
    """The image processor that goes with the judge: 128 pixels, −1 … 1."""
    return BitImageProcessor(
        size={"shortest_edge": 128}, crop_size={"height": 128, "width": 128}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )


def logits_by_attribute(logits: Tensor) -> dict[str, Tensor]:
    """Attribute → its logits (n, its values), from the logits of all values (n, all values)."""
    parts = logits.split([len(values) for values in ATTRIBUTES.values()], dim=1)
    return dict(zip(ATTRIBUTES, parts, strict=True))


def named_labels(texts: list[str]) -> Tensor:
    """The value of each attribute that each text names, as an index, −100 where it names none, (n, attributes)."""
    known = phrases()
    rows = []
    for text in texts:
        named = named_attributes(known, text)
        rows.append([values.index(named[a]) if a in named else -100 for a, values in ATTRIBUTES.items()])
    return torch.tensor(rows)


def attribute_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy over the attributes; labels are (n, attributes), −100 where not known."""
    said, labels = logits_by_attribute(logits), labels.to(logits.device)
    sums = [F.cross_entropy(z, labels[:, i], reduction="sum") for i, z in enumerate(said.values())]
    return (torch.stack(sums) / (labels >= 0).sum(0).clamp(min=1)).mean()


def roughen(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (n, 3, h, w), some made soft, noisy, dim or bright, as an autoencoder or a camera might."""
    n = len(x)
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    blur = torch.rand(n, 1, 1, 1, generator=generator) * (torch.rand(n, 1, 1, 1, generator=generator) < 0.5)
    gain = 1 + 0.08 * torch.randn(n, 1, 1, 1, generator=generator)
    noise = 0.04 * torch.rand(n, 1, 1, 1, generator=generator) * torch.randn(x.shape, generator=generator)
    return (x + blur * (soft - x)) * gain + noise


def train_judge(
    judge: ResNetForImageClassification, pictures: Pictures, steps: int, folder: Path, batch: int = 64
) -> Iterator[tuple[int, float]]:
    """Train the judge on the labels; yields (step, loss)."""
    images, labels = torch.from_numpy(pictures.images), torch.from_numpy(pictures.labels)
    device = device_of(judge)

    def loss(generator: torch.Generator) -> Tensor:
        index = batch_of(generator, len(images), batch)
        x = roughen(as_pixels(images[index]), generator).contiguous(memory_format=torch.channels_last).to(device)
        return attribute_loss(judge(x).logits, labels[index])

    yield from fit(judge, loss, steps, 3e-3, folder, averaging=0.995)


@torch.no_grad()
def judged(judge: ResNetForImageClassification, pixels: Tensor) -> Tensor:
    """The values that the judge sees in pictures (n, 3, 128, 128), as indices (n, attributes)."""
    said = logits_by_attribute(torch.cat([judge(part.to(device_of(judge))).logits.cpu() for part in pixels.split(128)]))
    return torch.stack([z.argmax(1) for z in said.values()], 1)


def accuracy_by_style(judge: ResNetForImageClassification, pictures: Pictures) -> dict[str, dict[str, float]]:
    """Style → attribute → share of drawn pictures that are judged right."""
    table = {}
    for style in ATTRIBUTES["style"]:
        part = pictures.of_styles((style,))
        seen = judged(judge, as_pixels(torch.from_numpy(part.images)))
        right = (seen == torch.from_numpy(part.labels)).float().mean(0)
        table[style] = dict(zip(ATTRIBUTES, right.tolist(), strict=True))
    return table
