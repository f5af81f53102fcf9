"""Notebook 05 on a study of very many variants, whose scores are made up: `python benchmarks/large_study.py`.

A study like the mini one is written whose recipes are trained from three seeds each: scores in the format of 04,
losses, samples of a few pixels. Then a process of its own does what the notebook does, cell by cell: seconds, and the
most memory that the process has held until then. `--folder` keeps the study, and `--all` has every variant draw all
prompts.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from caplora.captions.ledger import Row, write_ledger
from caplora.notebooks.results import Results
from caplora.sampling.samples import Wanted, save_sample, suite_hashes, wanted_samples, write_table
from caplora.scoring.scores import SCORED
from caplora.statistics.effects import read_scores
from caplora.study.study import Study, read_study
from caplora.study.variants import BASELINE, Variant, read_variants

KINDS = (  # metric, model and how much an adapter adds on the average
    ("clip_cosine", "clip_a", 0.08), ("clip_score", "clip_a", 0.2), ("ref_clip_score", "clip_a", 0.1),
    ("clip_cosine", "clip_b", 0.08), ("clip_score", "clip_b", 0.2), ("ref_clip_score", "clip_b", 0.1),
    ("clip_i", "clip_b", 0.1), ("identity", "identity", 0.4), ("memorisation", "identity", 0.2),
    ("judge", "judge", 0.1), ("judge_style", "judge", 0.3), ("judge_hair", "judge", 0.0),
    ("diversity", "clip_b", -0.02), ("drift", "clip_b", 0.1),
)  # fmt: skip
T = TypeVar("T")
SEEDS, RANKS, STEPS = (0, 1, 2), (4, 8, 16, 32), 240
VERSIONS = "open_clip 3.3.0, torch 2.15.0+cu132"


def grid(count: int) -> list[Variant]:
    """So many variants: ranks, alphas and learning rates, each from three seeds."""
    recipes = -(-count // len(SEEDS))
    found = [
        Variant(rank=r, alpha=a * r, learning_rate=round(1e-4 * 1.01**i, 9), seed=seed)
        for i in range(-(-recipes // 8)) for r in RANKS for a in (1, 2) for seed in SEEDS
    ]  # fmt: skip
    return found[:count]


def write_study(folder: Path, count: int, everything: bool) -> Study:
    """A finished study in a folder, as 04 leaves it."""
    like = yaml.safe_load((Path(__file__).parents[1] / "params/studies/mini.yaml").read_text(encoding="utf-8"))
    content = {"name": "large", "images": {"folder": "portraits", "photographs": False}, "training": like["training"]}
    sampling = like["sampling"] | ({"finalists": None} if everything else {})
    content |= {"sampling": sampling, "claims": like["claims"]}
    (folder / "large.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    own = [v.model_dump(exclude_none=True, exclude_defaults=True) for v in grid(count)]
    (folder / "many.yaml").write_text(yaml.safe_dump({"variants": own}), encoding="utf-8")
    study, variants = read_study(folder / "large.yaml"), grid(count)
    _write_portraits(study)
    for variant in variants:
        _write_training(study, variant)
    tested = {v.name for v in (variants if everything else variants[: len(SEEDS)])}
    arms = {BASELINE: 0.0} | {v.name: 0.5 + np.random.default_rng(i // 3).random() for i, v in enumerate(variants)}
    arms |= {v.name: 2.0 for v in variants[: len(SEEDS)]}  # the recipe that leads
    wanted = wanted_samples(study.sampling)
    drawn = {arm: [w for w in wanted if arm in (BASELINE, *tested) or w.split == "development"] for arm in arms}
    for arm, of_arm in drawn.items():
        _write_samples(study, arm, of_arm)
    suites = suite_hashes(study.sampling)
    parts = (_scores(arm, gain, drawn[arm], suites, number) for number, (arm, gain) in enumerate(arms.items()))
    for number, part in enumerate(parts):
        part.to_csv(study.scores, mode="a" if number else "w", header=not number, index=False)
    return study


def _write_portraits(study: Study) -> None:
    study.dataset.mkdir(parents=True)
    names = [f"portrait_{i:03}.png" for i in range(12)]
    for name in names:
        Image.new("RGB", (16, 16), "grey").save(study.dataset / name)
    rows = [Row(n, f"a woman {n}", split="held_out" if i < 3 else "train") for i, n in enumerate(names)]
    write_ledger(study.dataset, rows)


def _write_training(study: Study, variant: Variant) -> None:
    folder, rng = study.adapter(variant), np.random.default_rng(variant.rank)
    folder.mkdir(parents=True)
    made = {"training": study.training.of(variant).model_dump(mode="json"), "trained_parameters": 6048 * variant.rank}
    record = made | {"variant": variant.model_dump(mode="json"), "steps": STEPS, "stopped": None, "seconds": 122.3}
    (folder / "settings.json").write_text(json.dumps(record), encoding="utf-8")
    for name, steps in (("losses", range(1, STEPS + 1)), ("validation", range(60, STEPS + 1, 60))):
        losses = pd.DataFrame({"step": list(steps), "loss": rng.random(len(steps)) / 20})
        losses.to_csv(folder / f"{name}.csv", index=False)


def _write_samples(study: Study, arm: str, wanted: list[Wanted]) -> None:
    """One picture of an arm, under the names of all that it draws."""
    folder = study.samples(arm)
    made = {"sampling": {"num_inference_steps": 10, "guidance_scale": 3.0}, "model": "", "adapter": None}
    save_sample(Image.new("RGB", (16, 16), "teal"), "", folder, wanted[0], made)
    for w in wanted[1:]:
        os.link(folder / wanted[0].file_name, folder / w.file_name)
    write_table(folder, wanted)


def _scores(arm: str, gain: float, wanted: list[Wanted], suites: dict[str, str], number: int) -> pd.DataFrame:
    """What 04 says of an arm: a prompt is worth the same to all, and noise is an arm's own."""
    rows = []
    for metric, model, worth in KINDS:
        own = [w for w in wanted if metric != "drift" or w.split == "unrelated"]
        shared = np.array([np.random.default_rng(w.noise).normal(1.5, 0.2) for w in own])
        values = shared + worth * gain + np.random.default_rng([number, len(metric)]).normal(0, 0.1, len(own))
        values = np.round(values) % 2 if metric.startswith("judge_") else values
        values = np.zeros(len(own)) if metric == "drift" and arm == BASELINE else values
        rows += [
            (arm, w.prompt, w.seed, w.split, metric, model, value, "1505fa18a397", "", VERSIONS, suites[w.split])
            for w, value in zip(own, values.tolist(), strict=True)
        ]
    return pd.DataFrame(rows, columns=list(SCORED))


