"""Samples → scores: CLIPScore by two models, identity by an encoder, and a judge where the study has one.

Long format: one row per (variant, prompt, seed, metric, model).
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import open_clip
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, Dinov2Model, ResNetForImageClassification

from caplora.files import write_text
from caplora.settings import Clip, Model, Scoring
from caplora.study import Study

COLUMNS = ("variant", "prompt", "seed", "split", "metric", "model", "value")
WEIGHT = 2.5  # w of CLIPScore


@dataclass(frozen=True)
class Sample:
    """A generated image as 03 left it."""

    variant: str  # the arm: baseline or a variant's name
    path: Path
    prompt: str
    seed: int
    split: str


def read_samples(folder: Path) -> list[Sample]:
    """The samples of one arm; a missing table or picture raises FileNotFoundError saying which."""
    table = folder / "metadata.csv"
    if not table.is_file():
        raise FileNotFoundError(f"{table} does not exist: run 03_inference for this arm first")
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    samples = [Sample(folder.name, folder / r["file_name"], r["text"], int(r["seed"]), r["split"]) for r in rows]
    gone = [s.path for s in samples if not s.path.is_file()]
    if gone:
        raise FileNotFoundError(f"{gone[0]} is named in {table} and does not exist; run 03_inference again")
    return samples


def clip_scores(images: Float[Tensor, "n d"], texts: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """CLIPScore of each image-text pair of embeddings, in 0 … 2.5 (Hessel et al. 2021, equation 1)."""
    return WEIGHT * cosines(images, texts).clamp(min=0)


def cosines(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Raw cosine of each pair, −1 … 1."""
    return F.cosine_similarity(a, b, dim=1)


class ClipScorer:
    """An open_clip model with its own preprocessing and tokenizer, in fp32."""

    def __init__(self, name: str, pretrained: str | None, label: str, device: torch.device) -> None:
        check_activation(name, pretrained)
        self.label, self.device = label, device
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(name, pretrained, device=device)
        self.model.float().eval()
        self.tokenize = open_clip.get_tokenizer(name)

    @torch.no_grad()
    def embed_images(self, images: Sequence[Image.Image]) -> Float[Tensor, "n d"]:
        """Image embeddings."""
        return self.model.encode_image(torch.stack([self.preprocess(i.convert("RGB")) for i in images]).to(self.device))

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Text embeddings, of the texts as given: the prefix is the caller's."""
        return self.model.encode_text(self.tokenize(list(texts)).to(self.device))


def check_activation(name: str, pretrained: str | None) -> None:
    """Raise ValueError where a model computes another activation than open_clip's weights were trained with."""
    published = open_clip.get_pretrained_cfg(name, pretrained) if pretrained else {}
    wanted = bool(published.get("quick_gelu"))
    computed = bool((open_clip.get_model_config(name) or {}).get("quick_gelu"))
    if published and wanted != computed:
        other = name + "-quickgelu" if wanted else name.removesuffix("-quickgelu")
        raise ValueError(
            f"scoring.clips: {name!r} computes {'QuickGELU' if computed else 'plain GELU'} and the weights "
            f"{pretrained!r} were trained with {'QuickGELU' if wanted else 'plain GELU'}; write {other!r}"
        )


def load_clip(study: Study, clip: Clip, device: torch.device) -> ClipScorer:
    """The study's CLIP; its label in the table is its name, weights included."""
    label = f"{clip.name}/{clip.pretrained}" if clip.pretrained else clip.name.rsplit("/", 1)[-1]
    return ClipScorer(study.clip_name(clip), clip.pretrained, label, device)


def clip_values(
    scorer: ClipScorer, samples: Sequence[Sample], settings: Scoring
) -> Iterator[list[tuple[Sample, str, float]]]:
    """Raw cosine and CLIPScore of the samples with their prompts, batch by batch: (sample, metric, value)."""
    for batch in batches(samples, settings.batch_size):
        images = scorer.embed_images([Image.open(s.path) for s in batch])
        texts = scorer.embed_texts([settings.prefix + s.prompt for s in batch])
        raw, scores = cosines(images, texts).tolist(), clip_scores(images, texts).tolist()
        yield [(s, "clip_cosine", value) for s, value in zip(batch, raw, strict=True)] + [
            (s, "clip_score", value) for s, value in zip(batch, scores, strict=True)
        ]


def caption_agreement(study: Study, captions: Mapping[str, str], device: torch.device) -> dict[str, float]:
    """File name → raw cosine of a caption to its image in the dataset, −1 … 1, by the study's first CLIP."""
    scorer = load_clip(study, study.scoring.clips[0], device)
    shown = [Sample("", study.dataset / name, text, 0, "") for name, text in captions.items()]
    values = [value for batch in clip_values(scorer, shown, study.scoring) for value in batch]
    cosine = {sample.path: value for sample, metric, value in values if metric == "clip_cosine"}
    return {name: cosine[study.dataset / name] for name in captions}


