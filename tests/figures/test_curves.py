"""The curves over the scale say what the scores say, paired with scale 0."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from caplora.figures.curves import images_curves, scale_curves, scale_table, steps_curves
from caplora.statistics import axes
from caplora.statistics.effects import COLUMNS, ScoreError
from caplora.statistics.replication import COPIES

SCALES = (0, 0.4, 0.7, 1, 1.2)


def scales(prompts: int = 5) -> pd.DataFrame:
    rng, rows = np.random.default_rng(0), []
    kinds = (("clip_score", "development"), ("identity", "development"), ("drift", "unrelated"))
    for variant, (metric, split), p in product(("r4_a4", "r8_a8"), kinds, range(prompts)):
        slope = rng.normal(0.3, 0.1)
        rows += [(variant, f"{split} {p}", 0, split, metric, "model", p + slope * s, s) for s in SCALES]
    return pd.DataFrame(rows, columns=[*COLUMNS, "scale"])


def test_each_scale_is_paired_with_scale_zero() -> None:
    table, raw = scale_table(scales()), scales()
    for row in table.to_dict("records"):
        own = raw[(raw["variant"] == row["variant"]) & (raw["metric"] == row["metric"])]
        wide = own.pivot(index="prompt", columns="scale", values="value")
        gains = wide[row["scale"]] - wide[0]
        assert row["mean"] == pytest.approx(gains.mean())
        if row["scale"]:
            known = stats.t.interval(0.95, 4, gains.mean(), stats.sem(gains))
            assert (row["low"], row["high"]) == pytest.approx(known)
        else:
            assert row["low"] == row["high"] == 0


def test_the_lines_are_the_table_and_the_band_is_of_the_best() -> None:
    table = scale_table(scales())
    axes = scale_curves(table, "r8_a8").axes
    assert [a.get_title(loc="left").split(" (")[0] for a in axes] == [
        "CLIPScore",
        "identity",
        "drift",
        "identity for drift",
    ]
    for panel, metric in zip(axes, ("clip_score", "identity", "drift"), strict=False):
        for line, variant in zip(panel.lines, ("r4_a4", "r8_a8"), strict=False):
            own = table[(table["metric"] == metric) & (table["variant"] == variant)]
            np.testing.assert_array_equal(line.get_xydata(), own[["scale", "mean"]])
        corners = panel.collections[0].get_paths()[0].vertices[:, 1]
        own = table[(table["metric"] == metric) & (table["variant"] == "r8_a8")]
        assert corners.min() == pytest.approx(own["low"].min())
        assert corners.max() == pytest.approx(own["high"].max())


def test_without_drift_there_is_no_panel_of_it() -> None:
    raw = scales()
    assert len(scale_curves(scale_table(raw[raw["metric"] != "drift"]), "r4_a4").axes) == 2
    assert len(scale_curves(scale_table(raw[raw["metric"] == "clip_score"]), "r4_a4").axes) == 1


def test_one_prompt_has_no_interval() -> None:
    table = scale_table(scales(prompts=1))
    assert table[["low", "high"]].isna().all(axis=None)
    assert scale_curves(table, "r4_a4").axes


def test_a_scale_that_lacks_a_score_is_named() -> None:
    raw = scales()
    hole = raw[(raw["variant"] == "r8_a8") & (raw["scale"] == 0.7)].index[0]
    with pytest.raises(ScoreError, match=r"r8_a8 at scale 0\.7 for prompt 'development 0', seed 0 is missing"):
        scale_table(raw.drop(hole))


def test_a_table_of_other_metrics_is_refused() -> None:
    with pytest.raises(ScoreError, match="neither CLIPScore"):
        scale_table(scales().assign(metric="judge"))


def over(places: tuple[int, ...]) -> pd.DataFrame:
    """An `axis_table` over some places."""
    kinds = (("clip_score", "test"), ("identity", "test"), ("drift", "unrelated"), *COPIES)
    rows = [
        (m, "model", split, at, at / 100, at / 100 - 0.1, at / 100 + 0.1, 5, 2) for m, split in kinds for at in places
    ]
    return pd.DataFrame(rows, columns=list(axes.COLUMNS))


@pytest.mark.parametrize("name", ["images", "steps"])
def test_curves_over_images_and_steps_are_the_table_with_its_bands(name: str) -> None:
    table = over((10, 25, 50, 100))
    figure = images_curves(table.assign(variant="r8_a8")) if name == "images" else steps_curves(table, "r8_a8", 25)
    for panel, (_, rows) in zip(figure.axes, table.groupby("metric", sort=False), strict=True):
        for i, (_, own) in enumerate(rows.groupby("split", sort=False)):  # of memorisation two: the null is a line too
            np.testing.assert_array_equal(panel.lines[i].get_xydata(), own[["at", "mean"]])
            band = panel.collections[i].get_paths()[0].vertices[:, 1]
            assert (band.min(), band.max()) == pytest.approx((own["low"].min(), own["high"].max()))
        assert [label.get_text() for label in panel.get_xticklabels()] == ["10", "25", "50", "100"]
        if name == "steps":
            assert 25 in [line.get_xdata()[0] for line in panel.lines[1:]]


def test_every_variant_on_fewer_images_has_a_line_and_a_name() -> None:
    table = pd.concat([over((10, 100)).assign(variant="r8_a8"), over((10, 50)).assign(variant="r16_a16")])
    figure = images_curves(table)
    for panel, (_, rows) in zip(figure.axes, table.groupby("metric", sort=False), strict=True):
        for line, (_, own) in zip(panel.lines, rows.groupby(["variant", "split"], sort=False), strict=False):
            np.testing.assert_array_equal(line.get_xydata(), own[["at", "mean"]])
        assert len(panel.collections) == rows.groupby(["variant", "split"]).ngroups
        assert [label.get_text() for label in panel.get_xticklabels()] == ["10", "50", "100"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["r8_a8", "r16_a16"]
