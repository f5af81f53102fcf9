"""Tiny real captioners of every family: random weights, tokenizers of the world's words, saved as a hub repository is.

Their weights are loud enough that what a picture shows changes what is said of it.
"""

import re
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import nn
from transformers import (
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from caplora.mini.training.blip import new_blip, processor_of
from caplora.mini.training.measure import MODELS
from caplora.mini.world.words import corpus

SIDE = 32  # pixels
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>", "<video>", "<vision>", "</vision>")
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
IMAGE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 8,
}
CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{{ ' <image> ' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %} a photo {% endif %}"
)


@cache
def words() -> tuple[str, ...]:
    """Every word of the world, and yes and no, after the special ones."""
    return (*SPECIAL, *sorted({"yes", "no"} | set(re.findall(r"[\w-]+", " ".join(corpus(200)).lower()))))


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with an id for each word."""
    plain = Tokenizer(WordLevel({word: i for i, word in enumerate(words())}, unk_token="<unk>"))
    plain.pre_tokenizer = WhitespaceSplit()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        extra_special_tokens={"image_token": "<image>", "video_token": "<video>"},
        **special,
    )


def loud(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with large random weights; those that meet the image and the words are the largest."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.ndim > 1:
                scale = 6.0 if re.search("crossattention|decoder.weight|project|output.weight|lm_head", name) else 1.0
                weights.copy_(scale * torch.randn(weights.shape, generator=generator) / weights[0].numel() ** 0.5)
    return model


def clip_images() -> CLIPImageProcessor:
    """Pictures of SIDE × SIDE."""
    return CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


def blip(folder: Path) -> None:
    spoken = BertTokenizer.from_pretrained(MODELS / "blip")
    loud(new_blip(spoken)).save_pretrained(folder)
    processor_of(spoken).save_pretrained(folder)


def blip_2(folder: Path) -> None:
    spoken = tokenizer()
    config = Blip2Config(
        vision_config=IMAGE,
        qformer_config={k: TEXT[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers")}
        | {"num_attention_heads": 2, "vocab_size": len(spoken)},
        text_config={**TEXT, "model_type": "opt", "vocab_size": len(spoken), "ffn_dim": 64, "word_embed_proj_dim": 32},
        num_query_tokens=4,
        image_token_index=spoken.convert_tokens_to_ids("<image>"),
    )
    loud(Blip2ForConditionalGeneration(config)).save_pretrained(folder)
    images = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    Blip2Processor(images, spoken, num_query_tokens=4).save_pretrained(folder)


def git(folder: Path) -> None:
    spoken = tokenizer()
    config = GitConfig(vision_config=IMAGE, vocab_size=len(spoken), **TEXT)
    loud(GitForCausalLM(config)).save_pretrained(folder)
    GitProcessor(clip_images(), spoken).save_pretrained(folder)


def florence2(folder: Path) -> None:
    spoken = tokenizer()
    config = Florence2Config(
        text_config={
            "model_type": "bart",
            "vocab_size": len(spoken),
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 256,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 2,
            "forced_eos_token_id": None,
        },
        vision_config={
            "depths": (1, 1),
            "patch_size": (7, 3),
            "patch_stride": (4, 2),
            "patch_padding": (3, 1),
            "patch_prenorm": (False, True),
            "embed_dim": (16, 32),
            "num_heads": (2, 2),
            "num_groups": (2, 2),
            "window_size": 4,
            "projection_dim": 32,
        },
        image_token_id=spoken.convert_tokens_to_ids("<image>"),
    )
    loud(Florence2ForConditionalGeneration(config)).save_pretrained(folder)
    images = clip_images()
    images.image_seq_length = 17  # 4 × 4 and their mean
    Florence2Processor(images, spoken).save_pretrained(folder)


def llava(folder: Path) -> None:
    spoken = tokenizer()
    config = LlavaConfig(
        vision_config={**IMAGE, "model_type": "clip_vision_model"},
        text_config={**TEXT, "model_type": "llama", "vocab_size": len(spoken)},
        image_token_index=spoken.convert_tokens_to_ids("<image>"),
    )
    loud(LlavaForConditionalGeneration(config)).save_pretrained(folder)
    LlavaProcessor(
        clip_images(),
        spoken,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=CHAT,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)


def idefics3(folder: Path) -> None:
    spoken = tokenizer()
    spoken.add_tokens(["<fake_token_around_image>", "<end_of_utterance>", "<global-img>"], special_tokens=True)
    config = Idefics3Config(
        vision_config=IMAGE,
        text_config={**TEXT, "model_type": "llama", "vocab_size": len(spoken)},
        scale_factor=2,
        image_token_id=spoken.convert_tokens_to_ids("<image>"),
    )
    loud(Idefics3ForConditionalGeneration(config)).save_pretrained(folder)
    images = Idefics3ImageProcessor(
        size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=False
    )
    Idefics3Processor(images, spoken, image_seq_len=4, chat_template=CHAT).save_pretrained(folder)


def qwen2_5_vl(folder: Path) -> None:
    spoken = tokenizer()
    ids = {part: spoken.convert_tokens_to_ids(f"<{part}>") for part in ("image", "video", "vision", "/vision")}
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 8,
            "out_hidden_size": 32,
            "window_size": 32,
            "fullatt_block_indexes": (1,),
        },
        text_config={
            **TEXT,
            "vocab_size": len(spoken),
            "num_key_value_heads": 1,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        },
        image_token_id=ids["image"],
        video_token_id=ids["video"],
        vision_start_token_id=ids["vision"],
        vision_end_token_id=ids["/vision"],
    )
    loud(Qwen2_5_VLForConditionalGeneration(config)).save_pretrained(folder)
    images = Qwen2VLImageProcessor(patch_size=8, min_pixels=16 * 16, max_pixels=64 * 64)
    videos = Qwen2VLVideoProcessor(patch_size=8)
    chat = CHAT.replace("<image>", "<vision> <image> </vision>")
    Qwen2_5_VLProcessor(images, spoken, videos, chat_template=chat).save_pretrained(folder)


MAKERS = {
    "blip": blip,
    "blip-2": blip_2,
    "florence2": florence2,
    "git": git,
    "idefics3": idefics3,
    "llava": llava,
    "qwen2_5_vl": qwen2_5_vl,
}
