"""Texts → token ids → what the UNet is told of them, for models with one text encoder and for SDXL with two."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from caplora.captions import Tokenizer, lost_words, token_count, token_limit
from caplora.models.family import Pipeline, is_xl


def text_encoders(pipeline: Pipeline) -> list[nn.Module]:
    """The text encoders of a pipeline: one, or the two of SDXL."""
    second = getattr(pipeline, "text_encoder_2", None)
    return [pipeline.text_encoder] if second is None else [pipeline.text_encoder, second]


def tokenizers(pipeline: Pipeline) -> list[Tokenizer]:
    """The tokenizer of each text encoder; the two of SDXL differ in what they fill up with."""
    return [getattr(pipeline, name) for name in ("tokenizer", "tokenizer_2") if getattr(pipeline, name, None)]


def text_tokens(pipeline: Pipeline, texts: Sequence[str]) -> Int[Tensor, "n tokens"]:
    """The token ids of texts, those of a second tokenizer behind those of the first.

    A text that does not fit raises ValueError and shows what is lost.
    """
    for text in texts:
        if lost := lost_words(text, pipeline.tokenizer):
            count, limit = token_count(text, pipeline.tokenizer), token_limit(pipeline.tokenizer)
            raise ValueError(f"{text!r} has {count} tokens and {limit} fit: {lost!r} would be lost; shorten it")
    return torch.cat([_ids(tokenizer, texts) for tokenizer in tokenizers(pipeline)], dim=1)


def _ids(tokenizer: Tokenizer, texts: Sequence[str]) -> Int[Tensor, "n tokens"]:
    length = tokenizer.model_max_length
    return tokenizer(list(texts), padding="max_length", max_length=length, return_tensors="pt").input_ids


def encode_texts(pipeline: Pipeline, texts: Sequence[str]) -> Float[Tensor, "n rows d"]:
    """Text embeddings on the device, in one pass; a text that does not fit raises ValueError."""
    return encode_tokens(pipeline, text_tokens(pipeline, texts))


def encode_tokens(pipeline: Pipeline, ids: Int[Tensor, "n tokens"]) -> Float[Tensor, "n rows d"]:
    """The embeddings of token ids, in one pass.

    Of SDXL (Podell et al. 2023, section 2.1) they are the last states but one of both encoders side by side and, as
    one row more, the second encoder's embedding of the whole text, filled up with zeros. Its empty text is all zeros
    where the model was made to be guided away from zeros (`force_zeros_for_empty_prompt`).
    """
    encoders, ids = text_encoders(pipeline), ids.to(pipeline.text_encoder.device)
    if len(encoders) == 1:
        return encoders[0](ids).last_hidden_state
    made = [
        encoder(own, output_hidden_states=True)
        for encoder, own in zip(encoders, ids.chunk(len(encoders), dim=1), strict=True)
    ]
    states, whole = torch.cat([m.hidden_states[-2] for m in made], dim=-1), made[-1].text_embeds
    rows = torch.cat([states, F.pad(whole, (0, states.shape[-1] - whole.shape[-1]))[:, None]], dim=1)
    if not pipeline.config.force_zeros_for_empty_prompt:
        return rows
    empty = (ids == text_tokens(pipeline, [""]).to(ids.device)).all(dim=1)
    return torch.where(empty[:, None, None], torch.zeros_like(rows), rows)


def conditions(pipeline: Pipeline, texts: Float[Tensor, "n rows d"]) -> dict[str, Any]:
    """What the UNet is told beside latents and timestep, as its keyword arguments; `texts` are of `encode_tokens`.

    SDXL is also told the whole text's embedding and the size of the picture: as large as it is drawn, nothing cut off.
    """
    if not is_xl(pipeline):
        return {"encoder_hidden_states": texts}
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    sizes = texts.new_tensor([[side, side, 0, 0, side, side]], dtype=torch.float32).expand(len(texts), -1)
    whole = texts[:, -1, : pipeline.text_encoder_2.config.projection_dim]
    return {
        "encoder_hidden_states": texts[:, :-1],
        "added_cond_kwargs": {"text_embeds": whole, "time_ids": sizes},
    }
