"""A DINOv2 that embeds pictures: two pictures of one person are near each other, whatever else they show."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from caplora.scoring.embeddings import Embeddings, fingerprint_of, hash_of, shown_of
from caplora.study import Model, Study


class IdentityEncoder:
    """A DINOv2 encoder in fp32; the embedding of a picture is its pooled class token."""

    def __init__(self, study: Study, model: Model, device: torch.device) -> None:
        from transformers import AutoImageProcessor, Dinov2Model  # seconds, for those who score

        path = study.model_path(model)
        self.device, self.label = device, Path(model.path).name
        self.model = Dinov2Model.from_pretrained(path, revision=model.revision, dtype=torch.float32).to(device).eval()
        self.processor = AutoImageProcessor.from_pretrained(path, revision=model.revision)
        self.weights = hash_of(self.model)
        self.versions = f"transformers {version('transformers')}, torch {torch.__version__}"
        self.fingerprint = fingerprint_of(self.weights, self.processor.to_dict(), self.versions, device)
        self.shown = shown_of(self.processor.to_dict(), "transformers")

    def pixels(self, images: Sequence[Image.Image]) -> Float[Tensor, "n 3 h w"]:
        """Pictures as the model is shown them."""
        return self.processor([image.convert("RGB") for image in images], return_tensors="pt").pixel_values

    @torch.no_grad()
    def embed_pixels(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Image embeddings, not of unit length."""
        return self.model(pixels.to(self.device)).pooler_output


def load_identity(study: Study, device: torch.device) -> Embeddings:
    """The study's identity encoder, and what it made before."""
    encoder = IdentityEncoder(study, study.scoring.identity, device)
    return Embeddings(encoder, study.embeddings, study.scoring.batch_size)
