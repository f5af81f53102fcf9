"""A DINOv2 that embeds pictures: two pictures of one person are near each other, whatever else they show."""

import torch
from jaxtyping import Float
from torch import Tensor

from caplora.scoring.embeddings import Embeddings
from caplora.scoring.pretrained import Pretrained
from caplora.study import Study


class IdentityEncoder(Pretrained):
    """A DINOv2 encoder; the embedding of a picture is its pooled class token."""

    kind, setting = "Dinov2Model", "scoring.identity"

    @torch.no_grad()
    def embed_pixels(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Image embeddings, not of unit length."""
        return self.model(pixels.to(self.device)).pooler_output


def load_identity(study: Study, device: torch.device) -> Embeddings:
    """The study's identity encoder, and what it made before."""
    encoder = IdentityEncoder(study, study.scoring.identity, device)
    return Embeddings(encoder, study.embeddings, study.scoring.batch_size)
