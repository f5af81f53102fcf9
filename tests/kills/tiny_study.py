"""A study whose five notebooks take seconds, with tiny models of random weights beside it."""

import shutil
from pathlib import Path

import yaml
from PIL import Image

from caplora.mini.world.portraits import PORTRAITS
from caplora.study.reading import PROJECT
from tests.tiny import tiny_clip, tiny_pipeline
from tests.tiny_captioners import blip

SIDE, IMAGES = 64, 6  # pixels of a portrait, portraits
VARIANTS = [{"rank": 2, "alpha": 2}, {"rank": 4, "alpha": 8}]
NAME = "tiny"
STUDY = {
    "name": NAME,
    "images": {"folder": "faces", "resolution": SIDE, "smallest": SIDE, "photographs": False, "held_out": 0.34},
    "base": {"path": "models/base"},
    "captioning": {
        "model": {"path": "models/blip"}, "subject": "an ink drawing of a woman", "batch_size": 2,
        "overrule": ["reviewed", "consent", "leaks", "identity", "images", "characters", "length"],
    },
    "training": {
        "steps": 6, "batch_size": 2, "learning_rate": 1e-2, "checkpointing_steps": 2, "validation_steps": 3,
        "finalist_seeds": 0,
    },
    "sampling": {
        "development": ["a woman by the sea", "a woman in a park"],
        "test": ["a woman, smiling", "a woman at sunset", "a woman in a city"],
        "edits": [], "unrelated": ["a bowl", "a lake"], "scales": [0.5], "seeds": [0, 1],
        "num_inference_steps": 2, "finalists": 1, "batch_size": 6,
    },
    "scoring": {"clips": [{"name": "local-dir:models/clip"}], "identity": {"path": "models/identity"}, "batch_size": 4},
}  # fmt: skip


def write_models(folder: Path) -> None:
    """The models of the study in a folder."""
    tiny_pipeline().save_pretrained(folder / "base")
    blip(folder / "blip")
    tiny_clip(folder / "clip")
    shutil.copytree(PROJECT / "caplora" / "mini" / "models" / "identity", folder / "identity")


def write_study(folder: Path, models: Path) -> None:
    """The study and its portraits in a folder of their own."""
    (folder / "faces").mkdir(parents=True)
    for portrait in sorted(PORTRAITS.glob("*.png"))[:IMAGES]:
        with Image.open(portrait) as image:
            image.resize((SIDE, SIDE)).save(folder / "faces" / portrait.name)
    text = yaml.safe_dump(STUDY).replace("models/", f"{models}/")
    (folder / f"{NAME}.yaml").write_text(text, encoding="utf-8")
