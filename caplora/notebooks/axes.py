"""What notebook 05 holds of metrics over a number: images trained on, and steps at which an adapter was kept."""

from dataclasses import replace
from functools import cached_property

import pandas as pd

from caplora.choosing import image_arms
from caplora.notebooks.believed import BelievedTables
from caplora.report import Findings, images_sentences, read_json, steps_sentences
from caplora.statistics import Enough, axis_kinds, axis_table, change_after, enough_of, model_of
from caplora.study import BASELINE, Variant, metric_of
from caplora.training import trained_on


class Axes(BelievedTables):
    """The tables of a study, and those over images and steps."""

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
        scores, kinds = self.everything, axis_kinds(self.everything, "test")
        tables = [axis_table(scores, arms, kinds).assign(variant=name) for name, arms in self.image_arms.items()]
        return pd.concat(tables, ignore_index=True)

    @cached_property
    def enough_images(self) -> dict[str, dict[str, Enough]]:
        """Metric → variant → how each number of images compares with all of them: alignment and likeness."""
        metrics = [m for m in dict.fromkeys(self.over_images.get("metric", [])) if metric_of(m).better == "more"]
        margins, scores = self.study.claims.margin, self.everything
        by = {metric: model_of(scores, metric) for metric in metrics}
        return {m: enough_of(scores, self.image_arms, m, model, margins.get(m)) for m, model in by.items()}

    def images_sentences(self) -> str:
        """From how many images on more did not help, as far as can be told; or that there is no such experiment."""
        return "\n".join(images_sentences(self.enough_images)) or "no variant was trained on fewer images"

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
        return axis_table(self._first_seed, self.step_arms, axis_kinds(self._first_seed, "development"))

    def steps_sentence(self) -> str:
        """Which step was chosen by which rule, and whether training went on to copy; or that one was kept."""
        return "\n".join(self._steps_said) or "no adapter was kept before the end (training.keep)"

    @cached_property
    def _steps_said(self) -> list[str]:
        if not self.step_arms:
            return []
        chosen = next(step for step, name in self.step_arms.items() if name == self.best)
        later = change_after(self._first_seed, self.best, self.step_arms[max(self.step_arms)])
        return steps_sentences(self.step_arms, chosen, self.study.sampling.step_rule, later)

    @property
    def findings(self) -> Findings:
        """All of it, as the report needs it."""
        return replace(super().findings, images=images_sentences(self.enough_images), steps=self._steps_said)
