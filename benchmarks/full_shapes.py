"""The notebooks on a model in full shape, random weights, a few small pictures: the minutes of each, and its memory.

    python benchmarks/full_shapes.py sd15                  # also sd21 and sdxl; 64-pixel pictures
    python benchmarks/full_shapes.py sdxl --pixels 128 --folder ~/shapes

BLIP large captions, and a ViT-B/32 scores, in full shape too. What is loaded, and how, is what it is with the trained
weights; what is drawn means nothing. The models are written into the folder (4 to 9 GB) and stay there.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import yaml
from PIL import Image
from shapes import UNETS, write_blip, write_clip, write_stable_diffusion

from caplora.mini.world.portraits import PORTRAITS
from caplora.review.readiness import ITEMS
from caplora.study.reading import PROJECT

NOTEBOOKS = ("01_data_captioning", "02_train_lora", "03_inference", "04_clipscore", "05_analysis")
VARIANTS = [{"rank": 4, "alpha": 8}, {"rank": 8, "alpha": 8}]


def models(name: str, folder: Path) -> dict[str, Path]:
    """The folders of the three models in full shape, written where they are not there yet."""
    made = {kind: folder / kind for kind in (name, "blip", "clip")}
    for kind, path in made.items():
        if not (path / "done").is_file():
            {"blip": write_blip, "clip": write_clip}.get(kind, lambda p: write_stable_diffusion(name, p))(path)
            (path / "done").touch()
    return made


def write_study(name: str, folder: Path, pixels: int) -> Path:
    """A study of eight portraits on these models: two training steps, two denoising steps, few prompts."""
    made, images = models(name, folder), folder / "portraits"
    images.mkdir(exist_ok=True)
    for path in sorted(PORTRAITS.glob("*.png"))[:8]:
        Image.open(path).save(images / path.name)
    content = yaml.safe_load((PROJECT / "params/studies/mini.yaml").read_text(encoding="utf-8"))
    content |= {"name": f"full_{name}", "base": {"path": str(made[name])}}
    content["images"] |= {"folder": str(images), "resolution": pixels, "held_out": 0.3}
    content["captioning"] |= {"model": {"path": str(made["blip"])}, "max_new_tokens": 8, "num_beams": 1}
    content["captioning"] |= {"overrule": list(ITEMS)}  # what a random BLIP says is no caption
    content["training"] |= {"steps": 2, "batch_size": 1, "lr_warmup_steps": 0}
    content["training"] |= {"mixed_precision": "bf16"} if name == "sdxl" else {}  # 10 GB less on a CPU
    content["sampling"] |= {"num_inference_steps": 2, "seeds": [0], "scales": [], "batch_size": 2}
    for suite in ("development", "test", "edits", "unrelated"):
        content["sampling"][suite] = content["sampling"][suite][:2]
    content["scoring"]["clips"][0] = {"name": f"local-dir:{made['clip']}"}
    for part in (content["scoring"]["clips"][1], content["scoring"]["identity"], content["scoring"]["judge"]):
        part.update({key: value.replace("caplora/mini", str(PROJECT / "caplora/mini")) for key, value in part.items()})
    path = folder / f"full_{name}.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def run(study: Path) -> Iterator[dict[str, Any]]:
    """Run each notebook in a process of its own; its minutes and the most memory that it or its kernel held, in GB."""
    where = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(PROJECT)}
    for notebook in NOTEBOOKS:
        out = study.parent / f"{study.stem}_{notebook}.ipynb"
        given = ["-y", yaml.safe_dump({"study": str(study), "variants": VARIANTS})]
        if notebook.startswith("01"):
            given = ["-p", "study", str(study)]
        source = PROJECT / "notebooks" / f"{notebook}.ipynb"
        command = [sys.executable, "-m", "papermill", str(source), str(out), *given]
        began = time.monotonic()
        process = subprocess.Popen(command, env=os.environ | where, stderr=subprocess.DEVNULL, cwd=study.parent)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # so that it knows that it has ended
        if process.returncode:
            raise RuntimeError(f"{notebook} failed: see {out}")
        yield {"notebook": notebook, "minutes": (time.monotonic() - began) / 60, "GB": used.ru_maxrss / 1e6}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=list(UNETS))
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path(gettempdir()) / "full_shapes")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for row in run(write_study(asked.shape, asked.folder.resolve(), asked.pixels)):
        said = f"{row['notebook']}: {row['minutes']:.1f} min, {row['GB']:.1f} GB"
        print(f"{asked.shape} at {asked.pixels} px, {said}", flush=True)
