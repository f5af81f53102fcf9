"""The images of a study → machine captions, each with who gave it and when.

This file does not know the ledger. What was said of which pixels is remembered beside the dataset, so that a
second run, or one after a crash, captions only what is new.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from caplora.captioning.captioners import CaptioningError, load_captioner, machine_captions
from caplora.captions import Said
from caplora.study import Captioning, Study, write_text

MEMORY = ".machine_captions.json"  # in the dataset: key of pixels and captioner → what was said
PROMPT = Captioning().prompt


def captions_of(study: Study, file_names: Sequence[str], device: str = "cpu") -> Iterator[dict[str, Said]]:
    """File name → machine caption, a part at a time, for images in the study's dataset; each name comes once.

    Captions that this captioner has given for the same pixels come first, from memory; the model is loaded only
    if some are missing, and each batch is remembered before it is yielded. Raises CaptioningError as
    `load_captioner` does.
    """
    memory, version = _read_memory(study.dataset), _version(study)
    mark, name = _mark(study, version), _name(study, version)
    keys = {file: _key(_open(study.dataset / file), mark) for file in file_names}
    known = {file: memory[key] for file, key in keys.items() if key in memory}
    yield {file: replace(said, captioner=said.captioner or name) for file, said in known.items()}
    missing = [file for file, key in keys.items() if key not in memory]
    if missing:
        model = study.captioning.model
        captioner = load_captioner(study.model_path(model), model.revision, device)
        for files in _batches(missing, study.captioning.batch_size):
            images = [_open(study.dataset / file) for file in files]
            texts, now = next(machine_captions(captioner, images, study.captioning)), _now()
            said = {file: Said(text, name, now) for file, text in zip(files, texts, strict=True)}
            memory |= {keys[file]: caption for file, caption in said.items()}
            _write_memory(study.dataset, memory)
            yield said


def captioner_mark(study: Study) -> str:
    """What tells one captioner from another: its weights or pinned revision, how it searches, what it is asked."""
    return _mark(study, _version(study))


def captioner_name(study: Study) -> str:
    """The captioner for people: its path as the study writes it @ seven signs of its version, and how it decodes."""
    return _name(study, _version(study))


def _mark(study: Study, version: str) -> str:
    model = study.captioning.model
    weights = version if study.path(model.path).is_dir() else f"{model.path}@{version}"
    return f"{weights} {_decoding(study.captioning)}"


def _name(study: Study, version: str) -> str:
    return f"{study.captioning.model.path}@{version[:7]} {_decoding(study.captioning)}"


def _version(study: Study) -> str:
    """The pinned revision of a captioner of the hub, or the hash of a folder's weights and configs."""
    model = study.captioning.model
    folder = Path(study.model_path(model))
    if not folder.is_dir():
        return str(model.revision)
    parts = sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")])
    return hashlib.sha256(b"".join(hashlib.sha256(part.read_bytes()).digest() for part in parts)).hexdigest()


def _decoding(settings: Captioning) -> str:
    """Beams and tokens; and of a prompt that is not caplora's own, its hash."""
    search = f"beams {settings.num_beams} tokens {settings.max_new_tokens}"
    own = hashlib.sha256(settings.prompt.encode()).hexdigest()[:7]
    return search if settings.prompt == PROMPT else f"{search} prompt {own}"


def _batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _key(image: Image.Image, mark: str) -> str:
    return hashlib.sha256(f"{mark} {image.size}".encode() + image.tobytes()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_memory(folder: Path) -> dict[str, Said]:
    path = folder / MEMORY
    try:
        entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {key: Said(said) if isinstance(said, str) else Said(**said) for key, said in entries.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CaptioningError(f"{path} is damaged: delete it, and the images are captioned again") from error


def _write_memory(folder: Path, memory: Mapping[str, Said]) -> None:
    entries = {key: asdict(said) for key, said in memory.items()}
    write_text(folder / MEMORY, json.dumps(entries, ensure_ascii=False, indent=1))
