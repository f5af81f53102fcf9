"""The portraits of the mini study: one new person, in a style that the diffusion model has never seen."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from caplora.mini.world.styles import render
from caplora.mini.world.world import NEW_STYLE, Person, draw_person, draw_scene, truth
from caplora.study import replacing, write_text

HERE = Path(__file__).resolve().parents[1]
PORTRAITS = HERE / "portraits"
TRUTH = HERE / "portraits_truth.json"  # what each one shows; for judging only, no stage reads it
COUNT = 120


def the_person() -> Person:
    """The woman whom the portraits show; no world that models were trained on has her, and few look like her."""
    return draw_person(np.random.default_rng(124), "woman")


def paint_portraits(folder: Path = PORTRAITS, truth_file: Path = TRUTH, count: int = COUNT) -> None:
    """Draw the portraits into `folder`, like a person's own images, and write what they show to `truth_file`."""
    rng, shown = np.random.default_rng(2026), {}
    for i in range(count):
        scene = draw_scene(rng, (NEW_STYLE,))
        name = f"portrait_{i + 1:03d}.png"
        with replacing(folder / name) as part:
            Image.fromarray(render(the_person(), scene, rng)).save(part, format="PNG", optimize=True)
        shown[name] = truth(the_person(), scene)
    write_text(truth_file, json.dumps(shown, indent=1) + "\n")
