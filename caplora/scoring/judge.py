"""An image classifier as a judge: does a picture show the attributes that its prompt names?"""

import torch
from jaxtyping import Float
from torch import Tensor

from caplora.scoring.embeddings import Embeddings
from caplora.scoring.pretrained import Pretrained
from caplora.study import Model, Study


def named_attributes(phrases: dict[str, dict[str, list[str]]], text: str) -> dict[str, str]:
    """Attribute → value for what a text names, by attribute → value → phrases; the longest phrase wins."""
    found = {}
    for attribute, values in phrases.items():
        said = [(len(p), value) for value, known in values.items() for p in known if p in text]
        if said:
            found[attribute] = max(said)[1]
    return found


class Judge(Pretrained):
    """An image classifier whose labels are "attribute: value" and whose config says how prompts name each value.

    Its embedding of a picture is the logits of all labels.
    """

    kind, setting = "ResNetForImageClassification", "scoring.judge"

    def __init__(self, study: Study, model: Model, device: torch.device) -> None:
        super().__init__(study, model, device)
        self.phrases: dict[str, dict[str, list[str]]] = self.model.config.phrases
        self.labels = [label.split(": ") for _, label in sorted(self.model.config.id2label.items())]

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
