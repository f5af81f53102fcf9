"""The same work again and again in this process: does its resident memory grow, and do its open files?

training    one long training of two tiny variants with a checkpoint at every second step; a round is ten steps
sampling    three arms of a tiny Stable Diffusion draw three prompts into a new folder
scoring     new pictures are embedded and scored by a tiny CLIP
studio      the studio is opened anew, and a caption kept
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from resources_memory import STATUS, open_files, resident, said

from caplora.captions.ledger import Row, write_ledger
from caplora.lora.adapter import NOTHING
from caplora.models.base import parts_of
from caplora.review.checks import checks_of
from caplora.review.studio import Studio
from caplora.sampling.arms import Arm, claim
from caplora.sampling.jobs import plan_jobs, sample
from caplora.sampling.samples import Sample, wanted_samples
from caplora.scoring.clip import ClipEmbeddings, load_clip
from caplora.scoring.scores import clip_table
from caplora.study.reading import PROJECT
from caplora.study.sampling_settings import Sampling
from caplora.study.study import read_study
from caplora.study.training_settings import Training
from caplora.study.variants import Variant
from caplora.training.grid import Grid
from caplora.training.grid import claim as claim_training
from caplora.training.packs import plan_packs, train_grid
from tests.tiny import tiny_inputs, tiny_pipeline, trained_like

WARM = 0.25  # of the rounds are a warm-up
ROWS = 500  # of the studio's ledger
Loop = Callable[[Path, int], Iterator[object]]  # yields after each round


def training(folder: Path, rounds: int) -> Iterator[object]:
    """Ten steps a round, five checkpoints of each variant."""
    settings = Training(steps=10 * rounds, batch_size=2, checkpointing_steps=2, validation_steps=5, keep_every=100)
    study = read_study(PROJECT / "params/studies/mini.yaml").model_copy(update={"training": settings})
    study._root = folder
    grid = Grid(study, tiny_pipeline(), tiny_inputs(), tiny_inputs(3, seed=9))
    variants = (Variant(rank=2, alpha=2), Variant(rank=4, alpha=8))
    claim_training(grid, variants)
    steps = train_grid(grid, plan_packs(grid, variants).packs)
    return islice(steps, 9, None, 10)


def sampling(folder: Path, rounds: int) -> Iterator[object]:
    """Three arms, three prompts and two seeds a round, each into a folder of its own that is removed again."""
    settings = Sampling(
        development=("an ink drawing of a woman",), test=("a man, smiling", "a photo"), scales=(0.5,), seeds=(0, 5),
        num_inference_steps=3, guidance_scale=3.0, batch_size=4,
    )  # fmt: skip
    pipeline = tiny_pipeline()
    adapters = [NOTHING, *(trained_like(parts_of(pipeline), 4, 8, seed=i) for i in range(2))]
    made = {"sampling": {"num_inference_steps": 3, "guidance_scale": 3.0}, "model": "tiny", "adapter": None}
    for number in range(rounds):
        place = folder / str(number)
        arms = [Arm(place / f"arm{i}", own, wanted_samples(settings), made) for i, own in enumerate(adapters)]
        claim(arms)
        for _ in sample(pipeline, plan_jobs(arms, settings), settings):
            pass
        shutil.rmtree(place)
        yield


def scoring(folder: Path, rounds: int) -> Iterator[object]:
    """Twenty new pictures a round, embedded and scored by the study's first CLIP."""
    study, rng = read_study("mini"), np.random.default_rng(0)
    clip = load_clip(study, study.scoring.clips[0], torch.device("cpu"))
    for number in range(rounds):
        place = folder / str(number)
        place.mkdir()
        samples = [Sample("baseline", place / f"{i}.png", f"a photo, number {i}", i, "test") for i in range(20)]
        for one in samples:
            Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(one.path)
        clip_table(ClipEmbeddings(clip.encoder), samples, clip.prefix, [one.prompt for one in samples])
        shutil.rmtree(place)
        yield


def studio(folder: Path, rounds: int) -> Iterator[object]:
    """The studio opened once more in the same kernel, as when its cell is run again, and one caption kept in it."""
    rows = []
    for i in range(ROWS):
        Image.new("RGB", (64, 64), (i % 256, 90, 90)).save(folder / f"{i:03d}.png")
        rows.append(Row(f"{i:03d}.png", f"a woman in blue, number {i}", suggestion=f"a woman in blue, number {i}"))
    write_ledger(folder, rows)
    checks = checks_of(read_study("mini"), {})
    for number in range(rounds):
        opened = Studio(folder, checks)
        name = f"{number % ROWS:03d}.png"
        opened._received(opened, {"do": "keep", "name": name, "text": opened.review.rows[name].text}, [])
        opened._received(opened, {"do": "pictures", "names": [name], "large": True}, [])
        yield


LOOPS: dict[str, Loop] = {"training": training, "sampling": sampling, "scoring": scoring, "studio": studio}


def measured(name: str, rounds: int) -> dict[str, object]:
    """Resident memory in MB and open files at forty rounds, and how much both grew after the warm-up."""
    points, began = [], time.monotonic()
    every = max(1, rounds // 40)
    with tempfile.TemporaryDirectory() as place:
        for number, _ in zip(count(1), LOOPS[name](Path(place), rounds), strict=False):
            if number % every == 0:
                plain = said(STATUS, "VmRSS")
                points.append((number, round(resident(), 2), round(plain, 2), open_files()))
                print(f"{name}: {number} of {rounds}, {points[-1][1]:,.1f} MB", file=sys.stderr, flush=True)
    warm = [point for point in points if point[0] > WARM * rounds]
    return {
        "loop": name,
        "rounds": points[-1][0],
        "points": points,
        "grown_percent": round(100 * (warm[-1][1] / warm[0][1] - 1), 2),
        "largest_percent": round(100 * (max(p[1] for p in warm) / warm[0][1] - 1), 2),
        "files_grown": warm[-1][3] - warm[0][3],
        "wall_seconds": round(time.monotonic() - began, 1),
    }


def main() -> None:
    """Print one loop as JSON."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("loop", choices=LOOPS)
    top.add_argument("rounds", type=int)
    asked = top.parse_args()
    print(json.dumps(measured(asked.loop, asked.rounds)))


if __name__ == "__main__":
    main()
