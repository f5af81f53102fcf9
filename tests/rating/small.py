"""A small study whose arms have drawn: portraits stand for samples, as real PNGs that say how they were drawn."""

from pathlib import Path

import pandas as pd
import yaml
from PIL import Image

from caplora.captions.ledger import Row, write_ledger
from caplora.mini.world.portraits import PORTRAITS
from caplora.sampling.samples import save_sample, wanted_samples, write_table
from caplora.study.reading import PROJECT
from caplora.study.study import Study, read_study
from caplora.study.variants import BASELINE

ARMS = (BASELINE, "r4_a8", "r8_a8")
PAYLOAD = "<img src=x onerror=window.ran=1></script>"  # stays text
HELD_OUT = 3
SETTINGS = {"num_inference_steps": 1, "solver": "euler", "guidance_scale": 2.0}


def small_study(folder: Path, prompts: int = 6, seeds: int = 2, arms: tuple[str, ...] = ARMS) -> Study:
    """The study `lab` with its samples, three held-out portraits and r4_a8 chosen."""
    text = (PROJECT / "params/studies/mini.yaml").read_text(encoding="utf-8")
    content = yaml.safe_load(text.replace("caplora/mini/", f"{PROJECT}/caplora/mini/")) | {"name": "lab"}
    test = [f"a woman {PAYLOAD}", *(f"a woman by the sea, number {i}" for i in range(1, prompts))]
    content["sampling"] |= {"test": test, "development": ["first of all"], "edits": [], "unrelated": []}
    content["sampling"] |= {"seeds": list(range(seeds)), "scales": [0.5]}
    path = folder / "lab.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    study = read_study(path)
    portraits = sorted(PORTRAITS.glob("*.png"))
    wanted = wanted_samples(study.sampling)
    for number, arm in enumerate(arms):
        made = {"adapter": None, "sampling": SETTINGS, "model": "small", "pixels": 128}
        for place, one in enumerate(wanted):
            with Image.open(portraits[(number + len(arms) * place) % len(portraits)]) as image:
                save_sample(image.convert("RGB"), "", study.samples(arm), one, made)
        write_table(study.samples(arm), wanted)
    _held_out(study, portraits)
    chosen = [(arm, arm == arms[1]) for arm in arms]
    pd.DataFrame(chosen, columns=["variant", "chosen"]).to_csv(study.choice, index=False)
    return study


def _held_out(study: Study, portraits: list[Path]) -> None:
    study.dataset.mkdir(parents=True)
    rows = []
    for path in portraits[-HELD_OUT:]:
        (study.dataset / path.name).write_bytes(path.read_bytes())
        rows.append(Row(path.name, "she", "she", "kept", "held_out", path.name, "she"))
    write_ledger(study.dataset, rows)
