"""BLIP, made to caption batches fast: the same sums as transformers', without those that it repeats.

Beams differ in what has been said and not in what is seen. transformers copies every image once per beam, projects the
copies to keys and values in each layer of the decoder and carries the copies along at every word (BLIP large, eight
images, three beams: a gigabyte). Here the beams of an image share its keys and values.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import BlipForConditionalGeneration, GenerationConfig


class ImageAttention(nn.Module):
    """The self-attention of an image encoder's layer, fused: scores of all patches with all are never stored."""

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.qkv, self.projection, self.num_heads = plain.qkv, plain.projection, plain.num_heads

    def forward(self, hidden_states: Float[Tensor, "n patches d"], **_: object) -> tuple[Tensor, None]:
        """What each patch gathers from all patches, and no attention weights."""
        mixed = self.qkv(hidden_states).unflatten(-1, (3, self.num_heads, -1))  # n patches 3 heads d
        q, k, v = mixed.permute(2, 0, 3, 1, 4)
        return self.projection(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)), None


class SharedCrossAttention(nn.Module):
    """The cross-attention of a decoder's layer, with one set of keys and values for all beams of an image."""

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.query, self.key, self.value = plain.query, plain.key, plain.value
        self.num_heads = plain.num_attention_heads
        self.seen: tuple[Tensor, Tensor]

    def see(self, images: Float[Tensor, "n patches d"]) -> None:
        """Attend to these images from now on."""
        self.seen = self._heads(self.key(images)), self._heads(self.value(images))

    def forward(
        self, hidden_states: Float[Tensor, "beams tokens d"], *_: object, **__: object
    ) -> tuple[Float[Tensor, "beams tokens d"], None]:
        """What each token of each beam gathers from its image, and no attention weights."""
        keys, values = self.seen
        by_image = hidden_states.reshape(len(keys), -1, hidden_states.shape[-1])  # n (beams of it × tokens) d
        gathered = F.scaled_dot_product_attention(self._heads(self.query(by_image)), keys, values)
        return gathered.transpose(1, 2).reshape(hidden_states.shape), None

    def _heads(self, x: Float[Tensor, "n tokens d"]) -> Float[Tensor, "n heads tokens e"]:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def quicken(blip: BlipForConditionalGeneration) -> BlipForConditionalGeneration:
    """The same BLIP with its attention replaced by ours; its weights and what they mean stay."""
    text, ends = blip.config.text_config, blip.text_decoder.generation_config
    ends.eos_token_id, ends.pad_token_id = text.sep_token_id, text.pad_token_id  # as BLIP's own `generate` has it
    for layer in blip.vision_model.encoder.layers:
        layer.self_attn = ImageAttention(layer.self_attn)
    for layer in blip.text_decoder.bert.encoder.layer:
        layer.crossattention.self = SharedCrossAttention(layer.crossattention.self)
    return blip


def generate_blip(
    blip: BlipForConditionalGeneration, pixels: Float[Tensor, "n 3 h w"], decoding: GenerationConfig
) -> Int[Tensor, "n tokens"]:
    """The token ids that a quickened BLIP says of each image."""
    images = blip.vision_model(pixels).last_hidden_state
    for layer in blip.text_decoder.bert.encoder.layer:
        layer.crossattention.self.see(images)
    first = blip.config.text_config.bos_token_id
    return blip.text_decoder.generate(
        input_ids=torch.full((len(images), 1), first, device=pixels.device),
        encoder_hidden_states=images[:, :1],  # that there are images; what they show has been seen
        generation_config=decoding,
    )
