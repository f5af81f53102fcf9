"""What notebook 05 holds of metrics over a number: images trained on, and steps at which an adapter was kept."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import pandas as pd

from caplora.notebooks.believed import BelievedTables
from caplora.report import Findings, copied_sentence, images_sentences, read_json, read_table, steps_sentences
from caplora.statistics import (
    COPIES,
    Copied,
    Effect,
    Enough,
    axis_kinds,
    axis_table,
    copied,
    enough_of,
    likeness_after,
    model_of,
)
from caplora.study import BASELINE, Variant, image_arms, metric_of
from caplora.training import trained_on


class Axes(BelievedTables):
    """The tables of a study, and those over images and steps."""

    @property
    def effects_by_variant(self) -> pd.DataFrame:
        """The effects on CLIPScore on the test prompts; where those are for finalists, on the development prompts.

        A single development prompt has no intervals: then the finalists' are shown.
        """
        early = self.effects_on("development") if self.spared else pd.DataFrame()
        return early if len(early) else self.effects_on("test")

    @cached_property
    def image_arms(self) -> dict[str, dict[float, str]]:
        """Variant → number of images → its arm, the fewest first; empty where no variant was trained on fewer."""
        whole = [v for v in self.asked if v.name not in self.chosen.incomplete]
        every = {v.name: len(trained_on(self.study, v) or self.trained_rows) for v in whole}
        return {arms[None]: {n or every[name]: name for n, name in arms.items()} for arms in image_arms(whole)}

    @cached_property
    def over_images(self) -> pd.DataFrame:
        """Each metric on the test prompts (drift: unrelated) by the number of images; no rows without `image_arms`."""
        if not self.image_arms:
            return pd.DataFrame()
        scores = {name: self._with_captions(self.everything, arms) for name, arms in self.image_arms.items()}
        kinds = {name: axis_kinds(own, "test") for name, own in scores.items()}
        arms = self.image_arms
        tables = [axis_table(scores[name], arms[name], kinds[name]).assign(variant=name) for name in arms]
        return pd.concat(tables, ignore_index=True)

    def _with_captions(self, scores: pd.DataFrame, arms: Mapping[float, str]) -> pd.DataFrame:
        """Scores, and how near the baseline and all of these arms come to the images of their captions."""
        return pd.concat([scores, self.replicated(arms)], ignore_index=True)

    def replicated(self, arms: Mapping[Any, str]) -> pd.DataFrame:
        """How near samples come to the images of their captions, of captions that the baseline and all arms drew."""
        table = read_table(self.study.replication, [BASELINE, *arms.values()]) if arms else pd.DataFrame()
        if table.empty:
            return table
        whole = table[table.groupby(["split", "prompt"])["variant"].transform("nunique") == 1 + len(arms)]
        return whole if whole["split"].nunique() == len(COPIES) else whole.iloc[:0]

    @cached_property
    def enough_images(self) -> dict[str, dict[str, Enough]]:
        """Metric → variant → how each number of images compares with all of them: alignment and likeness."""
        metrics = [m for m in dict.fromkeys(self.over_images.get("metric", [])) if metric_of(m).better == "more"]
        margins, scores = self.study.claims.margin, self.everything
        by = {metric: model_of(scores, metric) for metric in metrics}
        return {m: enough_of(scores, self.image_arms, m, model, margins.get(m)) for m, model in by.items()}

    def images_sentences(self) -> str:
        """From how many images on more did not help, as far as can be told; or that there is no such experiment."""
        return "\n".join(self._images_said) or "no variant was trained on fewer images"

    @cached_property
    def _images_said(self) -> list[str]:
        known = {name: self._copied(arms) for name, arms in self.image_arms.items()}
        named = [{f"{name} with {at:g} images": c for at, c in found.items()} for name, found in known.items()]
        return [*images_sentences(self.enough_images), *(copied_sentence(own) for own in named if own)]

    def _copied(self, arms: Mapping[float, str]) -> dict[float, Copied]:
        """What each arm copies, beyond the baseline and beyond held-out images; empty where none was asked."""
        table = self.replicated(arms)
        found = {at: copied(table, arm) for at, arm in arms.items()} if len(table) else {}
        return {at: own for at, own in found.items() if own}

    @cached_property
    def step_arms(self) -> dict[float, str]:
        """Step → the chosen training's adapter there, the last step last; empty where it was kept at the end alone."""
        [best] = [v for v in self.asked if v.name == self.best]
        own = [v for v in self.asked if v.model_copy(update={"step": best.step}) == best]
        counts = self._first_seed.groupby("variant").size()
        whole = [v for v in own if counts.get(v.name, 0) == counts[BASELINE]]
        arms = {v.step or self._steps_of(v): v.name for v in whole}
        return {float(step): arms[step] for step in sorted(arms)} if len(arms) > 1 else {}

    def _steps_of(self, variant: Variant) -> int:
        """How many steps a variant was trained, as 02 left it, whatever the study says now."""
        return read_json(self.study.adapter(variant) / "settings.json").get("steps", self.study.training.steps)

    @cached_property
    def _first_seed(self) -> pd.DataFrame:
        """What an adapter draws at each of its steps: development and unrelated prompts with the first seed."""
        scores = self.chosen.scores
        own = scores["split"].isin(["development", "unrelated"]) & (scores["seed"] == self.study.sampling.seeds[0])
        finite = pd.to_numeric(scores["value"], errors="coerce").abs() < float("inf")
        return scores[own & finite & (scores["metric"] != "diversity")]

    @cached_property
    def over_steps(self) -> pd.DataFrame:
        """Each metric on the development prompts, first seed (drift: unrelated); no rows without `step_arms`."""
        if not self.step_arms:
            return pd.DataFrame()
        scores = self._with_captions(self._first_seed, self.step_arms)
        return axis_table(scores, self.step_arms, axis_kinds(scores, "development"))

    @property
    def asked_arms(self) -> dict[str, str]:
        """Title → arm: the chosen training at each kept step, or else the first variant by its number of images."""
        if self.step_arms:
            return {f"step {at:g}": arm for at, arm in self.step_arms.items()}
        return {f"{at:g} images": arm for at, arm in next(iter(self.image_arms.values()), {}).items()}

    def steps_sentence(self) -> str:
        """Which step was chosen by which rule, and whether training went on to copy; or that one was kept."""
        return "\n".join(self._steps_said) or "no adapter was kept before the end (training.keep)"

    @cached_property
    def _steps_said(self) -> list[str]:
        if not self.step_arms:
            return []
        chosen = next(step for step, name in self.step_arms.items() if name == self.best)
        arms, table = self.step_arms, self.replicated(self.step_arms)
        likeness = {at: self._likeness_from(at) for at in arms}
        more = {at: c for at, arm in arms.items() if len(table) and (c := copied(table, arms[max(arms)], arm))}
        both = {f"step {at:g}": c for at, c in self._copied(arms).items() if at in (chosen, max(arms))}
        said = steps_sentences(arms, chosen, self.study.sampling.step_rule, likeness, more)
        return [*said, *([copied_sentence(both)] if both else [])]

    def _likeness_from(self, step: float) -> dict[float, Effect]:
        """Later step → how likeness to held-out portraits changes from a step to that one."""
        later = {at: arm for at, arm in self.step_arms.items() if at > step}
        found = {at: likeness_after(self._first_seed, self.step_arms[step], arm) for at, arm in later.items()}
        return {at: effect for at, effect in found.items() if effect}

    @property
    def findings(self) -> Findings:
        """All of it, as the report needs it."""
        return replace(super().findings, images=self._images_said, steps=self._steps_said)
