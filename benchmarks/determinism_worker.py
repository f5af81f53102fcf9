"""One way of running a small study of the miniature models in a process of its own, for `determinism.py`."""

import argparse
import json
import os
import shutil
from pathlib import Path

import pandas as pd
from accelerate import Accelerator

from caplora.mini.world import PORTRAITS, TRUTH, caption
from caplora.models import load_base
from caplora.sampling import claim as claim_arms
from caplora.sampling import plan_jobs, sample, study_arms, write_tables
from caplora.scoring import clip_table, load_clip, scorable_samples
from caplora.study import PROJECT, Study, read_study, read_variants, write_text
from caplora.training import Encoders, Grid, claim, train_grid

STUDY = """\
name: small
like: {like}
images: {{folder: caplora/mini/portraits}}
training: {{steps: {steps}, checkpointing_steps: 10, validation_steps: 20, batch_size: {batch}, gradient_accumulation_steps: {accumulated}}}
sampling: {{development: ["{one}", "{two}"], test: ["{three}", "{four}"], unrelated: [], edits: [], seeds: [0, 1], scales: [], batch_size: {drawn}}}
scoring: {{batch_size: {scored}}}
"""  # noqa: E501
PROMPTS = {
    "one": "an ink drawing of a woman with long red hair, smiling, in a blue t-shirt, by the sea",
    "two": "an ink drawing of a woman with a black bob, serious, in a red turtleneck, at sunset",
    "three": "an ink drawing of a woman with spiky white hair, sad, in a green t-shirt, in a park",
    "four": "an ink drawing of a woman with curly brown hair, surprised, in a yellow turtleneck, in a city at night",
}
VARIANTS = [{"rank": 4, "alpha": 4}, {"rank": 8, "alpha": 16}, {"rank": 16, "alpha": 16}]


def study_in(asked: argparse.Namespace) -> Study:
    """The study of a folder, whose models are the project's."""
    asked.folder.mkdir(parents=True, exist_ok=True)
    if not (asked.folder / "caplora").is_symlink():
        (asked.folder / "caplora").symlink_to(PROJECT / "caplora")
    like = PROJECT / "params/studies/mini.yaml"
    batch, accumulated = (asked.micro, asked.batch // asked.micro) if asked.micro else (asked.batch, 1)
    numbers = {"steps": asked.steps, "batch": batch, "accumulated": accumulated}
    text = STUDY.format(like=like, drawn=asked.drawn, scored=asked.scored, **numbers, **PROMPTS)
    write_text(asked.folder / "small.yaml", text)
    return read_study(asked.folder / "small.yaml")


def captions(count: int) -> list[tuple[str, str]]:
    """The first portraits with what they show."""
    shown = json.loads(TRUTH.read_text(encoding="utf-8"))
    return [(path.name, caption(shown[path.name])) for path in sorted(PORTRAITS.glob("*.png"))[:count]]


def trained(study: Study, asked: argparse.Namespace, processes: Accelerator) -> None:
    """Train the variants, in packs of so many, as far as `--stop`."""
    variants, pipeline = read_variants(VARIANTS), load_base(study)
    encoders = Encoders(pipeline, study.run / f"cache_{processes.process_index}", study.training)
    own = captions(asked.images + 4)
    inputs, held_out = encoders.inputs(PORTRAITS, own[:-4]), encoders.inputs(PORTRAITS, own[-4:])
    grid = Grid(study, pipeline, inputs, held_out, variants)
    if processes.is_main_process:
        claim(grid, variants)
    processes.wait_for_everyone()
    packs = [variants[i : i + asked.pack] for i in range(0, len(variants), asked.pack)]
    turned = {"gradient_checkpointing": asked.checkpointing, "images_at_once": asked.at_once}
    training = train_grid(grid, packs, settings=study.training.model_copy(update=turned))
    for step in training:
        if step.number == asked.stop:
            training.close()
            break


def drawn(study: Study) -> None:
    """Draw with the baseline and every adapter that is there."""
    pipeline = load_base(study)
    arms = study_arms(study, read_variants(VARIANTS), pipeline)
    claim_arms(arms)
    for _ in sample(pipeline, plan_jobs(arms, study.sampling), study.sampling):
        pass
    write_tables(arms)


def scored(study: Study) -> None:
    """CLIPScore of every sample by both CLIPs."""
    clips = [load_clip(study, clip, load_base(study).device) for clip in study.scoring.clips]
    samples, _ = scorable_samples(study, read_variants(VARIANTS))
    tables = [clip_table(clip, samples, clip.prefix) for clip in clips]
    write_text(study.scores, pd.concat(tables).to_csv(index=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--take", type=Path, help="a folder whose adapters (and, with --samples, samples) are taken")
    parser.add_argument("--samples", action="store_true")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--batch", type=int, default=4, help="images of a step")
    parser.add_argument("--micro", type=int, help="so many of them at a time, accumulated")
    parser.add_argument("--pack", type=int, default=3, help="variants trained together")
    parser.add_argument("--stop", type=int, help="interrupt the training there, and do no more")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--at-once", type=int)
    parser.add_argument("--drawn", type=int, default=28, help="pictures of a batch")
    parser.add_argument("--scored", type=int, default=32, help="pictures of a batch")
    asked = parser.parse_args()
    study, processes = study_in(asked), Accelerator(cpu=True)
    taken = ["adapters", *(["samples"] if asked.samples else [])] if asked.take else []
    for name in taken:
        shutil.copytree(asked.take / "runs/small" / name, study.run / name)
    if not taken:
        trained(study, asked, processes)
    if processes.is_main_process and not asked.stop:
        if "samples" not in taken:
            drawn(study)
        scored(study)
    processes.end_training()


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
