"""A cell of the heat map is a variant's difference, or says why there is none."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from caplora.figures.heat_map import heat_map_table, leading_strips, rank_alpha_heat_map
from caplora.figures.look import INK


def effects(*variants: str, difference: float = 0.1, p: float = 0.01) -> pd.DataFrame:
    rows = [(v, difference * (i + 1), difference * i, difference * (i + 2), p) for i, v in enumerate(variants)]
    table = pd.DataFrame(rows, columns=["variant", "difference", "low", "high", "p_corrected"])
    return table.assign(metric="clip_score", model="clip", split="test", n_prompts=8, n_seeds=2)


def test_each_variant_stands_at_its_rank_and_alpha() -> None:
    table = heat_map_table(effects("r4_a8", "r16_a0.5")).set_index(["rank", "alpha"])
    assert table.loc[(4, 8.0), "difference"] == pytest.approx(0.1)
    assert table.loc[(16, 0.5), "difference"] == pytest.approx(0.2)
    assert table.loc[(4, 0.5), "status"] == table.loc[(16, 8.0), "status"] == "missing"


def test_what_is_missing_or_failed_has_no_number() -> None:
    table = heat_map_table(effects("r4_a4", "r8_a8"), {"r8_a4": "was not trained"})
    absent = table[table["status"] != "judged"]
    assert sorted(absent["status"]) == ["failed", "missing"]
    assert absent[["difference", "low", "high"]].isna().all(axis=None)
    assert not absent["survives"].any()
    assert table.loc[table["status"] == "failed", "why"].tolist() == ["was not trained"]


def test_on_the_development_prompts_it_says_that_these_chose() -> None:
    found = effects("r4_a4", "r8_a8").assign(split="development")
    figure = rank_alpha_heat_map(heat_map_table(found), found, "r8_a8")
    said = " ".join(t.get_text() for t in figure.texts)
    assert "8 development prompts" in said and "chosen by these means; the test prompts judge it" in said


def test_variants_that_share_rank_and_alpha_are_all_there() -> None:
    names = ("r8_a16", "r8_a16_rs", "r8_a16_lr0.001_s1")
    table = heat_map_table(effects(*names))
    assert sorted(table["variant"]) == sorted(names)
    figure = rank_alpha_heat_map(table, effects(*names), "r8_a16")
    cells = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert len(cells) == 3
    spans = sorted((c.get_y(), c.get_y() + c.get_height()) for c in cells)
    assert all(above[1] <= below[0] for above, below in pairwise(spans))


@pytest.mark.parametrize(("p", "survives"), [(0.05, True), (0.0501, False), (np.nan, False)])
def test_what_survives_the_correction_is_framed_and_starred(p: float, survives: bool) -> None:
    found = effects("r4_a4", p=p)
    table = heat_map_table(found)
    assert table["survives"].tolist() == [survives]
    axes = rank_alpha_heat_map(table, found, "r8_a8").axes[0]
    assert (to_hex(axes.patches[0].get_edgecolor()) == INK) == survives
    assert axes.texts[0].get_text() == "+0.100" + " *" * survives


def test_no_difference_is_the_middle_of_the_colours() -> None:
    bar = rank_alpha_heat_map(heat_map_table(effects("r4_a4")), effects("r4_a4"), "r4_a4").axes[1]
    low, high = bar.get_ylim()
    assert low == pytest.approx(-high)


def test_a_difference_that_is_no_number_is_said_to_be() -> None:
    found = effects("r4_a4", "r8_a8").assign(difference=[0.1, np.nan])
    texts = [t.get_text() for t in rank_alpha_heat_map(heat_map_table(found), found, "r4_a4").axes[0].texts]
    assert texts.count("not a number") == 1


def test_a_name_without_rank_and_alpha_is_refused() -> None:
    with pytest.raises(ValueError, match="'mine' names no rank and alpha"):
        heat_map_table(effects("mine"))


def test_of_very_many_variants_the_best_of_each_cell_stand_for_it_and_the_others_are_counted() -> None:
    names = [f"r{rank}_a8_s{seed}" for rank in (4, 8) for seed in range(30)]
    found = effects(*names)
    table = heat_map_table(found)
    shown = leading_strips(table, names[0], 6)
    assert {*shown["variant"]} == {"r4_a8_s0", "r4_a8_s28", "r4_a8_s29", "r8_a8_s27", "r8_a8_s28", "r8_a8_s29"}
    assert shown.groupby("rank")["others"].first().tolist() == [27, 27]
    said = " ".join(t.get_text() for t in rank_alpha_heat_map(shown, found, names[0]).texts)
    assert "54 others not" in said and "★" in said and "corrected over the 60 variants" in said


def test_of_few_variants_no_strip_is_left_out() -> None:
    table = heat_map_table(effects("r4_a4", "r8_a8", "r8_a8_s1"))
    pd.testing.assert_frame_equal(leading_strips(table, "r4_a4").drop(columns="others"), table)
    assert (leading_strips(table, "r4_a4")["others"] == 0).all()


def test_one_strip_of_every_cell_stays_however_many_there_are() -> None:
    table = heat_map_table(effects(*(f"r{rank}_a{alpha}" for rank in range(1, 9) for alpha in (1, 2))))
    assert len(leading_strips(table, "r1_a1", 3)) == 16
