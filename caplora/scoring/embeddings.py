"""Pictures and texts → embeddings: each goes through an encoder once, and what came out is kept by its content.

A batch is kept in a file of its own: a run that was killed goes on where it stopped, and two may write at once. This
file does not know samples or metrics.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from caplora.images import UnfitError, pixels_hash, upright
from caplora.models import weights_hash
from caplora.study import Images, replacing

ANY = Images(folder=".", smallest=1)  # a picture of any size, transparency on white
_CONTENTS: dict[tuple[Path, int, int, int], str] = {}  # a file as it was seen → the hash of its pixels


@runtime_checkable
class Scorer(Protocol):
    """A model that scores: its name in tables, its weights by their hash, and its libraries."""

    label: str
    weights: str  # twelve characters of a hash
    fingerprint: str  # of everything that decides what it makes of a picture
    versions: str


@runtime_checkable
class Encoder(Scorer, Protocol):
    """What embeds pictures."""

    shown: str  # a hash of its preprocessing: encoders that say the same are shown the same pixels

    def pixels(self, images: Sequence[Image.Image]) -> Float[Tensor, "n c h w"]:
        """Pictures as it is shown them."""
        ...

    def embed_pixels(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """Embeddings, not of unit length."""
        ...


def fingerprint_of(weights: str, preprocessing: Mapping[str, Any], versions: str, device: torch.device) -> str:
    """A hash of everything, beside a picture, that decides its embedding: another one is another encoder."""
    said = json.dumps([weights, dict(preprocessing), versions, device.type], sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def shown_of(preprocessing: Mapping[str, Any], library: str) -> str:
    """A hash of what a library does to a picture before an encoder sees it."""
    return hashlib.sha256(json.dumps([library, dict(preprocessing)], sort_keys=True, default=str).encode()).hexdigest()


def hash_of(model: nn.Module) -> str:
    """The first twelve characters of a hash of a model's weights, as tables show it."""
    return weights_hash(model)[:12]


def open_picture(path: Path) -> Image.Image:
    """The picture in a file, upright and RGB; raises ValueError naming the file and what is wrong with it."""
    try:
        return upright(path, ANY)
    except UnfitError as error:
        raise ValueError(f"{path} cannot be scored: {error}; replace it or take it away") from error


def content_of(path: Path) -> str:
    """A hash of the pixels in a file, which is read again only if it has changed."""
    return _look(path)[0]


def _look(path: Path) -> tuple[str, Image.Image | None]:
    """The hash of a picture's pixels, and the picture if it had to be read for that."""
    stat = path.stat()
    key = (path, stat.st_ino, stat.st_mtime_ns, stat.st_size)
    if key in _CONTENTS:
        return _CONTENTS[key], None
    image = open_picture(path)
    _CONTENTS[key] = pixels_hash(image)
    return _CONTENTS[key], image


class Kept:
    """What one model makes of what it is shown, by the hash of that: in memory and, with a folder, on disk."""

    def __init__(self, by: Scorer, folder: Path | None = None) -> None:
        self.folder = folder / by.fingerprint if folder else None
        self.kept: dict[str, Tensor] = read_kept(self.folder) if self.folder else {}

    def keep(self, keys: list[str], made: Tensor) -> None:
        """Keep a row for each key, a batch in a file."""
        made = made.float().cpu()
        self.kept |= dict(zip(keys, made, strict=True))
        if self.folder:
            digests = torch.tensor([list(bytes.fromhex(key)) for key in keys], dtype=torch.uint8)
            name = hashlib.sha256("".join(keys).encode()).hexdigest()[:32]
            with replacing(self.folder / f"{name}.safetensors") as part:
                save_file({"digests": digests, "embeddings": made.contiguous()}, part)


class Embeddings(Kept):
    """What one encoder makes of pictures, in memory and, with a folder, on disk."""

    def __init__(self, encoder: Encoder, folder: Path | None = None, batch_size: int = 32) -> None:
        super().__init__(encoder, folder)
        self.encoder, self.batch_size = encoder, batch_size

    def images(self, paths: Sequence[Path]) -> Float[Tensor, "n d"]:
        """The embeddings of pictures, in their order; the same pixels have the same one to the last bit."""
        deque(embed([self], paths), maxlen=0)
        return torch.stack([self.kept[content_of(path)] for path in paths])

    def add(self, contents: Sequence[str], pixels: Mapping[str, Tensor]) -> None:
        """Embed those of some pictures that are not kept yet; `pixels` has them all, by how encoders are shown them."""
        lacking = [i for i, content in enumerate(contents) if content not in self.kept]
        if lacking:
            own = pixels[self.encoder.shown]
            made = self.encoder.embed_pixels(own if len(lacking) == len(own) else own[lacking])
            self.keep([contents[i] for i in lacking], made)


def embed(several: Sequence[Embeddings], paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """Embed by each encoder the pictures that it does not have yet; yields them batch by batch, each once it is kept.

    A picture is decoded once, for its hash and for all encoders, and made ready once for those that are shown the same
    pixels. Raises ValueError naming a file that is no picture, and FileNotFoundError.
    """
    for batch in batches(paths, min(views.batch_size for views in several)):
        contents, pixels = _ready(several, batch)
        for views in several:
            views.add(contents, pixels)
        yield batch


def _ready(several: Sequence[Embeddings], batch: Sequence[Path]) -> tuple[list[str], dict[str, Tensor]]:
    """The contents of those pictures of a batch that an encoder lacks; and how they are shown → their pixels."""
    pictures: dict[str, Image.Image] = {}
    for path in batch:
        content, image = _look(path)
        if any(content not in views.kept for views in several):
            pictures[content] = image or open_picture(path)
    wanting = {v.encoder.shown: v.encoder for v in several if any(content not in v.kept for content in pictures)}
    return list(pictures), {how: encoder.pixels(list(pictures.values())) for how, encoder in wanting.items()}


def read_kept(folder: Path) -> dict[str, Tensor]:
    """Key → embedding of every batch in a folder; raises ValueError naming a file that is damaged."""
    kept: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            batch = load_file(file)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file} is damaged ({error}): delete it, and it is made again") from error
        keys = [bytes(digest.tolist()).hex() for digest in batch["digests"]]
        kept |= dict(zip(keys, batch["embeddings"], strict=True))
    return kept


def batches(items: Sequence, size: int) -> Iterator[Sequence]:
    """The items, `size` at a time."""
    return (items[i : i + size] for i in range(0, len(items), size))