CELLS = (  # what notebook 05 asks of its results, in its order
    "failures", "counts", "control_sentences", "choice", "effects", "answer", "recipe_effects", "errors", "forest",
    "heat_map", "slopes", "prompts", "extremes", "other_metrics", "metrics", "tradeoff", "closest", "scales", "suites",
    "agreement", "which_for_what", "further_metrics", "attribute_differences", "people", "captions",
    "caption_ablation", "steps_sentence", "images_sentences", "copies", "samples", "teaser", "loss_curves",
    "pipeline", "lora", "report",
)  # fmt: skip


def asked(results: Results, name: str) -> object:
    """What the results say or draw under a name."""
    found = getattr(results, name)
    return found() if callable(found) else found


def measured(name: str, part: Callable[[], T]) -> T:
    """What a part gives, once its seconds and the most memory so far are printed as a row of a table."""
    began = time.perf_counter()
    found = part()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {name} | {time.perf_counter() - began:.2f} | {peak:,.0f} |", flush=True)
    return found


def analyse(folder: Path) -> None:
    """Notebook 05 in this process, a row for each cell."""
    study = read_study(folder / "large.yaml")
    print("| part | seconds | MB at most so far |\n|---|---|---|")
    measured("imports", lambda: None)
    variants = measured("read_variants", lambda: read_variants(str(folder / "many.yaml")))
    scores = measured("read_scores", lambda: read_scores(study.scores, [v.name for v in variants]))
    rows = len(scores)
    del scores
    results = measured("scores and choice", lambda: Results(study, variants, str(folder / "many.yaml")))
    for name in CELLS:
        measured(name, partial(asked, results, name))
    print(f"\n{rows:,} rows, {study.scores.stat().st_size / 2**20:.0f} MB on disk")
    for path in (study.report, *sorted(study.figures.glob("*.*g"))):
        size = f", {Image.open(path).size}" if path.suffix == ".png" else ""
        print(f"{path.name}: {path.stat().st_size / 2**20:.2f} MB{size}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=3000)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--analyse", type=Path, help="a study that --folder has kept")
    asked = parser.parse_args()
    if asked.analyse:
        analyse(asked.analyse)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = asked.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        write_study(folder, asked.variants, asked.all)
        subprocess.run([sys.executable, __file__, "--analyse", str(folder)], check=True)


if __name__ == "__main__":
    main()
