"""The best recipes trained again from other seeds: what that takes, and whether the study allows it."""

from collections.abc import Sequence
from dataclasses import dataclass

from caplora.planning.cards import Card
from caplora.planning.configs import BaseConfigs
from caplora.planning.minutes import picture_seconds, training_seconds
from caplora.planning.needs import Needs
from caplora.planning.pictures import FINAL
from caplora.study import Study, Variant, may_be_retrained, recipes_again


@dataclass(frozen=True)
class Again:
    """Further trainings of a study's best recipes, in minutes; none where `recipes` is 0."""

    recipes: int
    trainings: int  # of each
    training: float
    drawing: float
    limit: float  # training.finalist_minutes

    def said(self) -> str:
        """In words: whether notebook 03 will do it."""
        if not self.recipes:
            return ""
        both, what = self.training + self.drawing, f"the best {self.recipes} again from {self.trainings} other seeds"
        if both > self.limit:
            return f"Not {what}: that takes {both:.0f} minutes, and training.finalist_minutes allows {self.limit:g}."
        return f"Then 03 trains {what}, about {self.training:.0f} minutes, and draws about {self.drawing:.0f} for them."


def pictures_again(study: Study, recipes: int) -> int:
    """How many more are drawn where so many recipes are trained again: each training draws the development prompts.

    The test prompts and the suites after them are drawn by all trainings of a finalist instead of one.
    """
    sampling, seeds = study.sampling, len(study.sampling.seeds)
    trainings, suites = study.training.finalist_seeds, {name: len(s) for name, s in study.sampling.suites.items()}
    finalists = min(sampling.finalists or recipes, recipes)
    steps = len(study.training.kept_steps)  # each draws with one seed, and the last step the unrelated prompts too
    kept = steps * (suites["development"] + suites["unrelated"]) + bool(steps) * suites["unrelated"]
    early = recipes * trainings * (suites["development"] * seeds + kept)
    return early + finalists * (trainings - 1) * sum(suites[split] for split in FINAL) * seeds


def again_of(
    study: Study, variants: Sequence[Variant], configs: BaseConfigs, card: Card, needs: Needs, images: int
) -> Again:
    """What it takes on a card, whichever recipes lead: those of the largest ranks are counted."""
    recipes, seeds = recipes_again(study, variants), study.training.finalist_seeds
    largest = sorted(may_be_retrained(study, variants), key=lambda v: v.rank)[-recipes:] if recipes else []
    own = list(study.training.retrained(largest))
    trained = training_seconds(study, own, configs, card, needs.checkpointing, images) if own else 0.0
    drawn = pictures_again(study, recipes) * picture_seconds(study, configs, card) if own else 0.0
    return Again(recipes, seeds, trained / 60, drawn / 60, study.training.finalist_minutes)
