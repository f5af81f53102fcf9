"""Prompts → what the UNet reads of them, each made once: text embeddings, keys and values of cross-attention."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from jaxtyping import Float
from torch import Tensor, nn

from caplora.models import Pipeline, encode_texts


class Texts:
    """Prompts → text embeddings of the base model. Each is encoded once, and alone: the same whatever else is drawn."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str]) -> Float[Tensor, "n rows d"]:
        """The embeddings of prompts, in their order."""
        for prompt in prompts:
            if prompt not in self._kept:
                self._kept[prompt] = encode_texts(self.pipeline, [prompt])[0]
        return torch.stack([self._kept[prompt] for prompt in prompts])


@torch.no_grad()
def texts_of_arms(pipeline: Pipeline, arms: int, prompts: Sequence[str]) -> Float[Tensor, "a n rows d"]:
    """The embeddings of prompts by the text encoders as each of `arms` has them: adapters may be on these too."""
    own = list(dict.fromkeys(prompts))
    made = encode_texts(pipeline, own * arms)
    return made.view(arms, len(own), *made.shape[1:])[:, [own.index(prompt) for prompt in prompts]]


def text_layers(unet: UNet2DConditionModel) -> list[nn.Module]:
    """The layers that read nothing but texts: `to_k` and `to_v` of every cross-attention, adapters on them too."""
    crossing = [m for m in unet.modules() if isinstance(m, Attention) and m.is_cross_attention]
    return [layer for attention in crossing for layer in (attention.to_k, attention.to_v)]


class Kept(threading.local):
    """What text layers answer in a thread, in their order, while they are `answering`."""

    answers: Sequence[Tensor] = ()


@contextmanager
def answering(layers: Sequence[nn.Module], kept: Kept) -> Iterator[None]:
    """Within it each layer answers with what is kept for it, whatever it is asked."""
    try:
        for i, layer in enumerate(layers):
            vars(layer)["forward"] = lambda _, i=i: kept.answers[i]
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)
