"""What notebook 05 found, gathered for the report, and the sentence that answers the study's question."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from caplora.report import secondary, sentences
from caplora.statistics import ONE, Recipes, trainings_of


@dataclass(frozen=True)
class Findings:
    """What 05 computed from the scores, for the report to put into words; a table that lacks has no rows."""

    effects: pd.DataFrame  # `effect_table` of the candidates, on every metric and split
    best: str  # the variant chosen on the development prompts, or the first training of the recipe chosen there
    model: str  # the CLIP whose CLIPScore is the headline
    known: Recipes  # of the candidates that can be judged
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)  # of the candidates: who scored them
    errors: pd.DataFrame = field(default_factory=pd.DataFrame)  # `simulated_errors`
    recipes: pd.DataFrame = field(default_factory=pd.DataFrame)  # `recipe_effects` on the test prompts
    split: pd.DataFrame = field(default_factory=pd.DataFrame)  # `recipe_split` of the chosen recipe
    tracked: pd.DataFrame = field(default_factory=pd.DataFrame)  # `tracking_table`
    ablation: pd.DataFrame = field(default_factory=pd.DataFrame)  # `ablation_table`
    failed: str = ""  # `Choice.sentence`
    asked: str = ""  # what the notebooks were given as `variants`, a file or several by their names
    spared: Sequence[str] = ()  # candidates that were compared on the development prompts alone
    images: Sequence[str] = ()  # what more images gave, in sentences
    steps: Sequence[str] = ()  # which of the kept steps was chosen, in sentences

    @property
    def headline(self) -> dict[Hashable, Any]:
        """The effect on CLIPScore of the variant `best` on the test prompts."""
        rows = secondary.rows_of(self.effects, "test", "clip_score", self.model)
        return rows[rows["variant"] == self.best].to_dict("records")[0]

    @property
    def replicated(self) -> bool:
        """Whether the chosen recipe was trained more than once, so that the study says something of it."""
        return len(trainings_of(self.known, self.best)) > 1 and len(self.recipes) > 0

    @property
    def recipe(self) -> dict[Hashable, Any]:
        """The effect of the chosen recipe over its trainings; empty where it was trained once."""
        if not self.replicated:
            return {}
        recipes = {v: recipe for recipe, trainings in self.known.items() for v in trainings.values()}
        return self.recipes[self.recipes["recipe"] == recipes[self.best]].to_dict("records")[0]

    @property
    def answer(self) -> str:
        """The headline: of the recipe where it was trained more than once, else of this adapter only, which it says."""
        if not self.replicated:
            return f"{sentences.verdict_sentence(self.headline)} This is about {ONE}: it was trained once."
        return f"{sentences.recipe_sentence(self.recipe)} This is about the recipe, not about one adapter of it."
