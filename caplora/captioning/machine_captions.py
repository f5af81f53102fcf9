"""The images of a study → machine captions, each with the captioner that gave it and the time.

What was said of which pixels is remembered in the dataset, so that a second run, or one after a crash, captions only
what is new. This file does not know the ledger.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from caplora.captioning.captioners import CaptioningError, load_captioner, machine_captions
from caplora.captions import Said
from caplora.study import Captioning, Study, disk_errors_name, read_text, write_text

MEMORY = ".machine_captions.json"  # in the dataset: key of pixels and captioner → what was said
PROMPT = Captioning().prompt


def captions_of(study: Study, file_names: Sequence[str], device: str = "cpu") -> Iterator[dict[str, Said]]:
    """File name → machine caption of images in the study's dataset, part by part; each name comes once.

    First come the captions that this captioner has already given for the same pixels. The model is loaded only if some
    are missing, and each batch is remembered before it is yielded. Raises CaptioningError as `load_captioner` does, and
    if the memory is damaged.
    """
    memory, version = _read_memory(study.dataset), captioner_version(study)
    mark, name = captioner_mark(study, version), captioner_name(study, version)
    keys = {file: _key(_open(study.dataset / file), mark) for file in file_names}
    known = {file: memory[key] for file, key in keys.items() if key in memory}
    yield {file: replace(said, captioner=said.captioner or name) for file, said in known.items()}
    missing = [file for file, key in keys.items() if key not in memory]
    if missing:
        model = study.captioning.model
        captioner = load_captioner(study.model_path(model), model.revision, device)
        size, lines = study.captioning.batch_size, {key: _line(key, said) for key, said in memory.items()}
        for files in (missing[start : start + size] for start in range(0, len(missing), size)):
            images = [_open(study.dataset / file) for file in files]
            texts = next(machine_captions(captioner, images, study.captioning))
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            said = {file: Said(text, name, now) for file, text in zip(files, texts, strict=True)}
            lines |= {keys[file]: _line(keys[file], caption) for file, caption in said.items()}
            _write_memory(study.dataset, lines.values())
            yield said


def captioner_mark(study: Study, version: str) -> str:
    """What tells one captioner from another: its weights or pinned revision, how it decodes, what it is asked."""
    model = study.captioning.model
    weights = version if study.path(model.path).is_dir() else f"{model.path}@{version}"
    return f"{weights} {_decoding(study.captioning)}"


def captioner_name(study: Study, version: str) -> str:
    """The captioner for people: its path in the study, seven characters of its version, and how it decodes."""
    return f"{study.captioning.model.path}@{version[:7]} {_decoding(study.captioning)}"


def captioner_version(study: Study) -> str:
    """The pinned revision of a captioner on the hub, or the hash of the weights and configs in a folder."""
    model = study.captioning.model
    folder = Path(study.model_path(model))
    if not folder.is_dir():
        return str(model.revision)
    parts = sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")])
    return hashlib.sha256(b"".join(hashlib.sha256(part.read_bytes()).digest() for part in parts)).hexdigest()


def _decoding(settings: Captioning) -> str:
    """Beams and tokens, and the hash of a prompt that is not caplora's own."""
    search = f"beams {settings.num_beams} tokens {settings.max_new_tokens}"
    own = hashlib.sha256(settings.prompt.encode()).hexdigest()[:7]
    return search if settings.prompt == PROMPT else f"{search} prompt {own}"


def _open(path: Path) -> Image.Image:
    with disk_errors_name(path, "read"), Image.open(path) as image:
        return image.convert("RGB")


def _key(image: Image.Image, mark: str) -> str:
    """The key of an image and a captioner in the memory."""
    return hashlib.sha256(f"{mark} {image.size}".encode() + image.tobytes()).hexdigest()


def _read_memory(folder: Path) -> dict[str, Said]:
    path = folder / MEMORY
    try:
        entries = json.loads(read_text(path)) if path.is_file() else {}
        return {key: Said(said) if isinstance(said, str) else Said(**said) for key, said in entries.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CaptioningError(f"{path} is damaged: delete it, and the images are captioned again") from error


def _write_memory(folder: Path, lines: Iterable[str]) -> None:
    write_text(folder / MEMORY, "{\n" + ",\n".join(lines) + "\n}")


def _line(key: str, said: Said) -> str:
    """An entry of the memory: it is made once, and written with all others after each batch."""
    return f"{json.dumps(key)}: {json.dumps(asdict(said), ensure_ascii=False)}"
