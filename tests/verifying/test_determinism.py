"""The same study twice is the same to the byte; drawn in other batches it is within the tolerance.

benchmarks/determinism.py measures how far apart these and other ways are on the miniature models.
"""

from pathlib import Path

import pytest

from caplora.sampling.arms import Arm, claim, study_arms
from caplora.sampling.jobs import plan_jobs, sample
from caplora.training.grid import Grid
from caplora.verifying.comparing import MEASURES, pictures_apart
from tests.training.test_grid import VARIANTS, files_of, grid_in, run

TOLERANCE = MEASURES[".png"].on_cpus


def drawn(grid: Grid, batch_size: int) -> list[Path]:
    """What the base model and the adapters of a grid draw of three prompts, in batches of so many."""
    sampling = grid.study.sampling
    turned = {"development": sampling.development[:1], "test": sampling.test[:2], "unrelated": (), "edits": ()}
    turned |= {"seeds": (0, 1), "num_inference_steps": 3, "batch_size": batch_size}
    study = grid.study.model_copy(update={"sampling": sampling.model_copy(update=turned)})
    arms: list[Arm] = study_arms(study, VARIANTS, grid.pipeline)
    claim(arms)
    for _ in sample(grid.pipeline, plan_jobs(arms, study.sampling), study.sampling):
        pass
    return sorted(path for arm in arms for path in arm.folder.glob("*.png"))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Grid, list[Path]]:
    """A grid that was trained, and what it drew."""
    grid = grid_in(tmp_path_factory.mktemp("first"))
    run(grid)
    return grid, drawn(grid, 18)


def test_the_same_study_twice_has_the_same_adapters_and_samples(first: tuple[Grid, list[Path]], tmp_path: Path) -> None:
    grid, pictures = first
    again = grid_in(tmp_path)
    run(again)
    same = drawn(again, 18)
    assert files_of(again) == files_of(grid)
    assert [p.name for p in same] == [p.name for p in pictures] and len(same) == 18
    assert [p.read_bytes() for p in same] == [p.read_bytes() for p in pictures]


def test_other_batches_draw_within_the_tolerance(first: tuple[Grid, list[Path]], tmp_path: Path) -> None:
    again = grid_in(tmp_path)
    run(again)
    apart = [pictures_apart(a, b) for a, b in zip(first[1], drawn(again, 4), strict=True)]
    assert max(apart) <= TOLERANCE / 10
