"""Train, killed by SIGKILL at random moments until `kills` are done, then to the end: `killing.py FOLDER KILLS`.

Every run is a fork of this process, so that it starts in milliseconds. Prints how many runs were killed, and how many
of them while they wrote a checkpoint.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from caplora.training.grid import Grid
from tests.training.test_grid import SETTINGS, VARIANTS, grid_in, run


def often(folder: Path) -> Grid:
    """A training that writes a checkpoint at every step."""
    return grid_in(folder, SETTINGS.model_copy(update={"steps": 12, "checkpointing_steps": 1, "validation_steps": 5}))


def start(folder: Path) -> int:
    """A child that trains as far as it comes; its process id."""
    child = os.fork()
    if not child:
        run(often(folder))
        os._exit(0)
    return child


def main(folder: Path, kills: int) -> None:
    rng, killed, writing, training = random.Random(0), 0, 0, 0
    run(often(folder / "whole"))
    while killed < kills:
        place = folder / f"cut{training}"
        child = start(place)
        time.sleep(rng.uniform(0.1, 1.2))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            writing += bool(list(place.glob("runs/mini/adapters/*/checkpoints/.step*")))
        else:
            training += 1
    for number in range(training + 1):
        os.waitpid(start(folder / f"cut{number}"), 0)
    print(killed, writing, training + 1)  # noqa: T201


if __name__ == "__main__":
    assert len(VARIANTS) == 2
    main(Path(sys.argv[1]), int(sys.argv[2]))
