"""The configs of Stable Diffusion 1.5, 2.1 and XL as they are published: what a plan needs of a base model."""

from typing import Any

from caplora.planning.configs import BaseConfigs

DOWN, UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
UNETS: dict[str, dict[str, Any]] = {
    "sd15": {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    "sd21": {
        "sample_size": 96,
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
    "sdxl": {
        "sample_size": 128,
        "cross_attention_dim": 2048,
        "attention_head_dim": [5, 10, 20],
        "use_linear_projection": True,
        "block_out_channels": [320, 640, 1280],
        "down_block_types": ["DownBlock2D", DOWN, DOWN],
        "up_block_types": [UP, UP, "UpBlock2D"],
        "transformer_layers_per_block": [1, 2, 10],
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "vocab_size": 49408}
H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "vocab_size": 49408}
G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "vocab_size": 49408}
TEXTS = {"sd15": [L], "sd21": [H], "sdxl": [L, G]}


def unet_config(name: str) -> dict[str, Any]:
    """The UNet's config of `sd15`, `sd21` or `sdxl`."""
    return UNETS[name]


def base_configs(name: str) -> BaseConfigs:
    """What a plan reads of such a base model."""
    return BaseConfigs.of(unet_config(name), VAE, TEXTS[name])
