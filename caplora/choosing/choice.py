"""Scores on the development prompts → who draws the test prompts, and who of them is reported.

One rule for notebook 03, which draws by it, and for notebook 05, which reports by it. The test prompts have no say in
it, but a variant that drew there what cannot be scored is not reported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from caplora.choosing.ablation import experimental_arms
from caplora.choosing.failures import failed_variants, failure_sentence, reasons, without
from caplora.choosing.retraining import COLUMNS, read_choice
from caplora.choosing.steps import chosen_steps
from caplora.statistics import ScoreError, cells, primary_model, ranked_recipes, recipes, shown
from caplora.study import BASELINE, Study, Variant, candidates, counted, may_be_retrained, recipes_again


@dataclass(frozen=True, eq=False)
class Choice:
    """Whom the scores choose of the variants asked for: `scores` are theirs and the baseline's, as far as there are.

    A candidate is compared if it has every score that the baseline has on the development prompts. Finalists are the
    best of these, `sampling.finalists` of them or all: recipes, each with all its trainings. Of adapters kept at
    several steps one stands for the others, by `sampling.step_rule`. Where recipes were retrained, finalists are of
    these further trainings alone. A finalist that can be judged on everything is scored, and the best recipe of those
    is reported, by its first training.
    """

    study: Study
    asked: Sequence[Variant]
    scores: pd.DataFrame
    flagged: Mapping[str, str] = field(default_factory=dict)  # variant → why it cannot be judged, known beforehand

    @cached_property
    def candidates(self) -> list[Variant]:
        """The variants from which the best is chosen, whether or not they can be: controls of an ablation are none."""
        return candidates(self.asked)

    @cached_property
    def _comparable(self) -> pd.DataFrame:
        """The scores, without what adapters kept at several steps do not have on the development prompts.

        They draw the first seed alone, and one sample has no diversity.
        """
        if not any(v.step for v in self.asked):
            return self.scores
        first = (self.scores["seed"] == self.study.sampling.seeds[0]) & (self.scores["metric"] != "diversity")
        return self.scores[first | (self.scores["split"] != "development")]

    @cached_property
    def _development(self) -> pd.DataFrame:
        return self._comparable[self._comparable["split"] == "development"]

    def development(self) -> pd.DataFrame:
        """The scores of the baseline and the compared on the development prompts."""
        own = [BASELINE, *(v.name for v in self.compared)]
        return self._development[self._development["variant"].isin(own)]

    @cached_property
    def incomplete(self) -> dict[str, str]:
        """Variant → what it lacks of the scores that the baseline has, on any prompts."""
        return failed_variants(self.study, self.asked, self._comparable) | dict(self.flagged)

    @cached_property
    def _incomparable(self) -> dict[str, str]:
        """Variant → what it lacks on the development prompts; nothing where they were not scored at all."""
        return failed_variants(self.study, self.asked, self._development) if len(self._development) else {}

    @cached_property
    def compared(self) -> list[Variant]:
        """The candidates with every development score, each training at the step that stands for it."""
        own = [v for v in self.candidates if v.name not in self._incomparable]
        names = [BASELINE, *(v.name for v in own)]
        scores = self._development[self._development["variant"].isin(names)]
        return chosen_steps(own, scores, self.study.sampling.step_rule)

    @cached_property
    def passed_over(self) -> list[Variant]:
        """The candidates at steps that stand for no training."""
        compared = {*self.compared}
        others = {v.model_copy(update={"step": None}) for v in compared}
        return [v for v in self.candidates if v not in compared and v.model_copy(update={"step": None}) in others]

    @cached_property
    def reported(self) -> list[Variant]:
        """The candidates, one of each training: at the step that stands for it, or where none can at its last."""
        last = {v for v in self.candidates if v.step is None} - {*self.passed_over}
        own = last.union(self.compared)
        return [v for v in self.candidates if v in own]

    @cached_property
    def _asked(self) -> list[Variant]:
        """The variants asked for, one of each training."""
        others = {*self.candidates} - {*self.reported}
        return [v for v in self.asked if v not in others]

    @property
    def retrained(self) -> list[Variant]:
        """Those compared that are further trainings of the recipes that lead."""
        again = {*self.to_retrain}
        return [v for v in self.compared if v.model_copy(update={"step": None}) in again]

    @cached_property
    def to_retrain(self) -> tuple[Variant, ...]:
        """The further trainings of the recipes that lead so far; none where they are not to be trained again."""
        listed = [v for v in self.asked if not v.retrained]
        count = recipes_again(self.study, listed)
        best = self._best(self._first, count) if count else []
        own = {v.model_copy(update={"step": None}) for v in best}
        return self.study.training.retrained([v for v in may_be_retrained(self.study, listed) if v in own])

    @cached_property
    def finalists(self) -> list[Variant]:
        """Those compared that the test prompts are for."""
        return self._best(self.retrained or self._first, self.study.sampling.finalists)

    @property
    def _first(self) -> list[Variant]:
        """Those compared whose training had its say in what leads."""
        return [v for v in self.compared if not v.retrained]

    def _best(self, compared: list[Variant], limit: int | None) -> list[Variant]:
        """All trainings of the `limit` best recipes."""
        if limit is None or len(compared) <= limit:
            return compared
        known = recipes(compared, self.study.training)
        best = {name for recipe in self._ranked(known)[:limit] for name in known[recipe].values()}
        return [v for v in compared if v.name in best]

    @cached_property
    def spared(self) -> list[Variant]:
        """Those compared or passed over that are no finalists: the test prompts were not spent on them."""
        own = {*self.compared, *self.passed_over} - {*self.finalists}
        return [v for v in self.candidates if v in own]

    @property
    def tested(self) -> list[str]:
        """Who draws every prompt: all, or the finalists and the arms of an experiment, compared there."""
        if self.study.sampling.finalists is None:
            arms, passed = {*experimental_arms(self.asked)}, {*self.passed_over}
            return [v.name for v in self.asked if v not in passed or v.name in arms]
        chosen_from = {*self.candidates}
        controls = [v.name for v in self.asked if v not in chosen_from]
        own = {*(v.name for v in self.finalists), *controls, *experimental_arms(self.asked)}
        return [v.name for v in self.asked if v.name in own]

    @cached_property
    def failed(self) -> dict[str, str]:
        """Variant → why it cannot be judged, one of each training; one that was spared the test prompts needs none."""
        spared, asked = {v.name for v in self.spared}, {v.name for v in self._asked}
        found = {name: why for name, why in self.incomplete.items() if name in asked - spared}
        return {name: self._incomparable.get(name, why) for name, why in found.items()} if spared else found

    @property
    def scored(self) -> list[Variant]:
        """The finalists that can be judged."""
        return [v for v in self.finalists if v.name not in self.failed]

    @cached_property
    def known(self) -> dict[str, dict[int, str]]:
        """Recipe → training seed → variant, of the scored: those that differ in the training seed alone are one."""
        return recipes(self.scored, self.study.training)

    @cached_property
    def recipe(self) -> str:
        """The recipe with the largest mean difference in CLIPScore on the development prompts.

        Raises ScoreError where no variant can be judged.
        """
        if not self.known:
            why = "; ".join(said.removesuffix(".") for said in reasons(self.failed)) or "none was trained and scored"
            last = " Where another may take its place, raise sampling.finalists." if self.spared else ""
            raise ScoreError(f"no variant can be judged: {why}.{last}")
        return self._ranked(self.known)[0]

    @property
    def best(self) -> str:
        """The variant whose samples stand for the chosen recipe: its first training."""
        return shown(self.known[self.recipe])

    def _ranked(self, known: Mapping[str, Mapping[int, str]]) -> list[str]:
        own = [BASELINE, *(name for trainings in known.values() for name in trainings.values())]
        scores = self._development[self._development["variant"].isin(own)]
        return ranked_recipes(scores, "clip_score", primary_model(self.scores), known)

    def table(self) -> pd.DataFrame:
        """What the choice rests on: `COLUMNS`, a row for the baseline and each variant asked for.

        `clip_score` is the mean over the development prompts, empty for one that lacks some of its scores; `tested` is
        whether it draws the other prompts too.
        """
        names = [BASELINE, *(v.name for v in self.asked)]
        whole = without(self._development[self._development["variant"].isin(names)], self._incomparable)
        values = cells(whole, "clip_score", primary_model(whole), "development")
        means, tested, best = values.mean().reindex(names), {BASELINE, *self.tested}, self.best if self.known else ""
        table = pd.DataFrame({"variant": means.index, "clip_score": means.to_numpy()})
        table["difference"] = table["clip_score"] - table["clip_score"].iloc[0]
        return table.assign(tested=table["variant"].isin(tested), chosen=table["variant"] == best)[list(COLUMNS)]

    def announced(self) -> str:
        """Which recipe is chosen, by which variant it is shown, and whether 03 chose another."""
        said, drawn = f"chosen: {self.recipe}, shown by {self.best}", read_choice(self.study)
        before = ", ".join(drawn.loc[drawn["chosen"].astype(bool), "variant"])
        if before in ("", self.best):
            return said
        return (
            f"{said}\nBut 03_inference chose {before}, which it drew at other scales: it was given other variants, or"
            f" something has changed since. Run 03 and 04 again with these variants, and {self.best} is drawn there."
        )

    def sentence(self) -> str:
        """On whom the test prompts were spent, over how many variants p is corrected, and why not over the others."""
        if not self.spared:
            return failure_sentence(self._asked, self.failed)
        names, limit = ", ".join(v.name for v in self.finalists), self.study.sampling.finalists
        n, steps = len(self._first), ", each at one of its steps" * bool(self.passed_over)
        said = f"{counted(n, 'variant')} {'was' if n == 1 else 'were'} compared on the development prompts{steps}"
        if self.retrained:
            said += self._again
        else:
            some = "the best" if limit == 1 else f"the best {limit}"
            best = f"{some} of them alone" if limit and limit < n else "all of them"
            said += f", and the test prompts were spent on {'it' if n == 1 else best} ({names})"
        judged = len(self.known) if self.retrained else len(self.scored)
        whose = "the recipe’s p" if self.retrained and judged == 1 else "p"
        said += f": {whose} {'is corrected over those' if judged > 1 else 'needs no correction'}."
        return " ".join([said, *reasons(self.failed)])

    @property
    def _again(self) -> str:
        """How the sentence goes on where recipes were trained again."""
        first, known = recipes(self.retrained, self.study.training), recipes(self.finalists, self.study.training)
        seeds, names = max(map(len, first.values())), ", ".join(v.name for v in self.finalists)
        some = "the best was" if len(first) == 1 else f"the best {len(first)} were"
        return (
            f". From {counted(seeds, 'other seed')} {some} trained again ({', '.join(first)}), and compared there by"
            f" these trainings. The test prompts were spent on the trainings of {', '.join(known)} ({names}), which"
            " had no say in what was trained again"
        )
