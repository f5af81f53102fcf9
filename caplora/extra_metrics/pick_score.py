"""PickScore: a CLIP trained on which of two pictures people picked (Kirstain et al. 2023, arXiv 2305.01569)."""

from collections.abc import Sequence

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from caplora.extra_metrics.of_pictures import OfPictures
from caplora.sampling import Sample
from caplora.scoring import ClipEmbeddings, Pretrained, cosines, paths_of, score_rows
from caplora.study import Study


class PickEncoder(Pretrained):
    """A CLIPModel; `scale` is what a cosine is multiplied by."""

    kind, setting = "CLIPModel", "scoring.pick_score"

    def __init__(self, study: Study, device: torch.device) -> None:
        from transformers import AutoTokenizer

        super().__init__(study, study.scoring.pick_score, device)
        with self.loading():
            self.tokenizer = AutoTokenizer.from_pretrained(self.path, **self.pinned)
            known, wanted = len(self.tokenizer), self.model.config.text_config.vocab_size
            if known < wanted:  # of a folder without its files, transformers makes one that knows no words
                raise ValueError(f"its tokenizer knows {known} tokens and its model {wanted}")
        self.scale = float(self.model.logit_scale.detach().exp())

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


class PickScore(OfPictures):
    """The PickScore of samples: the cosine of picture and prompt times the model's scale (section 4 of the paper)."""

    metric = "pick_score"
    views: ClipEmbeddings

    def __init__(self, study: Study, device: torch.device) -> None:
        self.encoder = PickEncoder(study, device)
        self.views = ClipEmbeddings(self.encoder, study.embeddings, study.scoring.batch_size)

    def table(self, samples: Sequence[Sample]) -> pd.DataFrame:
        """A row of the score table for each sample."""
        images, texts = self.views.images(paths_of(samples)), self.views.texts([s.prompt for s in samples])
        values = self.encoder.scale * cosines(images, texts)
        return score_rows(samples, self.metric, values.tolist(), self.encoder)
