"""Several trainings of one recipe → what is true of the recipe, not of one adapter.

A recipe is a variant without its training seed. Its effect is a mean over trainings, and its interval counts the draw
of the training seed beside that of the prompts, with the noise that each was drawn from (arXiv 2103.03098).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from caplora.statistics.effects import ScoreError, cells, differences, verdict
from caplora.statistics.intervals import Array
from caplora.statistics.variance import crossed_interval, sample_array, variance_split
from caplora.study import Training, Variant

ENOUGH = 3  # trainings of a finalist
ONE = "this adapter only"
Recipes = Mapping[str, Mapping[int, str]]  # recipe → training seed → variant
COLUMNS = (
    "recipe", "metric", "model", "split", "n_trainings", "n_prompts", "n_seeds",
    "difference", "low", "high", "p", "p_corrected", "verdict", "about",
)  # fmt: skip


def recipes(variants: Sequence[Variant], training: Training) -> dict[str, dict[int, str]]:
    """Recipe → training seed → the variant's name, in the order of the variants; the seed is the study's or its own.

    Raises ScoreError where two variants are the same training twice, which is no second draw.
    """
    found: dict[str, dict[int, str]] = {}
    for variant in variants:
        trainings = found.setdefault(variant.model_copy(update={"seed": None}).name, {})
        seed = training.of(variant).seed
        if seed in trainings:
            raise ScoreError(
                f"{trainings[seed]} and {variant.name} are one training: both have the seed {seed}; leave one out"
            )
        trainings[seed] = variant.name
    return found


def recipe_effects(scores: pd.DataFrame, metric: str, model: str, split: str, known: Recipes) -> pd.DataFrame:
    """The effect of each recipe on one metric, a row each, with its 95 % interval over trainings and prompts.

    A recipe trained once has the interval over prompts, and `about` says that it is about this adapter only.
    `p_corrected` is Holm's (1979) over the recipes, and `verdict` goes by it: the grid of adapters has its max-T, but
    recipes differ in their number of trainings. Raises ScoreError as `cells` does.
    """
    table = differences(cells(scores, metric, model, split))
    found = [_row(recipe, sample_array(table[list(trainings.values())])) for recipe, trainings in known.items()]
    effects = pd.DataFrame(found).assign(metric=metric, model=model, split=split)
    effects["p_corrected"] = holm(effects["p"].to_numpy())
    judged = effects[["low", "high", "p_corrected"]].itertuples(index=False, name=None)
    return effects.assign(verdict=[verdict(*e) for e in judged])[list(COLUMNS)]


def _row(recipe: str, samples: Array) -> dict[str, object]:
    """What is found of one recipe from its differences, (T, P, S)."""
    trainings, prompts, seeds = samples.shape
    effect = crossed_interval(samples)
    return {
        "recipe": recipe, "n_trainings": trainings, "n_prompts": prompts, "n_seeds": seeds,
        "difference": effect.mean, "low": effect.low, "high": effect.high, "p": effect.p,
        "about": ONE if trainings == 1 else "the recipe",
    }  # fmt: skip


def recipe_split(
    scores: pd.DataFrame, metric: str, model: str, split: str, trainings: Mapping[int, str]
) -> pd.DataFrame:
    """Where the spread of one recipe's differences is from: `variance_split` by training, prompt and noise."""
    table = differences(cells(scores, metric, model, split))
    return variance_split(sample_array(table[list(trainings.values())]))


def ranked_recipes(scores: pd.DataFrame, metric: str, model: str, known: Recipes) -> list[str]:
    """The recipes by the mean difference of their trainings on the development prompts, the largest first.

    Test is not looked at. One recipe alone needs no choice and no development prompts. Raises ScoreError as `cells`.
    """
    if len(known) == 1:
        return list(known)
    means = differences(cells(scores, metric, model, "development")).mean()
    return sorted(known, key=lambda recipe: float(means[list(known[recipe].values())].mean()), reverse=True)


def shown(trainings: Mapping[int, str]) -> str:
    """The variant whose samples stand for a recipe: its first training, not its best, which nobody chose."""
    return next(iter(trainings.values()))


def trainings_of(known: Recipes, variant: str) -> Mapping[int, str]:
    """Training seed → variant, of the recipe that a variant is of."""
    return next(trainings for trainings in known.values() if variant in trainings.values())


def holm(p: Array) -> Array:
    """p corrected over all of them (Holm 1979), in (0, 1]: they need not be independent."""
    order = np.argsort(p)
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1.0)[np.argsort(order)]


def training_sentence(known: Recipes, best: str) -> str:
    """What may be said of the training seed: of the recipe that the variant `best` is of, in one sentence."""
    trainings = trainings_of(known, best)
    recipe = next(r for r, t in known.items() if t is trainings)
    seeds = ", ".join(map(str, trainings))
    if len(trainings) == 1:
        return (
            f"{best} was trained once (seed {seeds}): the result is about {ONE}, not about every training with its"
            " settings."
        )
    said = f"{recipe} was trained {len(trainings)} times (seeds {seeds}), and its interval counts the training too"
    few = f"; {ENOUGH} trainings or more would say how much they differ" if len(trainings) < ENOUGH else ""
    return f"{said}{few}."
