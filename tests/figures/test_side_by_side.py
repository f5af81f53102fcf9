"""The extremes are the extremes, and every pair is the two pictures that its row names."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from caplora.figures import side_by_side
from caplora.statistics.effects import CELL
from caplora.study.study import Study, read_study
from caplora.study.variants import BASELINE


def values(gains: dict[tuple[str, int], float]) -> pd.DataFrame:
    """A table of cells in which the adapter differs from the baseline by `gains`, prompt and seed → difference."""
    index = pd.MultiIndex.from_tuples(gains, names=CELL[1:])
    return pd.DataFrame({BASELINE: 0.5, "r4_a4": [0.5 + gain for gain in gains.values()]}, index)


def test_extremes_are_the_largest_gains_and_losses_in_order() -> None:
    found = np.random.default_rng(0).normal(0, 1, 20)
    gains = dict(zip(product("abcde", range(4)), found.tolist(), strict=True))
    table = side_by_side.extremes_table(values(gains), "r4_a4", 3)
    assert table["kind"].tolist() == ["gain"] * 3 + ["loss"] * 3
    assert table["place"].tolist() == [1, 2, 3] * 2
    np.testing.assert_allclose(table["difference"][:3], np.sort(found)[::-1][:3])
    np.testing.assert_allclose(table["difference"][3:], np.sort(found)[:3])
    for row in table.to_dict("records"):
        assert row["difference"] == pytest.approx(gains[row["prompt"], row["seed"]])
        assert row["difference"] == pytest.approx(row["adapter"] - row["baseline"])


def test_a_gain_is_never_shown_as_a_loss() -> None:
    table = side_by_side.extremes_table(values({("a", 0): 0.1, ("a", 1): 0.2, ("b", 0): 0.0}), "r4_a4")
    assert table["kind"].tolist() == ["gain", "gain"]
    assert side_by_side.extremes_table(values({("a", 0): 0.0}), "r4_a4").empty


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study with a sample of each arm and two portraits, each of its own grey."""
    monkeypatch.setattr(Study, "samples", lambda _, arm: tmp_path / arm)
    monkeypatch.setattr(Study, "dataset", tmp_path / "dataset")
    for folder, grey in ((BASELINE, 10), ("r4_a4", 20), ("dataset", 30)):
        (tmp_path / folder).mkdir()
        Image.new("L", (4, 4), grey).save(tmp_path / folder / "0.png")
        rows = [("0.png", "a", 7, "test")]
        table = pd.DataFrame(rows, columns=["file_name", "text", "seed", "split"])
        table.to_csv(tmp_path / folder / "metadata.csv", index=False)
    return read_study("mini")


def greys(found: list[side_by_side.Pair]) -> list[list[int | None]]:
    return [[None if picture is None else int(picture[0, 0, 0]) for picture in pair] for pair in found]


def test_a_pair_is_the_baseline_and_the_variant_of_its_row(study: Study) -> None:
    table = side_by_side.extremes_table(values({("a", 7): 0.2, ("a", 8): -0.2}), "r4_a4")
    assert greys(side_by_side.extreme_pictures(study, table)) == [[10, 20], [None, None]]


def test_a_closest_pair_is_the_sample_and_its_portrait(study: Study) -> None:
    table = pd.DataFrame({"variant": "r4_a4", "sample": ["0.png", "1.png"], "portrait": ["0.png", "0.png"]})
    assert greys(side_by_side.closest_pictures(study, table)) == [[20, 30], [None, 30]]


def test_pairs_above_the_limit_are_framed_and_said_to_be() -> None:
    table = pd.DataFrame({"variant": "r4_a4", "seed": 0, "similarity": [0.97, 0.95, 0.9], "limit": 0.95})
    figure = side_by_side.closest([(None, None)] * 3, table)
    assert [len(axes.patches) for axes in figure.axes] == [1, 1, 0, 0, 0, 0]
    assert [("above the limit" in t.get_text()) for t in figure.texts if "0.9" in t.get_text()][:3] == [
        True,
        False,
        False,
    ]
