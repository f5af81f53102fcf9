"""Scores → whether an adapter drifts by more than chance: against another noise, and against next to none of itself.

A distance is never below zero, so that a drift above zero shows nothing. Two other distances are measured by the same
encoder on the same unrelated prompts: that of two of the baseline's samples of a prompt, whose noises differ, and that
of the same adapter at the scale `TINIEST`, which is what remains of drift where there is nothing to cause it.
"""

from dataclasses import asdict

import pandas as pd

from caplora.sampling import TINIEST
from caplora.statistics.effects import CELL, effects
from caplora.statistics.tradeoff import model_of
from caplora.study import BASELINE

NOISE, NOTHING = "another noise", "next to nothing"


def drift_nulls(scores: pd.DataFrame, tiniest: pd.DataFrame, variant: str) -> pd.DataFrame:
    """The drift of a variant against each null that is known: `against` and the columns of `effects`, `baseline` being
    the null.

    "another noise" needs two seeds, "next to nothing" the table `tiniest` that 04 leaves, which is of the first seed;
    without unrelated prompts there are no rows. Against the noise, each sample's null is its prompt's mean distance
    from the baseline's sample with this seed to those with the others.
    """
    own = scores[(scores["metric"] == "drift") & (scores["variant"] == variant) & (scores["split"] == "unrelated")]
    if own.empty:
        return pd.DataFrame()
    model = model_of(scores, "drift")
    apart = scores[(scores["metric"] == "diversity") & (scores["variant"] == BASELINE)]
    tiny = tiniest[tiniest["variant"] == f"{variant}@{TINIEST:g}"] if len(tiniest) else apart.iloc[:0]
    found = []
    for against, null in ((NOISE, apart), (NOTHING, tiny)):
        pair = _paired(own[own["model"] == model], null[(null["model"] == model) & (null["split"] == "unrelated")])
        if pair["prompt"].nunique() > 1:
            [effect] = effects(pair, "drift", model, "unrelated")
            found.append({"against": against} | asdict(effect))
    return pd.DataFrame(found)


def _paired(own: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """Both in one table of scores, the null in the baseline's place, of the prompts and seeds that both have."""
    there = null.merge(own[CELL[1:]], on=CELL[1:])[CELL[1:]].drop_duplicates()
    rows = pd.concat([null.assign(variant=BASELINE, metric="drift"), own])
    return rows.merge(there, on=CELL[1:])
