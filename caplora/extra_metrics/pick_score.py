"""PickScore: a CLIP trained on which of two pictures people picked (Kirstain et al. 2023, arXiv 2305.01569)."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from caplora.sampling import Sample
from caplora.scoring import ClipEmbeddings, cosines, embed, fingerprint_of, hash_of, paths_of, score_rows, shown_of
from caplora.study import Study


class PickEncoder:
    """A CLIPModel of transformers in fp32, with its own preprocessing; `scale` is what a cosine is multiplied by."""

    def __init__(self, study: Study, device: torch.device) -> None:
        from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel  # seconds, for those who score

        settings = study.scoring.pick_score
        path, pinned = study.model_path(settings), {"revision": settings.revision}
        self.device, self.label = device, Path(settings.path).name
        loaded = CLIPModel.from_pretrained(path, dtype=torch.float32, use_safetensors=True, **pinned)
        self.model = loaded.to(device).eval()
        self.processor = AutoImageProcessor.from_pretrained(path, **pinned)
        self.tokenizer = AutoTokenizer.from_pretrained(path, **pinned)
        self.scale = float(self.model.logit_scale.detach().exp())
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
        return self.model.get_image_features(pixel_values=pixels.to(self.device)).pooler_output

    def token_ids(self, texts: Sequence[str]) -> Int[Tensor, "n tokens"]:
        """What the model reads of texts; what does not fit is cut off. Padding lies behind what it looks at."""
        length = self.model.config.text_config.max_position_embeddings
        return self.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).input_ids

    @torch.no_grad()
    def embed_tokens(self, ids: Int[Tensor, "n tokens"]) -> Float[Tensor, "n d"]:
        """Text embeddings, not of unit length."""
        return self.model.get_text_features(input_ids=ids.to(self.device)).pooler_output


class PickScore:
    """The PickScore of samples: the cosine of picture and prompt times the model's scale (section 4 of the paper)."""

    metric = "pick_score"

    def __init__(self, study: Study, device: torch.device) -> None:
        self.encoder = PickEncoder(study, device)
        self.views = ClipEmbeddings(self.encoder, study.embeddings, study.scoring.batch_size)

    def batches(self, samples: Sequence[Sample]) -> int:
        """How many batches `embed` yields."""
        return -(-len(samples) // self.views.batch_size)

    def embed(self, samples: Sequence[Sample]) -> Iterator[object]:
        """Put every picture through the model that has not been, batch by batch."""
        return embed([self.views], paths_of(samples))

    def table(self, samples: Sequence[Sample]) -> pd.DataFrame:
        """A row of the score table for each sample."""
        images, texts = self.views.images(paths_of(samples)), self.views.texts([s.prompt for s in samples])
        values = self.encoder.scale * cosines(images, texts)
        return score_rows(samples, self.metric, values.tolist(), self.encoder)
