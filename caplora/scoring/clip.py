"""An open_clip model that embeds pictures and texts in fp32, with its own preprocessing and tokenizer.

open_clip takes seconds to import, so it is imported where a model is made.
"""

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from caplora.scoring.clip_weights import HUB, LOCAL, on_disk, preprocessing, tag_of
from caplora.scoring.embeddings import Embeddings, Encoder, batches, fingerprint_of, hash_of, shown_of
from caplora.study import Clip, Scoring, Study


@runtime_checkable
class TextEncoder(Encoder, Protocol):
    """What embeds pictures and texts into one space."""

    model: Any

    def token_ids(self, texts: Sequence[str]) -> Int[Tensor, "n tokens"]:
        """What it reads of texts."""
        ...

    def embed_tokens(self, ids: Int[Tensor, "n tokens"]) -> Float[Tensor, "n d"]:
        """Text embeddings, not of unit length."""
        ...


class ClipEncoder:
    """An open_clip model; `label` is its name in tables."""

    def __init__(self, name: str, pretrained: str | None, label: str, device: torch.device) -> None:
        import open_clip

        check_weights(name, tag_of(pretrained))
        check_activation(name, tag_of(pretrained))
        self.label, self.device = label, device
        here, weights = on_disk(name, pretrained)
        shown_as = preprocessing(name, tag_of(pretrained))
        made = open_clip.create_model_and_transforms(here, weights, device=device, **shown_as)
        self.model, _, self.preprocess = made
        self.model.float().eval()
        self.tokenize = open_clip.get_tokenizer(here)
        self.weights = hash_of(self.model)
        self.versions = f"open_clip {version('open_clip_torch')}, torch {torch.__version__}"
        shown = open_clip.get_model_preprocess_cfg(self.model)
        self.fingerprint = fingerprint_of(self.weights, shown, self.versions, device)
        self.shown = shown_of(shown, "open_clip")

    def pixels(self, images: Sequence[Image.Image]) -> Float[Tensor, "n 3 h w"]:
        """Pictures as the model is shown them."""
        return torch.stack([self.preprocess(image.convert("RGB")) for image in images])

    @torch.no_grad()
    def embed_pixels(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Image embeddings, not of unit length."""
        return self.model.encode_image(pixels.to(self.device))

    def token_ids(self, texts: Sequence[str]) -> Int[Tensor, "n tokens"]:
        """What the model reads of texts; what does not fit is cut off."""
        return self.tokenize(list(texts))

    @torch.no_grad()
    def embed_tokens(self, ids: Int[Tensor, "n tokens"]) -> Float[Tensor, "n d"]:
        """Text embeddings, not of unit length."""
        return self.model.encode_text(ids.to(self.device))


class ClipEmbeddings(Embeddings):
    """What a CLIP makes of pictures and of texts; `prefix` is what its texts should begin with."""

    encoder: TextEncoder

    def __init__(
        self, encoder: TextEncoder, folder: Path | None = None, batch_size: int = 32, prefix: str = ""
    ) -> None:
        super().__init__(encoder, folder, batch_size)
        self.prefix = prefix

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """The embeddings of texts as given, in their order: a prefix is the caller's."""
        own = list(dict.fromkeys(texts))
        ids = self.encoder.token_ids(own)
        keys = [hashlib.sha256(f"text {row}".encode()).hexdigest() for row in ids.tolist()]
        lacking = {key: row for key, row in zip(keys, ids, strict=True) if key not in self.kept}
        for batch in batches(list(lacking), self.batch_size):
            self.keep(list(batch), self.encoder.embed_tokens(torch.stack([lacking[key] for key in batch])))
        key_of = dict(zip(own, keys, strict=True))
        return torch.stack([self.kept[key_of[text]] for text in texts])


def check_weights(name: str, pretrained: str | None) -> None:
    """Raise ValueError where open_clip would build a model with random weights, or does not know it."""
    if name.startswith((LOCAL, HUB)) or (pretrained and Path(pretrained).is_file()):
        return
    import open_clip

    if name not in open_clip.list_models():
        raise ValueError(f"scoring.clips: open_clip knows no model {name!r}: see open_clip.list_models()")
    if not (pretrained and open_clip.get_pretrained_cfg(name, pretrained)):
        known = ", ".join(open_clip.list_pretrained_tags_by_model(name))
        raise ValueError(f"scoring.clips: {name!r} needs pretrained, a file or one of {known}; got {pretrained!r}")


def check_activation(name: str, pretrained: str | None) -> None:
    """Raise ValueError where a model computes another activation than open_clip's weights were trained with."""
    import open_clip

    published = open_clip.get_pretrained_cfg(name, pretrained) if pretrained else {}
    wanted = bool(published.get("quick_gelu"))
    computed = bool((open_clip.get_model_config(name) or {}).get("quick_gelu"))
    if published and wanted != computed:
        other = name + "-quickgelu" if wanted else name.removesuffix("-quickgelu")
        raise ValueError(
            f"scoring.clips: {name!r} computes {'QuickGELU' if computed else 'plain GELU'} and the weights "
            f"{pretrained!r} were trained with {'QuickGELU' if wanted else 'plain GELU'}; write {other!r}"
        )


def own_prefix(name: str) -> str | None:
    """What a `local-dir:` folder says goes before its texts (`caplora.prefix` in its open_clip_config.json), or None.

    `name` is as open_clip takes it. No other model says it.
    """
    config = Path(name.removeprefix("local-dir:")) / "open_clip_config.json"
    if not name.startswith("local-dir:") or not config.is_file():
        return None
    return json.loads(config.read_text(encoding="utf-8")).get("caplora", {}).get("prefix")


def clip_embeddings(
    clip: Clip, name: str, settings: Scoring, device: torch.device, kept: Path | None = None
) -> ClipEmbeddings:
    """A CLIP by `name`, as open_clip takes it; its label in tables is its name in the settings, weights included.

    Its prefix is what `clip` says, else what its own folder says, else that of the settings. `kept` is the folder of
    what it made before.
    """
    label = f"{clip.name}/{clip.pretrained}" if clip.pretrained else clip.name.rsplit("/", 1)[-1]
    encoder = ClipEncoder(name, clip.pretrained, label, device)
    prefix = next(said for said in (clip.prefix, own_prefix(name), settings.prefix) if said is not None)
    return ClipEmbeddings(encoder, kept, settings.batch_size, prefix)


def load_clip(study: Study, clip: Clip, device: torch.device) -> ClipEmbeddings:
    """A CLIP of the study, and what it made before."""
    return clip_embeddings(clip, study.clip_name(clip), study.scoring, device, study.embeddings)
