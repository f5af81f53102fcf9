"""Which metric follows what, where the truth is exact: pairs of pictures that the portrait world draws.

The two pictures of a pair have the same noise and differ in one thing alone: the person, the style, or one attribute
that the prompt names. A metric that follows it prefers the right one. A CLIP with random weights knows nothing: what it
reaches, because the right person is always the same one or the right style near that of the portraits, is no evidence.

    python benchmarks/believed.py
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from caplora.mini.training.clip import new_clip, save_clip
from caplora.mini.world import NEW_STYLE, PORTRAITS, caption, clip_tokenizer, draw_person, draw_scene, truth
from caplora.mini.world.portraits import the_person
from caplora.mini.world.styles import render
from caplora.mini.world.world import ATTRIBUTES, BASE_STYLES, Person, Scene
from caplora.sampling import Sample
from caplora.scoring import clip_table, likeness_table, load_clip, load_identity, memorisation_table
from caplora.statistics import auc
from caplora.study import Clip, read_study

COUNT, HELD_OUT, CPU = 100, 20, torch.device("cpu")
NAMED = [name for name in ATTRIBUTES if name not in ("kind", "style")]


def other_person(person: Person, scene: Scene, rng: np.random.Generator) -> tuple[Person, Scene]:
    """Another woman in the same scene."""
    return draw_person(rng, "woman"), scene


def other_style(person: Person, scene: Scene, rng: np.random.Generator) -> tuple[Person, Scene]:
    """The same person and scene in a style that was not asked for."""
    return person, replace(scene, style=str(rng.choice(BASE_STYLES)))


def other_attribute(person: Person, scene: Scene, rng: np.random.Generator) -> tuple[Person, Scene]:
    """The same person in a scene with one attribute changed."""
    name = str(rng.choice(NAMED))
    others = [value for value in ATTRIBUTES[name] if value != getattr(scene, name)]
    return person, replace(scene, **{name: str(rng.choice(others))})


CHANGES: dict[str, Callable] = {"person": other_person, "style": other_style, "one attribute": other_attribute}


def drawn(change: Callable, folder: Path) -> list[Sample]:
    """Pairs as samples: the right picture, then the one that differs; the prompt is that of the right one."""
    rng, samples = np.random.default_rng(7), []
    for i in range(COUNT):
        right = the_person(), draw_scene(rng, (NEW_STYLE,))
        for arm, (person, scene) in {"right": right, "wrong": change(*right, rng)}.items():
            path = folder / f"{i}_{arm}.png"
            Image.fromarray(render(person, scene, np.random.default_rng(i))).save(path)
            samples.append(Sample(arm, path, f"{caption(truth(*right))} #{i}", 0, "test"))
    return samples


def scored(samples: list[Sample], random: Path) -> pd.DataFrame:
    """Every metric of the samples, by the models of the mini study and by a random CLIP."""
    study = read_study("mini")
    portraits = sorted(PORTRAITS.glob("*.png"))
    clips = [load_clip(study, clip, CPU) for clip in (*study.scoring.clips, Clip(name=f"local-dir:{random}"))]
    plain = [Sample(s.variant, s.path, s.prompt.split(" #")[0], s.seed, s.split) for s in samples]
    identity = load_identity(study, CPU)
    tables = [clip_table(c, plain, c.prefix) for c in clips]
    tables += [likeness_table("clip_i", c, plain, portraits[-HELD_OUT:]) for c in clips[1:]]
    tables.append(likeness_table("identity", identity, plain, portraits[-HELD_OUT:]))
    tables.append(memorisation_table(identity, plain, portraits[:-HELD_OUT]))
    return pd.concat([table.assign(prompt=[s.prompt for s in samples] * table["metric"].nunique()) for table in tables])


def main() -> None:
    """Print the AUC of every metric for every change."""
    with tempfile.TemporaryDirectory() as temporary:
        random = Path(temporary) / "random"
        save_clip(new_clip(len(clip_tokenizer()), 5).eval(), clip_tokenizer(), random)
        for name, change in CHANGES.items():
            folder = Path(temporary) / name
            folder.mkdir()
            scores = scored(drawn(change, folder), random)
            for (metric, model), rows in scores.groupby(["metric", "model"], sort=False):
                wide = rows.pivot_table(index="prompt", columns="variant", values="value")
                difference = (wide["right"] - wide["wrong"]).to_numpy()
                value, low, high, n, _ = auc(difference, np.ones(len(wide)), [str(p) for p in wide.index])
                print(f"{name:14} {metric:13} {model:9} {value:.2f} ({low:.2f} to {high:.2f}) of {n} pairs")


if __name__ == "__main__":
    main()
