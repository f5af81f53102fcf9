"""What notebook 05 holds of metrics over a number: images trained on, and steps at which an adapter was kept."""

from dataclasses import replace
from functools import cached_property

import pandas as pd

from caplora.choosing import image_arms
from caplora.notebooks.believed import BelievedTables
from caplora.report import Findings, images_sentences, steps_sentences
from caplora.statistics import Enough, axis_kinds, axis_table, change_after, enough_of, model_of
from caplora.study import BASELINE, metric_of


class Axes(BelievedTables):
    """The tables of a study, and those over images and steps."""

    @cached_property
    def image_arms(self) -> dict[float, str]:
        """Number of images → variant, the fewest first; empty where no variant was trained on fewer."""
        arms = image_arms([v for v in self.asked if v.name not in self.chosen.incomplete])
        return {count or len(self.trained_rows): name for count, name in arms.items()}

    @cached_property
    def over_images(self) -> pd.DataFrame:
        """Each metric on the test prompts (drift: unrelated) by the number of images; no rows without `image_arms`."""
        if not self.image_arms:
            return pd.DataFrame()
        return axis_table(self.everything, self.image_arms, axis_kinds(self.everything, "test"))

    @cached_property
    def enough_images(self) -> dict[str, Enough]:
        """Metric → how each number of images compares with all of them: alignment and likeness."""
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
        arms = {v.step or self.study.training.steps: v.name for v in own if counts.get(v.name, 0) == counts[BASELINE]}
        return {float(step): arms[step] for step in sorted(arms)} if len(arms) > 1 else {}

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
