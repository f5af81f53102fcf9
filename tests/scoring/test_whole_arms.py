"""whole_arms.py: what is said of an arm is a plain count or mean, and a p that chance gives as often as it should."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import Tensor

from caplora.sampling.samples import Sample
from caplora.scoring.embeddings import Embeddings
from caplora.scoring.sample_metrics import all_cosines
from caplora.scoring.set_metrics import cmmd, kid
from caplora.scoring.whole_arms import arm_values, closest_pairs, memorisation_limit
from caplora.statistics.whole_arms import COLUMNS, arm_table
from tests.tiny import pixels_of

PROMPTS = ("at sea", "in a park", "at night", "in rain")
SEEDS = (0, 1, 2)


class Looks:
    """An encoder that sees the sixteen pixels of a picture."""

    label, weights, versions, fingerprint = "looks", "0" * 12, "none", "f" * 32
    shown = "as it is"

    def pixels(self, images: Sequence[Image.Image]) -> Tensor:
        return pixels_of(images)

    def embed_pixels(self, pixels: Tensor) -> Tensor:
        return pixels.mean(1).flatten(1) / 255


def table_of(*given: Any) -> pd.DataFrame:
    """The table of whole arms that 04 leaves."""
    return arm_table(arm_values(*given))


def pictures(folder: Path, count: int, seed: int, towards: float = 0.0) -> list[Path]:
    """Pictures of sixteen grey pixels, drawn at random around a level that rises from left to right."""
    rng, slope = np.random.default_rng(seed), np.linspace(0, 1, 16).reshape(4, 4)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03d}.png" for i in range(count)]
    for path in paths:
        level = (1 - towards) * rng.uniform(0.2, 0.8, (4, 4)) + towards * slope
        Image.fromarray(np.uint8(255 * level)).save(path)
    return paths


def arm(variant: str, paths: Sequence[Path]) -> list[Sample]:
    return [Sample(variant, path, *key, "test") for key, path in zip(product(PROMPTS, SEEDS), paths, strict=True)]


@pytest.fixture
def views() -> Embeddings:
    return Embeddings(Looks())


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[list[Sample], list[Path], list[Path]]:
    """Samples of the baseline, of its copy and of an adapter that learned the slope; portraits, real ones."""
    base, better = pictures(tmp_path / "b", 12, 0), pictures(tmp_path / "a", 12, 1, 0.5)
    samples = [*arm("baseline", base), *arm("copy", base), *arm("r4_a8", better)]
    return samples, pictures(tmp_path / "train", 9, 2, 0.8), pictures(tmp_path / "real", 7, 3, 0.8)


def test_distances_are_those_of_the_arms_samples_and_nearer_is_below_zero(
    views: Embeddings, drawn: tuple[list[Sample], list[Path], list[Path]]
) -> None:
    samples, trained, real = drawn
    table = table_of(views, views, samples[::-1], trained, real).set_index(["metric", "variant"])
    assert list(table.reset_index()[list(COLUMNS)]) == list(COLUMNS)
    of = {v: views.images([s.path for s in samples if s.variant == v]).double() for v in ("baseline", "r4_a8")}
    for metric, distance in (("kid", kid), ("cmmd", cmmd)):
        row, portraits = table.loc[metric, "r4_a8"], views.images(real).double()
        assert row["value"] == pytest.approx(distance(of["r4_a8"], portraits), rel=1e-9)
        assert row["baseline"] == pytest.approx(distance(of["baseline"], portraits), rel=1e-9)
        assert row["difference"] < 0 and (row["n"], row["n_real"]) == (12, 7)
        assert row["p"] == 2 / 2 ** len(PROMPTS) <= row["p_corrected"]  # nothing but the flip of all is as far out


def test_an_arm_that_is_the_baseline_differs_in_nothing(
    views: Embeddings, drawn: tuple[list[Sample], list[Path], list[Path]]
) -> None:
    table = table_of(views, views, *drawn)
    same = table[table["variant"] == "copy"]
    assert set(same["metric"]) == {"kid", "cmmd", "memorised", "diversity"}
    assert (same["difference"] == 0).all() and (same["p"] == 1).all()


def test_memorised_is_the_share_above_what_held_out_portraits_reach(
    views: Embeddings, drawn: tuple[list[Sample], list[Path], list[Path]]
) -> None:
    samples, trained, real = drawn
    near = all_cosines(views.images(real), views.images(trained)).amax(1)
    limit = memorisation_limit(views, trained, real)
    assert limit == pytest.approx(np.percentile(near.numpy(), 95))
    copied = [*samples, *arm("thief", [*trained[:6], *(s.path for s in samples[:6])])]
    row = table_of(views, views, copied, trained, real).set_index(["metric", "variant"]).loc["memorised", "thief"]
    others = all_cosines(views.images([s.path for s in samples[:6]]), views.images(trained)).amax(1)
    assert row["value"] == (6 + int((others > limit).sum())) / 12


def test_diversity_is_the_mean_pairwise_distance_over_the_baselines(
    views: Embeddings, drawn: tuple[list[Sample], list[Path], list[Path]]
) -> None:
    samples, trained, real = drawn

    def spread(variant: str) -> float:
        own = [s for s in samples if s.variant == variant]
        found = []
        for prompt in PROMPTS:
            d = 1 - all_cosines(*2 * [views.images([s.path for s in own if s.prompt == prompt])])
            found += [float(d[i, j]) for i in range(3) for j in range(i)]
        return float(np.mean(found))

    row = table_of(views, views, samples, trained, real).set_index(["metric", "variant"]).loc["diversity", "r4_a8"]
    assert row["value"] == pytest.approx(spread("r4_a8") / spread("baseline"), rel=1e-4)
    assert row["baseline"] == 1 and row["difference"] == pytest.approx(row["value"] - 1)


def test_one_portrait_has_no_kid_and_one_seed_no_diversity(
    views: Embeddings, drawn: tuple[list[Sample], list[Path], list[Path]]
) -> None:
    samples, trained, real = drawn
    table = table_of(views, views, [s for s in samples if s.seed == 0], trained, real[:1])
    assert set(table["metric"]) == {"cmmd", "memorised"}


def test_closest_pairs_name_what_is_most_alike_and_leave_the_baseline_out(
    views: Embeddings, drawn: tuple[list[Sample], list[Path], list[Path]]
) -> None:
    samples, trained, real = drawn
    thief = Sample("thief", trained[4], "at sea", 7, "unrelated")
    table = closest_pairs(views, [*samples, thief], trained, real, count=10)
    assert table.groupby("variant").size().to_dict() == {"thief": 1, "copy": 10, "r4_a8": 10}
    assert table.loc[0, ["variant", "seed", "portrait"]].tolist() == ["thief", 7, trained[4].name]
    assert table.loc[0, "similarity"] == pytest.approx(1) and table["similarity"].is_monotonic_decreasing


def test_arm_that_lacks_a_sample_is_left_out_whole(
    views: Embeddings, drawn: tuple[list[Sample], list[Path], list[Path]]
) -> None:
    samples, trained, real = drawn
    table = table_of(views, views, samples[:-1], trained, real)  # r4_a8 lacks one
    assert set(table["variant"]) == {"copy"}
    assert table.equals(table_of(views, views, [s for s in samples if s.variant != "r4_a8"], trained, real))


def test_chance_alone_is_called_a_difference_no_more_often_than_p_says(views: Embeddings, tmp_path: Path) -> None:
    """Twelve samples each of one distribution, paired at random: p ≤ 1/8 in about an eighth of the draws."""
    real, trained = pictures(tmp_path / "real", 6, 1), pictures(tmp_path / "train", 6, 2)
    found = []
    for i in range(40):
        own, base = pictures(tmp_path / f"a{i}", 12, 100 + i), pictures(tmp_path / f"b{i}", 12, 200 + i)
        table = table_of(views, views, [*arm("baseline", base), *arm("r4_a8", own)], trained, real)
        found.append(table.set_index("metric")["p"])
    for metric in ("kid", "cmmd"):
        assert np.mean([p[metric] <= 1 / 8 for p in found]) < 0.125 + 3 * np.sqrt(0.125 * 0.875 / 40)


def test_without_a_whole_variant_there_are_no_rows_and_no_error(
    views: Embeddings, drawn: tuple[list[Sample], list[Path], list[Path]]
) -> None:
    samples, trained, real = drawn
    base = [s for s in samples if s.variant == "baseline"]
    alone, broken = (
        table_of(views, views, own, trained, real) for own in (base, [*base, *arm("r4_a8", [base[0].path] * 12)[:-1]])
    )
    assert alone.empty and broken.empty and list(alone) == list(COLUMNS)
    assert closest_pairs(views, base, trained, real).empty
