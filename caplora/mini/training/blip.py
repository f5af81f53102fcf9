"""The captioner of the mini stack: a small BLIP, trained on the base styles only."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

from caplora.mini.training.fitting import as_pixels, batch_of, device_of, fit
from caplora.mini.training.judge import roughen
from caplora.mini.world import Pictures, caption


def new_blip(tokenizer: BertTokenizer) -> BlipForConditionalGeneration:
    """An untrained BLIP for pictures of 128 pixels."""
    torch.manual_seed(4)
    width = 128
    return BlipForConditionalGeneration(
        BlipConfig(
            vision_config={
                "hidden_size": width,
                "intermediate_size": 3 * width,
                "num_hidden_layers": 4,
                "num_attention_heads": 4,
                "image_size": 128,
                "patch_size": 16,
            },
            text_config={
                "vocab_size": len(tokenizer),
                "hidden_size": 96,
                "encoder_hidden_size": width,
                "intermediate_size": 288,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "max_position_embeddings": 64,
                "bos_token_id": tokenizer.bos_token_id,
                "eos_token_id": tokenizer.sep_token_id,
                "sep_token_id": tokenizer.sep_token_id,
                "pad_token_id": tokenizer.pad_token_id,
                "hidden_dropout_prob": 0.0,
                "attention_probs_dropout_prob": 0.0,
                "label_smoothing": 0.0,
            },
            projection_dim=width,
            image_text_hidden_size=width,
        )
    )


def processor_of(tokenizer: BertTokenizer) -> BlipProcessor:
    """The processor that goes with the model: 128 pixels, −1 … 1."""
    images = BlipImageProcessor(size={"height": 128, "width": 128}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return BlipProcessor(images, tokenizer)


def train_blip(
    blip: BlipForConditionalGeneration,
    pictures: Pictures,
    tokenizer: BertTokenizer,
    steps: int,
    folder: Path,
    batch: int = 48,
) -> Iterator[tuple[int, float]]:
    """Train the captioner on plainly worded captions, whose clauses keep one order; yields (step, loss)."""
    images = torch.from_numpy(pictures.images)
    texts = [f"[DEC] {caption(pictures.attributes(i))} [SEP]" for i in range(len(images))]
    tokens = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt").input_ids
    labels = tokens.masked_fill(tokens == tokenizer.pad_token_id, -100)
    mask, device = (tokens != tokenizer.pad_token_id).long(), device_of(blip)

    def loss(generator: torch.Generator) -> Tensor:
        index = batch_of(generator, len(images), batch)
        x = roughen(as_pixels(images[index]), generator).to(device)
        said, shown, true = (part[index].to(device) for part in (tokens, mask, labels))
        return blip(x, input_ids=said, attention_mask=shown, labels=true).loss

    yield from fit(blip, loss, steps, 1.5e-3, folder, averaging=0.997)
