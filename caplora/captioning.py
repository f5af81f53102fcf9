"""Images → machine captions, by BLIP (Li et al. 2022, arXiv 2201.12086). Deterministic: beam search, no sampling.

This file does not know the ledger. What was said of which pixels is remembered beside the dataset, so that a
second run, or one after a crash, captions only what is new.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipProcessor

from caplora.files import write_text
from caplora.settings import Captioning
from caplora.study import Study

MEMORY = ".machine_captions.json"  # in the dataset: key of pixels and captioner → caption


class CaptioningError(RuntimeError):
    """A captioner that cannot be loaded; the message names it and the key of the study that chose it."""


@dataclass(frozen=True)
class Captioner:
    """A BLIP with its processor, on its device."""

    model: BlipForConditionalGeneration
    processor: BlipProcessor


def load_captioner(model: str, revision: str | None = None, device: str = "cpu") -> Captioner:
    """The BLIP in a folder or of a hub id, ready to caption: fp16 on a GPU, else fp32.

    Raises CaptioningError if it is missing, is no BLIP or has no safetensors weights.
    """
    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    try:
        processor = BlipProcessor.from_pretrained(model, revision=revision)
        blip = BlipForConditionalGeneration.from_pretrained(model, revision=revision, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise CaptioningError(
            f"the captioner {model!r} (captioning.model of the study) cannot be loaded: {error}"
        ) from error
    return Captioner(blip.to(device).eval(), processor)


def machine_captions(captioner: Captioner, images: Sequence[Image.Image], settings: Captioning) -> Iterator[list[str]]:
    """What the model says of `images`, in order, word for word; one list per batch of `settings.batch_size`."""
    for start in range(0, len(images), settings.batch_size):
        yield _said(captioner, images[start : start + settings.batch_size], settings)


def captions_of(study: Study, file_names: Sequence[str], device: str = "cpu") -> Iterator[dict[str, str]]:
    """File name → machine caption, a part at a time, for images in the study's dataset; each name comes once.

    Captions that this captioner has given for the same pixels come first, from memory; the model is loaded only
    if some are missing, and each batch is remembered before it is yielded. Raises CaptioningError as
    `load_captioner` does.
    """
    memory, mark = _read_memory(study.dataset), captioner_mark(study)
    keys = {name: _key(_open(study.dataset / name), mark) for name in file_names}
    yield {name: memory[key] for name, key in keys.items() if key in memory}
    missing = [name for name, key in keys.items() if key not in memory]
    if missing:
        model = study.captioning.model
        captioner = load_captioner(study.model_path(model), model.revision, device)
        for names in _batches(missing, study.captioning.batch_size):
            images = [_open(study.dataset / name) for name in names]
            texts = next(machine_captions(captioner, images, study.captioning))
            memory |= {keys[name]: text for name, text in zip(names, texts, strict=True)}
            _write_memory(study.dataset, memory)
            yield dict(zip(names, texts, strict=True))


def captioner_mark(study: Study) -> str:
    """What tells one captioner from another: its weights or pinned revision, and how it searches."""
    settings = study.captioning
    folder = Path(study.model_path(settings.model))
    weights = f"{settings.model.path}@{settings.model.revision}"
    if folder.is_dir():
        parts = sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")])
        weights = hashlib.sha256(b"".join(hashlib.sha256(p.read_bytes()).digest() for p in parts)).hexdigest()
    return f"{weights} beams {settings.num_beams} tokens {settings.max_new_tokens}"


@torch.no_grad()
def _said(captioner: Captioner, images: Sequence[Image.Image], settings: Captioning) -> list[str]:
    model = captioner.model
    pixels = captioner.processor(images=list(images), return_tensors="pt").pixel_values  # n 3 h w
    tokens = model.generate(
        pixel_values=pixels.to(model.device, model.dtype),
        num_beams=settings.num_beams,
        max_new_tokens=settings.max_new_tokens,
        do_sample=False,
    )
    return [text.strip() for text in captioner.processor.batch_decode(tokens, skip_special_tokens=True)]


def _batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _key(image: Image.Image, mark: str) -> str:
    return hashlib.sha256(f"{mark} {image.size}".encode() + image.tobytes()).hexdigest()


def _read_memory(folder: Path) -> dict[str, str]:
    path = folder / MEMORY
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise CaptioningError(f"{path} is damaged: delete it, and the images are captioned again") from error


def _write_memory(folder: Path, memory: dict[str, str]) -> None:
    write_text(folder / MEMORY, json.dumps(memory, ensure_ascii=False, indent=1))
