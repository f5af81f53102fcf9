"""Train, killed by SIGKILL at random moments until `kills` are done, then to the end: `killing.py FOLDER KILLS`.

Every run is a fork of this process, so that it starts in milliseconds, and says each step once it is done. Prints how
many runs were killed, how many of them while they wrote a checkpoint, and how many trainings they were of.
"""

import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from caplora.sampling.training_previews import previews
from caplora.training.grid import Grid, claim
from caplora.training.packs import plan_packs, train_grid
from tests.training.test_grid import SETTINGS, VARIANTS, grid_in

LONG = 0.15  # seconds; longer than a step with its checkpoint takes


BASE = grid_in(Path())


def often(folder: Path) -> Grid:
    """A training that writes a checkpoint at every step; its models are this process's, which trains none itself."""
    settings = SETTINGS.model_copy(update={"steps": 12, "checkpointing_steps": 1, "validation_steps": 5})
    study = BASE.study.model_copy(update={"training": settings})
    study._root = folder
    return replace(BASE, study=study)


def start(folder: Path) -> tuple[int, BinaryIO]:
    """A child that trains as far as it comes; its process id, and a byte for each step."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        grid = often(folder)
        claim(grid, VARIANTS)
        for _ in train_grid(grid, plan_packs(grid, VARIANTS).packs, previews):
            os.write(writes, b".")
        os._exit(0)
    os.close(writes)
    return child, open(reads, "rb", buffering=0)


def finish(folder: Path) -> None:
    """Train to the end."""
    child, steps = start(folder)
    steps.read()
    assert os.waitpid(child, 0)[1] == 0


def main(folder: Path, kills: int) -> None:
    rng, killed, writing, training = random.Random(0), 0, 0, 0
    finish(folder / "whole")
    while killed < kills:
        place = folder / f"cut{training}"
        child, steps = start(place)
        with steps:
            for _ in range(rng.randint(0, 4)):
                steps.read(1)
            time.sleep(rng.uniform(0, LONG))  # into the midst of a later step, or of what comes before the first
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            writing += bool(list(place.glob("runs/mini/adapters/*/checkpoints/.step*")))
        else:
            training += 1
    for number in range(training + 1):
        finish(folder / f"cut{number}")
    print(killed, writing, training + 1)  # noqa: T201


if __name__ == "__main__":
    assert len(VARIANTS) == 2
    main(Path(sys.argv[1]), int(sys.argv[2]))