class IdentityEncoder:
    """A DINOv2 encoder; the embedding of an image is its pooled class token."""

    def __init__(self, study: Study, model: Model, device: torch.device) -> None:
        path = study.model_path(model)
        self.device, self.label = device, Path(model.path).name
        self.model = Dinov2Model.from_pretrained(path, revision=model.revision, dtype=torch.float32).to(device).eval()
        self.processor = AutoImageProcessor.from_pretrained(path, revision=model.revision)

    @torch.no_grad()
    def embed(self, images: Sequence[Image.Image]) -> Float[Tensor, "n d"]:
        """Embeddings of unit length."""
        pixels = self.processor([i.convert("RGB") for i in images], return_tensors="pt").pixel_values.to(self.device)
        return F.normalize(self.model(pixels).pooler_output, dim=1)


def identity_values(
    encoder: IdentityEncoder, samples: Sequence[Sample], portraits: Sequence[Path], settings: Scoring
) -> Iterator[list[tuple[Sample, str, float]]]:
    """Mean cosine of each sample to the held-out portraits, −1 … 1 (Ruiz et al. 2023, section 4.2, DINO)."""
    if not portraits:
        raise ValueError(
            "identity is measured against held-out portraits and there are none: set images.held_out above 0"
        )
    parts = [encoder.embed([Image.open(p) for p in batch]) for batch in batches(portraits, settings.batch_size)]
    real = torch.cat(parts)  # (portraits, d)
    for batch in batches(samples, settings.batch_size):
        near = (encoder.embed([Image.open(s.path) for s in batch]) @ real.T).mean(1)
        yield [(s, "identity", value) for s, value in zip(batch, near.tolist(), strict=True)]


def named_attributes(phrases: dict[str, dict[str, list[str]]], text: str) -> dict[str, str]:
    """Attribute → value for what a text names, by attribute → value → phrases; the longest phrase wins."""
    found = {}
    for attribute, values in phrases.items():
        said = [(len(p), value) for value, known in values.items() for p in known if p in text]
        if said:
            found[attribute] = max(said)[1]
    return found


class Judge:
    """An image classifier whose labels are "attribute: value" and whose config says how prompts name each value."""

    def __init__(self, study: Study, model: Model, device: torch.device) -> None:
        path = study.model_path(model)
        self.device, self.label = device, Path(model.path).name
        loaded = ResNetForImageClassification.from_pretrained(path, revision=model.revision, dtype=torch.float32)
        self.model = loaded.to(device).eval()
        self.processor = AutoImageProcessor.from_pretrained(path, revision=model.revision)
        self.phrases: dict[str, dict[str, list[str]]] = self.model.config.phrases
        self.labels = [label.split(": ") for _, label in sorted(self.model.config.id2label.items())]

    def named(self, prompt: str) -> dict[str, str]:
        """The attributes that the prompt names, and their values."""
        return named_attributes(self.phrases, prompt)

    @torch.no_grad()
    def seen(self, images: Sequence[Image.Image]) -> list[dict[str, str]]:
        """What each image shows: attribute → value."""
        pixels = self.processor([i.convert("RGB") for i in images], return_tensors="pt").pixel_values.to(self.device)
        return [self._best(row) for row in self.model(pixels).logits.tolist()]

    def _best(self, logits: list[float]) -> dict[str, str]:
        best: dict[str, tuple[float, str]] = {}
        for logit, (attribute, value) in zip(logits, self.labels, strict=True):
            best[attribute] = max(best.get(attribute, (float("-inf"), "")), (logit, value))
        return {attribute: value for attribute, (_, value) in best.items()}


def judge_values(
    judge: Judge, samples: Sequence[Sample], settings: Scoring
) -> Iterator[list[tuple[Sample, str, float]]]:
    """Share of the attributes that the prompt names which the picture shows, 0 … 1; and each attribute by itself.

    A prompt that names no attribute the judge knows has no value.
    """
    for batch in batches(samples, settings.batch_size):
        values = []
        for s, seen in zip(batch, judge.seen([Image.open(s.path) for s in batch]), strict=True):
            right = {a: float(seen[a] == value) for a, value in judge.named(s.prompt).items()}
            if right:
                values.append((s, "judge", sum(right.values()) / len(right)))
            values += [(s, f"judge_{a}", value) for a, value in right.items()]
        yield values


def batches(items: Sequence, size: int) -> Iterator[Sequence]:
    """The items, `size` at a time."""
    return (items[i : i + size] for i in range(0, len(items), size))


def score_rows(values: Sequence[tuple[Sample, str, float]], model: str) -> pd.DataFrame:
    """Values as rows of the score table."""
    rows = [(s.variant, s.prompt, s.seed, s.split, metric, model, value) for s, metric, value in values]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_scores(tables: Sequence[pd.DataFrame], path: Path) -> pd.DataFrame:
    """The tables as one, written to `path` whole or not at all."""
    scores = pd.concat(tables, ignore_index=True)
    write_text(path, scores.to_csv(index=False))
    return scores
