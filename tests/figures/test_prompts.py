"""Prompt by prompt: what gains and what loses is told apart, and the numbers are the table's."""

import numpy as np
import pandas as pd
import pytest

from caplora.figures.forest import forest_plot
from caplora.figures.look import INK
from caplora.figures.prompts import prompt_slopes, prompt_table
from caplora.statistics.effects import CELL, effect_table
from caplora.study.variants import BASELINE

GAINS = {"a": 0.3, "b": -0.2, "c": 0.1, "d": 0.0}


def cells(gains: dict[str, float]) -> pd.DataFrame:
    """A table of cells with two seeds, the same gain in both."""
    rows = [(p, s, 0.5 + 0.1 * i, 0.5 + 0.1 * i + g) for i, (p, g) in enumerate(gains.items()) for s in (0, 1)]
    return pd.DataFrame(rows, columns=[*CELL[1:], BASELINE, "r4_a4"]).set_index(CELL[1:])


def effects(values: pd.DataFrame, margin: float | None = None) -> pd.DataFrame:
    scores = values.reset_index().melt(CELL[1:], var_name="variant")
    scores = scores.assign(split="test", metric="clip_score", model="clip")
    return effect_table(scores, margins={"clip_score": margin} if margin else None)


def test_the_table_holds_the_means_of_every_prompt() -> None:
    table = prompt_table(cells(GAINS)).set_index("prompt")
    assert table["difference"].to_dict() == pytest.approx(GAINS)
    assert (table["variant"] == "r4_a4").all()


def test_every_prompt_is_a_line_and_losses_are_dashed_and_hollow() -> None:
    values = cells(GAINS)
    axes = prompt_slopes(prompt_table(values), effects(values).iloc[0]).axes[0]
    lines = {round(float(np.diff(line.get_ydata())[0]), 6): line for line in axes.lines[: len(GAINS)]}
    assert sorted(lines) == pytest.approx(sorted(GAINS.values()))
    assert [gain for gain, line in lines.items() if line.is_dashed()] == [-0.2]
    assert lines[-0.2].get_markerfacecolor() == "white"
    assert lines[0.3].get_color() != INK
    np.testing.assert_allclose(axes.lines[len(GAINS)].get_ydata(), values.mean())


def test_the_largest_gain_and_loss_are_named_and_nothing_else() -> None:
    values = cells(GAINS)
    said = [t.get_text() for t in prompt_slopes(prompt_table(values), effects(values).iloc[0]).axes[0].texts]
    assert said == ["largest gain, +0.300\na", "largest loss, −0.200\nb"]
    values = cells({"a": 0.3, "b": 0.2})
    said = [t.get_text() for t in prompt_slopes(prompt_table(values), effects(values).iloc[0]).axes[0].texts]
    assert said == ["largest gain, +0.300\na"]


def test_a_row_of_the_forest_has_prompts_both_intervals_and_numbers() -> None:
    values = cells(GAINS)
    found = effects(values, margin=0.05)
    row, axes = found.iloc[0], forest_plot(values, found, "r4_a4").axes[0]
    spans = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2][1:]
    assert spans == [(row["low"], row["high"]), (row["bootstrap_low"], row["bootstrap_high"])]
    np.testing.assert_allclose(np.sort(axes.collections[0].get_offsets()[:, 0]), sorted(GAINS.values()), atol=1e-12)
    assert axes.patches[0].get_x() == -0.05
    assert f"{row['difference']:+.3f}" in axes.texts[0].get_text()
    assert axes.texts[1].get_text() == f"{row['p_corrected']:.3f}"


def test_a_p_that_is_no_number_is_a_dash() -> None:
    values = cells(GAINS)
    axes = forest_plot(values, effects(values).assign(p_corrected=np.nan, relative=np.inf), "r4_a4").axes[0]
    assert axes.texts[1].get_text() == "–"
