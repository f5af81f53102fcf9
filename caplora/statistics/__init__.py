"""Scores → effects, intervals and tests: whether a variant is better than the baseline, and what the study could find.

`effects` compares arm and baseline prompt by prompt, by the formulas of `intervals`; `training_seeds` does so for
several trainings of one recipe, `whole_arms` for KID and the like, `tradeoff` for fidelity against drift, `axes` for
arms that differ in the number of images or steps, `replication` for what they copy, and `drift` holds drift against
chance. `variance`, `power` and `simulation` say what a study of this size can find. `controls` says what must not be
believed, and `agreement` and `believed` whether a metric follows the judge, and what it can be believed for.
"""

from caplora.statistics.agreement import Auc, auc, tracking_table
from caplora.statistics.axes import Enough, axis_kinds, axis_table, enough_of, likeness_after
from caplora.statistics.believed import agreement_table
from caplora.statistics.controls import Check, alarm, checks, shuffled_control, write_controls
from caplora.statistics.drift import NOISE, drift_nulls
from caplora.statistics.effects import (
    CELL,
    EQUIVALENT,
    Effect,
    Row,
    ScoreError,
    attribute_effects,
    cells,
    differences,
    effect_table,
    primary_model,
    prompt_means,
    read_scores,
    verdict,
)
from caplora.statistics.intervals import EXACT, LEVEL, POWER, interval
from caplora.statistics.power import chance_after, design_sentence, pilot_sentence
from caplora.statistics.replication import COPIES, Copied, copied, overfits_from
from caplora.statistics.simulation import simulated_errors
from caplora.statistics.tradeoff import BOOTSTRAP_MEANS, ellipse, fidelity_metrics, model_of, tradeoff_table
from caplora.statistics.training_seeds import (
    ONE,
    Recipes,
    ranked_recipes,
    recipe_effects,
    recipe_split,
    recipes,
    shown,
    training_sentence,
    trainings_of,
)
from caplora.statistics.variance import study_spread
from caplora.statistics.whole_arms import arm_table

__all__ = [
    "BOOTSTRAP_MEANS", "CELL", "COPIES", "EQUIVALENT", "EXACT", "LEVEL", "NOISE", "ONE", "POWER", "Auc", "Check",
    "Copied", "Effect", "Enough", "Recipes", "Row", "ScoreError", "agreement_table", "alarm", "arm_table",
    "attribute_effects", "auc", "axis_kinds", "axis_table", "cells", "chance_after", "checks", "copied",
    "design_sentence", "differences", "drift_nulls", "effect_table", "ellipse", "enough_of", "fidelity_metrics",
    "interval", "likeness_after", "model_of", "overfits_from", "pilot_sentence", "primary_model", "prompt_means",
    "ranked_recipes", "read_scores", "recipe_effects", "recipe_split", "recipes", "shown", "shuffled_control",
    "simulated_errors", "study_spread", "tracking_table", "tradeoff_table", "training_sentence", "trainings_of",
    "verdict", "write_controls",
]  # fmt: skip
