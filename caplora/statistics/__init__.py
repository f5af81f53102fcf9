"""Room."""

from caplora.statistics.controls import alarm, checks
from caplora.statistics.effects import (
    EQUIVALENT,
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
from caplora.statistics.intervals import EXACT, LEVEL, interval
from caplora.statistics.tradeoff import BOOTSTRAP_MEANS, ellipse, fidelity_metrics, model_of
from caplora.statistics.training_seeds import ONE, Recipes, training_sentence, trainings_of

__all__ = [
    "BOOTSTRAP_MEANS",
    "EQUIVALENT",
    "EXACT",
    "LEVEL",
    "ONE",
    "Recipes",
    "Row",
    "ScoreError",
    "alarm",
    "attribute_effects",
    "cells",
    "checks",
    "differences",
    "effect_table",
    "ellipse",
    "fidelity_metrics",
    "interval",
    "model_of",
    "primary_model",
    "prompt_means",
    "read_scores",
    "training_sentence",
    "trainings_of",
    "verdict",
]
