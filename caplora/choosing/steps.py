"""Adapters kept at several steps of one training → the step that stands for it, by a rule said in advance."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from caplora.statistics import cells, differences, primary_model, prompt_means
from caplora.study import Variant


def trainings(variants: Sequence[Variant]) -> dict[Variant, dict[str, list[Variant]]]:
    """Recipe → its name at a step → the variants of that step, one for each training seed; the last step comes last.

    What was retrained is apart from the training that made it a finalist.
    """
    found: dict[Variant, dict[str, list[Variant]]] = {}
    for v in sorted(variants, key=lambda v: v.step or np.inf):
        recipe = v.model_copy(update={"seed": None})
        of_recipe = found.setdefault(recipe.model_copy(update={"step": None}), {})
        of_recipe.setdefault(recipe.name, []).append(v)
    return found


def chosen_steps(variants: Sequence[Variant], development: pd.DataFrame, rule: str) -> list[Variant]:
    """The variants at the step that the development prompts choose for each recipe, in their order.

    `maximum`: the step with the largest mean CLIPScore. `one_standard_error`: the earliest whose mean prompt
    difference from that step is within its standard error (Breiman et al. 1984, section 3.4.3). A recipe with one step
    needs no scores. Raises ScoreError as `cells` does.
    """
    known = trainings(variants)
    if all(len(steps) == 1 for steps in known.values()):
        return list(variants)
    scores = cells(development, "clip_score", primary_model(development), "development")
    means = prompt_means(differences(scores))
    kept: set[Variant] = set()
    for steps in known.values():
        every = max(map(len, steps.values()))  # trainings: a step that one of them lacks cannot stand for all
        whole = {name: own for name, own in steps.items() if len(own) == every}
        at = {name: means[[v.name for v in own]].mean(axis=1) for name, own in whole.items()}
        kept.update(steps[_step(at, rule)])
    return [v for v in variants if v in kept]


def _step(at: Mapping[str, pd.Series], rule: str) -> str:
    """The name of the step that the rule chooses of prompt means, the earliest step first."""
    best = max(at, key=lambda name: at[name].mean())
    if rule == "maximum":
        return best
    behind = {name: at[best] - means for name, means in at.items()}
    within = (name for name, d in behind.items() if d.mean() <= d.std(ddof=1) / np.sqrt(len(d)) or name == best)
    return next(within)
