"""Images of a size, scanned, measured and captioned as notebook 01 does it, in this process: seconds and memory.

The pictures are mini portraits under noise, every tenth the photograph of Grace Hopper that comes with matplotlib, each
another one, as JPEG. Faces are looked for where `--yunet` names the detector, which takes seven times as long as all
the rest of a scan; the encoder is then that of the tests, a small one.
"""

import argparse
import hashlib
import json
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.cbook import get_sample_data
from PIL import Image
from resources_memory import Peak, resident

from caplora.captioning.machine_captions import captions_of
from caplora.images.average_linkage import groups, joined
from caplora.images.persons import Persons
from caplora.mini.world.portraits import PORTRAITS
from caplora.notebooks.portraits import Portraits
from caplora.study.study import read_study
from tests.detector import colour_encoder

SIDE = 384  # pixels
FACE = 10  # every so many pictures have one


def write_pictures(folder: Path, count: int) -> None:
    """So many different JPEGs of SIDE pixels."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    known = [np.asarray(Image.open(p).convert("RGB").resize((SIDE, SIDE))) for p in sorted(PORTRAITS.glob("*.png"))]
    with get_sample_data("grace_hopper.jpg") as file:
        photograph = np.asarray(Image.open(file).convert("RGB").crop((0, 0, 512, 512)).resize((SIDE, SIDE)))
    noise = rng.integers(-24, 25, (2 * SIDE, 2 * SIDE, 1), np.int16)
    for i in range(count):
        x, y = rng.integers(0, SIDE, 2)
        shifted = np.roll(known[i % len(known)] if i % FACE else photograph, rng.integers(-60, 61, 2), (0, 1))
        pixels = np.clip(shifted + noise[y : y + SIDE, x : x + SIDE], 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"picture_{i:05d}.jpg", quality=85)


def write_study(folder: Path, yunet: Path | None) -> Path:
    """A study of the pictures in `folder`, with the mini models and maybe the two networks for faces."""
    content = yaml.safe_load((Path(__file__).parents[1] / "params/studies/mini.yaml").read_text(encoding="utf-8"))
    content["images"] |= {"folder": str(folder / "pictures"), "photographs": bool(yunet)}
    if yunet:
        (folder / "encoder.onnx").write_bytes(colour_encoder())
        faces = {"encoder": _pinned(folder / "encoder.onnx")} | _pinned(yunet)
        content["images"] |= {"faces": faces}
    models = Path(__file__).parents[1]
    content["base"]["path"] = str(models / content["base"]["path"])
    content["captioning"]["model"]["path"] = str(models / content["captioning"]["model"]["path"])
    (folder / "many.yaml").write_text(yaml.safe_dump(content | {"name": "many"}), encoding="utf-8")
    return folder / "many.yaml"


def _pinned(path: Path) -> dict[str, Any]:
    """A network as a study names it."""
    return {"model": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def shown(part: str, items: Iterable[object], count: int) -> Iterator[object]:
    """The items, one after the other, with how far that is on standard error."""
    for i, item in enumerate(items, 1):
        if i % max(1, count // 20) == 0:
            print(f"{part}: {i} of {count}", file=sys.stderr, flush=True)
        yield item


def measured(folder: Path, count: int, yunet: Path | None) -> dict[str, object]:
    """Seconds of each part, of the process alone, and the most memory in MB, beyond libraries and models."""
    write_pictures(folder / "few", 64)
    few = Portraits(read_study(warm_study(folder, yunet)))
    deque(few.scan(), maxlen=0)
    few.enrol()
    deque(few.caption(), maxlen=0)  # libraries, models and what they keep are loaded now
    del few
    write_pictures(folder / "pictures", count)
    study = read_study(write_study(folder, yunet))
    portraits, parts = Portraits(study), {}
    before = resident()
    for part, work in (("look", portraits.look), ("scan", portraits.scan)):
        with Peak() as parts[part]:
            deque(shown(part, work(), count), maxlen=0)
    with Peak() as parts["enrol"]:
        portraits.enrol()
    with Peak() as parts["caption"]:
        deque(shown("caption", portraits.caption(), count), maxlen=0)
    with Peak() as parts["again"]:  # all is remembered
        deque(captions_of(study, [row.file_name for row in portraits.rows]), maxlen=0)
    return {
        "images": count,
        "used": len(portraits.used),
        "looked": bool(yunet),
        "faces": len(portraits.persons.faces) if isinstance(portraits.persons, Persons) else None,
        "pixels_mb": round(count * SIDE * SIDE * 3 / 2**20, 1),
        "before_mb": round(before, 1),
        "parts": {part: {"cpu_seconds": p.seconds, "peak_mb": round(p.most - before, 1)} for part, p in parts.items()},
        "beyond_mb": round(max(p.most for p in parts.values()) - before, 1),
    }


def warm_study(folder: Path, yunet: Path | None) -> Path:
    """The study of the few pictures with which the models are loaded."""
    (folder / "warm").mkdir()
    (folder / "few").rename(folder / "warm" / "pictures")
    return write_study(folder / "warm", yunet)


def told_apart(count: int) -> dict[str, object]:
    """So many faces of a tenth as many persons, joined by how alike they are: embeddings alone, made up."""
    rng = np.random.default_rng(0)
    made = rng.normal(size=(count // 10, 128)).repeat(10, 0) + rng.normal(size=(count // 10 * 10, 128))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    before = resident()
    with Peak() as peak:
        found = groups(joined(made), 0.363)
    return {
        "faces": count,
        "persons": int(found.max()) + 1,
        "cpu_seconds": peak.seconds,
        "beyond_mb": round(peak.most - before, 1),
    }


def main() -> None:
    """Print one row as JSON."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("count", type=int)
    top.add_argument("folder", type=Path)
    top.add_argument("--yunet", type=Path, help="face_detection_yunet_2023mar.onnx")
    top.add_argument("--persons", action="store_true", help="so many faces instead, as embeddings")
    asked = top.parse_args()
    began = time.monotonic()
    row = told_apart(asked.count) if asked.persons else measured(asked.folder, asked.count, asked.yunet)
    print(json.dumps(row | {"wall_seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
