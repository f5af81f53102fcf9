"""An image classifier as a judge: does a picture show the attributes that its prompt names?"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.scoring.embeddings import Embeddings, fingerprint_of, hash_of, shown_of
from caplora.study import Model, Study


def named_attributes(phrases: dict[str, dict[str, list[str]]], text: str) -> dict[str, str]:
    """Attribute → value for what a text names, by attribute → value → phrases; the longest phrase wins."""
    found = {}
    for attribute, values in phrases.items():
        said = [(len(p), value) for value, known in values.items() for p in known if p in text]
        if said:
            found[attribute] = max(said)[1]
    return found


class Judge:
    """An image classifier whose labels are "attribute: value" and whose config says how prompts name each value.

    Its embedding of a picture is the logits of all labels.
    """

    def __init__(self, study: Study, model: Model, device: torch.device) -> None:
        from transformers import AutoImageProcessor, ResNetForImageClassification  # seconds, for those who score

        path = study.model_path(model)
        self.device, self.label = device, Path(model.path).name
        loaded = ResNetForImageClassification.from_pretrained(path, revision=model.revision, dtype=torch.float32)
        self.model = loaded.to(device).eval()
        self.processor = AutoImageProcessor.from_pretrained(path, revision=model.revision)
        self.phrases: dict[str, dict[str, list[str]]] = self.model.config.phrases
        self.labels = [label.split(": ") for _, label in sorted(self.model.config.id2label.items())]
        self.weights = hash_of(self.model)
        self.versions = f"transformers {version('transformers')}, torch {torch.__version__}"
        self.fingerprint = fingerprint_of(self.weights, self.processor.to_dict(), self.versions, device)
        self.shown = shown_of(self.processor.to_dict(), "transformers")

    def pixels(self, images: Sequence[Image.Image]) -> Float[Tensor, "n 3 h w"]:
        """Pictures as the model is shown them."""
        return self.processor([image.convert("RGB") for image in images], return_tensors="pt").pixel_values

    @torch.no_grad()
    def embed_pixels(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """The logits of every label, a row for each picture."""
        return self.model(pixels.to(self.device)).logits

    def named(self, prompt: str) -> dict[str, str]:
        """The attributes that the prompt names, and their values."""
        return named_attributes(self.phrases, prompt)

    def seen(self, logits: Float[Tensor, "n d"]) -> list[dict[str, str]]:
        """What each picture shows by its logits: attribute → value."""
        return [self._best(row) for row in logits.tolist()]

    def _best(self, logits: list[float]) -> dict[str, str]:
        best: dict[str, tuple[float, str]] = {}
        for logit, (attribute, value) in zip(logits, self.labels, strict=True):
            best[attribute] = max(best.get(attribute, (float("-inf"), "")), (logit, value))
        return {attribute: value for attribute, (_, value) in best.items()}


class JudgeEmbeddings(Embeddings):
    """What a judge makes of pictures."""

    encoder: Judge


def load_judges(study: Study, device: torch.device) -> list[JudgeEmbeddings]:
    """The study's judge, and what it made before; none where the study has none."""
    judges = [Judge(study, model, device) for model in [study.scoring.judge] if model]
    return [JudgeEmbeddings(judge, study.embeddings, study.scoring.batch_size) for judge in judges]
