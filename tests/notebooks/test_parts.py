"""samples.py, in parts: several jobs draw what comes before the choice, and the run over all does not draw it again."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caplora.notebooks.samples import Part, Samples
from caplora.sampling.samples import said_of
from caplora.study.variants import BASELINE, Variant
from tests.notebooks.test_samples import NAMES, VARIANTS, Opened, best_of, clip_folder, opened, ran, splits_of, times

__all__ = ["clip_folder", "opened"]  # fixtures


def part_of(samples: Samples, variants: list[Variant]) -> Part:
    """The same study as one of several jobs draws it."""
    part = Part(samples.study, variants)
    part.pipeline = samples.pipeline
    return part


def parts(samples: Samples) -> Iterator[Part]:
    """The jobs of a graph: the baseline, then packs of two and of one."""
    for own in ([], VARIANTS[:2], VARIANTS[2:]):
        yield part_of(samples, own)


def pictures(samples: Samples) -> dict[Path, int]:
    return {path: when for path, when in times(samples).items() if path.suffix == ".png"}


def test_a_part_draws_what_comes_before_the_choice_and_writes_no_tables(opened: Opened) -> None:
    samples = opened(1)
    for part in parts(samples):
        part.counts()
        assert ran(part) > 0 and part.choose().empty and "left to the run over all variants" in part.chosen()
        assert part.control() == "the control is left to the run over all variants" and part.side_by_side()
    assert splits_of(samples) == {arm: {"development"} for arm in (BASELINE, *NAMES)}
    assert not list(samples.study.samples(BASELINE).parent.rglob("metadata.csv")) and not samples.study.choice.exists()


def test_a_part_draws_everything_where_there_is_nothing_to_choose_by(opened: Opened) -> None:
    samples = opened()
    ran(part_of(samples, VARIANTS[:1]))
    assert splits_of(samples) == {arm: {"development", "test", "unrelated"} for arm in (BASELINE, NAMES[0])}


def test_a_part_draws_the_baseline_once_and_nothing_a_second_time(opened: Opened) -> None:
    samples = opened(1)
    assert [ran(part) > 0 for part in parts(samples)] == [True] * 3
    before = times(samples)
    assert [ran(part) for part in parts(samples)] == [0, 0, 0] and times(samples) == before


@pytest.mark.parametrize("finalists", [1, None])
def test_the_run_over_all_draws_nothing_of_the_parts_again_and_ends_as_without_them(
    finalists: int | None, opened: Opened
) -> None:
    samples = opened(finalists)
    for part in parts(samples):
        ran(part)
    before = pictures(samples)
    ran(samples)
    assert before.items() <= pictures(samples).items()
    root = samples.study.samples(BASELINE).parent
    in_parts = {path.relative_to(root): content(path) for path in times(samples)}
    said = {path.relative_to(root): said_of(path) for path in pictures(samples)}
    chosen = best_of(samples)
    for path in times(samples):
        path.unlink()
    whole = opened(finalists)
    ran(whole)
    alone = {path.relative_to(root): content(path) for path in times(whole)}
    assert set(alone) == set(in_parts) and best_of(whole) == chosen
    assert {path.relative_to(root): said_of(path) for path in pictures(whole)} == said
    assert all(alike(alone[path], in_parts[path]) for path in alone)


def content(path: Path) -> np.ndarray | str:
    """The pixels of a picture, the text of a table."""
    return np.asarray(Image.open(path), dtype=int) if path.suffix == ".png" else path.read_text(encoding="utf-8")


def alike(one: np.ndarray | str, other: np.ndarray | str) -> bool:
    """Whether two are the same; in pictures a level may be rounded otherwise, as packs are batches of other sizes."""
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and isinstance(other, str) and one == other
    return bool(np.abs(one - other).max() <= 1)
