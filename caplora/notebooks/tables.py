"""The tables and sentences of notebook 05, each computed once, when it is first asked for."""

from collections.abc import Sequence
from functools import cached_property
from typing import TypeVar

import pandas as pd

from caplora.captions import Row, read_ledger, trained
from caplora.choosing import Choice, ablation_arms, ablation_table, read_asked, without
from caplora.report import (
    SECONDARY_METRICS,
    SUITES,
    Findings,
    agreement_sentence,
    errors_sentence,
    interest_sentence,
    memorised_sentence,
    power_sentence,
    read_closest,
    read_table,
    secondary_sentences,
    suite_sentences,
    tracking_sentence,
    with_nulls,
)
from caplora.statistics import (
    Check,
    alarm,
    attribute_effects,
    cells,
    checks,
    effect_table,
    primary_model,
    read_scores,
    recipe_effects,
    recipe_split,
    simulated_errors,
    study_spread,
    tracking_table,
)
from caplora.study import BASELINE, Study, Variant, read_study, read_variants

COLUMNS = ("variant", "split", "baseline", "adapter", "difference", "low", "high", "relative", "p", "p_corrected")

T = TypeVar("T", bound="Tables")


class Tables:
    """What the scores of a study say: effects, the choice, the answer, and what stands beside it.

    `asked` are the variants that were asked for, `named` is what the notebook was given as `variants`, if that was a
    name. A variant that cannot be judged is in `failed` with its reason, and the others are judged without it. Where
    the study has finalists, the others are in `spared`: they have development scores alone.
    """

    def __init__(self, study: Study, asked: Sequence[Variant], named: str = "") -> None:
        self.study, self.asked, self.named = study, tuple(asked), named
        scores = read_scores(study.scores, [v.name for v in asked])
        self.chosen = Choice(study, self.asked, scores)
        self.failed = self.chosen.failed  # variant → why it cannot be judged
        self.everything = without(scores, self.chosen.incomplete)  # the scores of all arms that have them all

    @classmethod
    def read(cls: type[T], study: str, variants: str | list[dict]) -> T:
        """The results of a study by its name or file, for the variants of a file or a list; raises as 01 to 04 do."""
        read, named = read_study(study), variants if isinstance(variants, str) else ""
        return cls(read, read_asked(read, read_variants(variants)), named)

    @property
    def spared(self) -> list[str]:
        """The names of the candidates that are no finalists."""
        return [v.name for v in self.chosen.spared]

    @property
    def names(self) -> list[str]:
        """The names of the candidates that are judged on the test prompts."""
        return [v.name for v in self.chosen.scored]

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The scores of the baseline and of `names`, a row per sample and metric."""
        return self.everything[self.everything["variant"].isin([BASELINE, *self.names])]

    @cached_property
    def parts(self) -> list[pd.DataFrame]:
        """The scores as tables in which every arm has every prompt: one, or two where test is for finalists only."""
        if not self.spared:
            return [self.scores]
        rest = self.scores[self.scores["split"] != "development"]
        return [self.chosen.development(), rest]

    def counts(self) -> pd.DataFrame:
        """How many samples each metric and model has scored, suite by suite."""
        return pd.concat(self.parts).groupby(["metric", "model", "split"], sort=False).size().to_frame("samples")

    def failures(self) -> str:
        """Over how many of the variants asked for the correction is, and why not over the others."""
        return self.chosen.sentence()

    @property
    def controls(self) -> list[Check]:
        """The controls of the study, run or not."""
        return checks(read_table(self.study.controls, [BASELINE, *self.names]), self.names)

    def control_sentences(self) -> str:
        """Whether each control came out right, and an alarm where one did not."""
        lines = [f"{check.name}: {check.state}. {check.said}" for check in self.controls]
        return "\n".join([*lines, alarm(self.controls)]).strip()

    @cached_property
    def effects(self) -> pd.DataFrame:
        """Every candidate's effect by metric, model and suite; a suite of one prompt has no interval, so no row.

        Of those who were spared the test prompts, on the development prompts alone.
        """
        return pd.concat([self._effects(part) for part in self.parts], ignore_index=True)

    def _effects(self, scores: pd.DataFrame) -> pd.DataFrame:
        prompts = scores.groupby(["metric", "model", "split"])["prompt"].transform("nunique")
        margins = self.study.claims.margin
        if not (scores["split"] == "test").any():  # not every metric is there
            margins = {metric: margin for metric, margin in margins.items() if metric in set(scores["metric"])}
        return effect_table(scores[prompts > 1], SECONDARY_METRICS, margins=margins)

    @cached_property
    def model(self) -> str:
        """The CLIP whose CLIPScore is the headline."""
        return primary_model(self.scores)

    @property
    def best(self) -> str:
        """The variant whose samples stand for the chosen recipe: its first training."""
        return self.chosen.best

    def choice(self) -> str:
        """Which recipe is chosen, by which variant it is shown, and whether 03 chose another."""
        return self.chosen.announced()

    def effects_on(self, split: str) -> pd.DataFrame:
        """Every candidate's effect on CLIPScore on one suite, as `effects` has it."""
        of_metric = (self.effects["metric"] == "clip_score") & (self.effects["model"] == self.model)
        return self.effects[of_metric & (self.effects["split"] == split)]

    def shown_on(self, split: str) -> pd.DataFrame:
        """The columns of `effects_on` that people read, rounded."""
        return self.effects_on(split)[list(COLUMNS)].round(4)

    @property
    def headline(self) -> pd.Series:
        """The effect of the chosen variant on CLIPScore on the test prompts."""
        test = self.effects_on("test")
        return test[test["variant"] == self.best].iloc[0]

    @cached_property
    def recipe_effects(self) -> pd.DataFrame:
        """The effect of each recipe, its interval counting its trainings; no rows where each was trained once."""
        once = max(map(len, self.chosen.known.values())) == 1
        return (
            pd.DataFrame() if once else recipe_effects(self.scores, "clip_score", self.model, "test", self.chosen.known)
        )

    @cached_property
    def recipe_split(self) -> pd.DataFrame:
        """Where the chosen recipe's differences spread from; no rows where it was trained once."""
        seeds = self.chosen.known[self.chosen.recipe]
        return pd.DataFrame() if len(seeds) == 1 else recipe_split(self.scores, "clip_score", self.model, "test", seeds)

    def answer(self) -> str:
        """The answer to the study's question, and what a study of this size can find."""
        power = [power_sentence(self.headline), interest_sentence(self.study, self.headline, self.findings.recipe)]
        return "\n".join([self.findings.answer, *filter(None, power)])

    @cached_property
    def errors(self) -> pd.DataFrame:
        """How often each test finds something where nothing is, simulated with this study's own spread."""
        prompts, seeds, variants = (int(self.headline[name]) for name in ("n_prompts", "n_seeds", "n_variants"))
        spread = study_spread(self.scores, "clip_score", self.model, "test")
        return simulated_errors(spread, prompts, seeds, variants, studies=min(1000, max(100, 30_000 // variants)))

    def errors_sentence(self) -> str:
        """The same in a sentence."""
        return errors_sentence(self.errors)

    @cached_property
    def values(self) -> pd.DataFrame:
        """CLIPScore on the test prompts: a row per prompt and seed, a column per arm."""
        return cells(self.scores, "clip_score", self.model, "test")

    @cached_property
    def arms(self) -> pd.DataFrame:
        """The table of whole arms that 04 left."""
        return read_table(self.study.arms, self.names)

    @cached_property
    def nearest(self) -> pd.DataFrame:
        """The samples most like a training image of those that are reported, as 04 found them."""
        return read_closest(self.study, self.names)

    def other_metrics(self) -> str:
        """What every other metric says of the chosen variant, by what it is about."""
        said = secondary_sentences(self.effects, self.arms, self.best, self.model)
        said = with_nulls(said, self.study, self.scores, self.best)
        lines = [line for about, found in said.items() for line in (about, *(f"  {sentence}" for sentence in found))]
        return "\n".join([*lines, memorised_sentence(self.nearest)])

    def suites(self) -> str:
        """What the chosen variant does on the edit prompts and on the unrelated ones."""
        said = {s: suite_sentences(self.effects, self.best, self.model, s) or ["none drawn"] for s in SUITES}
        return "\n".join(line for suite, found in said.items() for line in (suite, *(f"  {one}" for one in found)))

    @cached_property
    def tracked(self) -> pd.DataFrame:
        """How well each metric tracks the judge; no rows without a judge."""
        return tracking_table(self.scores)

    def agreement(self) -> str:
        """Whether CLIPScore and the judge go the same way, and how well each metric tracks the judge."""
        tracked = [tracking_sentence(row) for row in self.tracked.to_dict("records")]
        return "\n".join([agreement_sentence(self.effects, self.model), *tracked])

    @cached_property
    def attributes(self) -> pd.DataFrame:
        """The chosen variant's effect on each attribute that the judge knows; no rows without a judge."""
        return attribute_effects(self.scores, self.best)

    @cached_property
    def trained_rows(self) -> list[Row]:
        """The rows of the ledger that were trained on."""
        return trained(read_ledger(self.study.dataset), self.study.captioning.overrule)

    @cached_property
    def ablation_arms(self) -> dict[str, str]:
        """Kind of captions → variant, of a caption ablation; empty where there is none."""
        return ablation_arms([v for v in self.asked if v.name not in self.chosen.incomplete])

    @cached_property
    def ablation(self) -> pd.DataFrame:
        """What each kind of captions is worth against the ledger's; no rows without an ablation."""
        kinds = self.ablation_arms
        return ablation_table(self.everything, kinds) if kinds else self.effects.iloc[:0]

    @property
    def findings(self) -> Findings:
        """All of it, as the report needs it."""
        return Findings(
            self.effects, self.best, self.model, self.chosen.known, self.scores, self.errors, self.recipe_effects,
            self.recipe_split, self.tracked, self.ablation, self.failures(), self.named, self.spared,
        )  # fmt: skip
