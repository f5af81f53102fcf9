"""Captioned images → what training sees: VAE moments and texts, made once, kept by content, resident on the device."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Int
from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from caplora.images import near_duplicates, pixels_hash
from caplora.models import Pipeline, encode_tokens, text_encoders, text_tokens, weights_hash
from caplora.study import Training, disk_errors_name, drawn_images, replacing

CLASS = "class/"  # before the names of the prior's images


@dataclass(frozen=True)
class Inputs:
    """The training images as the models meet them, in the order of `sources`, by name.

    `moments` holds the mean and log-variance of each image's latents, so that they can be resampled at every step;
    with flips those of its mirror image too. `texts` are embeddings, or token ids where the text encoder is trained:
    one for each image, and as many again for each kind of `others`. The last `class_images` images are of the prior.
    """

    sources: dict[str, dict[str, str]]  # file name → its caption, and a hash of its pixels
    moments: Float[Tensor, "n flips c h w"]  # c = 2 × latent channels
    texts: Float[Tensor, "kn tokens d"] | Int[Tensor, "kn tokens"]
    empty: Float[Tensor, "tokens d"] | Int[Tensor, " tokens"]  # of ""
    class_images: int = 0
    others: dict[str, dict[str, str]] = field(default_factory=dict)  # kind of captions → file name → caption
    clusters: dict[str, int] = field(default_factory=dict)  # file name → a number that near-duplicates share

    def __len__(self) -> int:
        """How many images there are, those of the prior aside."""
        return len(self.moments) - self.class_images

    def with_class_images(self, other: "Inputs") -> "Inputs":
        """These and, as those of the prior, the images of `other`, whose captions are the same for every kind."""
        blocks = [torch.cat([block, other.texts]) for block in self.texts.chunk(1 + len(self.others))]
        return replace(
            self,
            sources=self.sources | {f"{CLASS}{name}": source for name, source in other.sources.items()},
            moments=torch.cat([self.moments, other.moments]),
            texts=torch.cat(blocks),
            class_images=len(other),
        )

    def chosen(self, count: int | None, seed: int) -> list[int]:
        """The places of `count` images (None: all), as `drawn_images` draws them."""
        names = list(self.sources)[: len(self)]
        return [names.index(name) for name in drawn_images(names, count, seed, self.clusters)]

    def sources_of(self, kind: str | None, chosen: Sequence[int] | None = None) -> dict[str, dict[str, str]]:
        """`sources` with the captions of a kind (None: as they are), of the `chosen` images and those of the prior.

        ValueError for a kind that is not there.
        """
        own = self.others[self._known(kind)] if kind else {}
        kept = {*range(len(self), len(self.sources)), *(range(len(self)) if chosen is None else chosen)}
        return {
            name: source | {"caption": own.get(name, source["caption"])}
            for i, (name, source) in enumerate(self.sources.items())
            if i in kept
        }

    def first_text(self, kind: str | None) -> int:
        """Where in `texts` the captions of a kind begin (None: those of `sources`); ValueError as `sources_of`."""
        return (1 + list(self.others).index(self._known(kind))) * len(self.moments) if kind else 0

    def _known(self, kind: str) -> str:
        if kind in self.others:
            return kind
        raise ValueError(
            f"a variant is trained on captions of the kind {kind!r} and these inputs have none of them (they have"
            f" {', '.join(self.others) or 'the ledger’s'}): give them to Encoders.inputs as others"
        )


def pixels_of(image: Image.Image) -> Float[Tensor, "3 h w"]:
    """An RGB image as floats in −1 … 1."""
    return pil_to_tensor(image.convert("RGB")).float() / 127.5 - 1


class Encoders:
    """The frozen models that turn images and texts into inputs, and the folder that keeps what they made.

    Everything is encoded alone, so that its bits are a function of its content, and kept under a hash of that content
    and of the model's weights and dtype: an edited image or caption, or another VAE, is noticed.
    """

    def __init__(self, pipeline: Pipeline, folder: Path, settings: Training) -> None:
        self.pipeline, self.folder = pipeline, folder
        self.flips, self.tokens_only = settings.random_flip, settings.train_text_encoder
        self.vae_hash = weights_hash(pipeline.vae)
        self.text_hash = "".join(map(weights_hash, text_encoders(pipeline)))

    @torch.no_grad()
    def moments(self, image: Image.Image) -> Float[Tensor, "flips c h w"]:
        """The latent moments of an image and, with flips, of its mirror image."""
        ways = (image, ImageOps.mirror(image)) if self.flips else (image,)
        files = [self._file(pixels_hash(way), self.vae_hash) for way in ways]
        made = [self._kept(file, partial(self._encoded, way)) for file, way in zip(files, ways, strict=True)]
        return torch.stack(made)

    def _encoded(self, image: Image.Image) -> Float[Tensor, "c h w"]:
        vae = self.pipeline.vae
        return vae.encode(pixels_of(image)[None].to(vae.device, vae.dtype)).latent_dist.parameters[0]

    @torch.no_grad()
    def text(self, text: str) -> Float[Tensor, "tokens d"] | Int[Tensor, " tokens"]:
        """The embedding of a text, or its token ids; one that does not fit raises ValueError."""
        ids = text_tokens(self.pipeline, [text])
        if self.tokens_only:
            return ids[0]
        file = self._file(str(ids.tolist()), self.text_hash)
        return self._kept(file, lambda: encode_tokens(self.pipeline, ids)[0])

    def inputs(
        self,
        folder: Path,
        captions: Iterable[tuple[str, str]],
        others: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Inputs:
        """The inputs of the images of `folder`, given as (file name, caption), sorted by name, on the device.

        `others` holds further captions of the same images: kind → file name → caption.
        """
        sources, moments, texts, device = {}, [], [], self.pipeline.vae.device
        for name, caption in captions:
            with disk_errors_name(folder / name, "read"), Image.open(folder / name) as image:
                sources[name] = {"caption": caption, "pixels": pixels_hash(image)}
                moments.append(self.moments(image))
            texts.append(self.text(caption))
        order = sorted(range(len(texts)), key=list(sources).__getitem__)
        dealt = {kind: {name: own[name] for name in sorted(sources)} for kind, own in (others or {}).items()}
        more = [self.text(caption) for own in dealt.values() for caption in own.values()]
        return Inputs(
            dict(sorted(sources.items())),
            torch.stack(moments)[order].to(device),
            torch.stack([*(texts[i] for i in order), *more]).to(device),
            self.text("").to(device),
            others=dealt,
            clusters=near_duplicates(folder),
        )

    def _file(self, content: str, model: str) -> Path:
        return self.folder / f"{hashlib.sha256(f'{content}{model}'.encode()).hexdigest()[:32]}.safetensors"

    def _kept(self, file: Path, make: Callable[[], Tensor]) -> Tensor:
        """What a file keeps; it is made and kept where the file is not there, or damaged."""
        with suppress(OSError, SafetensorError, KeyError):
            return load_file(file)["kept"]
        with replacing(file) as part:
            save_file({"kept": make().cpu().contiguous()}, part)
        return load_file(file)["kept"]
