"""What notebook 05 holds of an experiment over the number of images: how much of each metric so many images gave."""

from dataclasses import replace
from functools import cached_property

import pandas as pd

from caplora.choosing import image_arms
from caplora.notebooks.tables import Tables
from caplora.report import Findings, images_sentences
from caplora.statistics import Enough, axis_kinds, axis_table, enough_of, model_of
from caplora.study import metric_of


class Axes(Tables):
    """The tables of a study, and those over the number of images that a variant was trained on."""

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

    @property
    def findings(self) -> Findings:
        """All of it, as the report needs it."""
        return replace(super().findings, images=images_sentences(self.enough_images))
