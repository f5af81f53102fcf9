"""which_metric.py: a metric that follows the judge is named to be believed, noise is not, and its licence is told."""

from pathlib import Path

import pandas as pd

from caplora.extra_metrics.about import ABOUT
from caplora.report import which_metric
from caplora.report.secondary import SECONDARY_METRICS, secondary_columns
from caplora.report.which_metric import KINDS, Believed, believed, extra_rows, extra_sentences
from caplora.statistics.effects import effect_table
from caplora.study.names import METRICS
from tests.statistics.test_believed import study

NAMES = {"follows": "pick_score", "noise": "quality", "arm": "identity"}


def scores(key: int = 0) -> pd.DataFrame:
    """PickScore made to follow the judge, quality made to be noise, identity made to see who drew it."""
    return study(key).replace({"metric": NAMES})


def test_what_follows_the_judge_is_to_be_believed_and_noise_is_not() -> None:
    prompt, style, *_ = believed(scores()).follows
    good, bad = prompt.split("Not for the prompt:")
    assert "PickScore" in good and "quality" not in good and "identity" not in good
    assert "quality" in bad and "identity" in bad and "PickScore" not in bad
    assert "identity (1.00)" in style and "100 % of the 64 pairs" in style and "seems to follow it" in style


def test_a_metric_that_the_style_blinds_is_named() -> None:
    """Between arms this one is the style alone; within an arm it is everything else."""
    table = scores()
    shown = table[table["metric"].str.startswith("judge_")].groupby(["variant", "prompt", "seed"])["value"].mean()
    blinded = table[table["metric"] == "identity"].assign(metric="clip_score")
    shift = blinded["variant"].ne("baseline") * 5.0
    rest = blinded.join(shown.rename("shown"), on=["variant", "prompt", "seed"])["shown"]
    said = believed(pd.concat([table, blinded.assign(value=rest + shift)])).follows
    [lost] = [sentence for sentence in said if sentence.startswith("Not for what an adapter costs")]
    assert "CLIPScore" in lost and "PickScore" not in lost


def test_the_table_has_the_numbers_and_says_which_way_they_go() -> None:
    found = believed(scores())
    rows = {row["metric"]: row for row in found.rows}
    assert set(found.columns) <= set(KINDS.values()) and set(rows) == {
        f"{METRICS[m].name} by a" for m in NAMES.values()
    }
    cell = rows["PickScore by a"]["all it names, one arm"]
    assert cell["told"] == "follows" and cell["low"] > 0.5 and cell["low"] < cell["value"] <= cell["high"]
    assert rows["identity by a"]["all but the style, two arms"]["told"] == "against"


def test_the_page_says_that_the_intervals_are_not_corrected_for_their_number() -> None:
    page = Path(which_metric.__file__).with_suffix(".html").read_text()
    assert "not corrected for how many there are" in page


def test_without_a_judge_nothing_is_said_to_be_believed() -> None:
    blind = scores()[lambda table: ~table["metric"].str.startswith("judge")]
    assert believed(blind) == believed(pd.DataFrame()) == Believed([], [], [])


def test_a_further_metric_is_told_of_where_it_was_scored_and_nowhere_else() -> None:
    effects = effect_table(scores(), SECONDARY_METRICS)
    rows = extra_rows(effects, "r4_a4")
    assert [row["name"] for row in rows] == ["PickScore", "quality"]
    said = "\n".join(extra_sentences(rows))
    for name in ("pick_score", "quality"):
        assert ABOUT[name].cannot in said and ABOUT[name].weights in said
    assert {"pick_score", "quality"} <= set(secondary_columns(effects, pd.DataFrame()))
    assert extra_rows(effects[effects["metric"] == "identity"], "r4_a4") == []
