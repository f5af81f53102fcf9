"""The configs of a base model's parts: of a folder or of the hub (some kB, no weights)."""

import json
from dataclasses import dataclass
from typing import Any

from transformers import CLIPTextConfig

from caplora.models import config_of
from caplora.study import Study


@dataclass(frozen=True)
class BaseConfigs:
    """The configs of a base model's parts, as text so that what was counted once is known again."""

    unet: str
    vae: str
    text_encoders: tuple[str, ...]  # two of SDXL

    @staticmethod
    def of(unet: dict[str, Any], vae: dict[str, Any], text_encoders: list[dict[str, Any]]) -> "BaseConfigs":
        """The configs that such dictionaries hold."""
        return BaseConfigs(_text(unet), _text(vae), tuple(_text(config) for config in text_encoders))


def read_configs(study: Study) -> BaseConfigs:
    """The configs of a study's base model; of the hub only they are fetched, no weights. Raises OSError without any."""
    path, revision = study.model_path(study.base), study.base.revision
    unet, vae = (config_of(path, revision, f"{part}/config.json") for part in ("unet", "vae"))
    folders = ["text_encoder", "text_encoder_2"][: 2 if unet.get("addition_embed_type") == "text_time" else 1]
    texts = [config_of(path, revision, f"{folder}/config.json") for folder in folders]
    return BaseConfigs.of(unet, vae, [CLIPTextConfig(**text).to_dict() for text in texts])


def _text(config: dict[str, Any]) -> str:
    own = {key: value for key, value in config.items() if not key.startswith("_")}
    return json.dumps(own, sort_keys=True, default=str)
