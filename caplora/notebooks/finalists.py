"""What notebook 03 trains: the best recipes again, from other seeds, so that no lucky training judges them."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from caplora.notebooks.adapters import Adapters
from caplora.notebooks.samples import Samples
from caplora.planning import pictures_again
from caplora.study import Variant, why_once
from caplora.training import Step, changes, plan_packs


class Finalists(Adapters):
    """The further trainings of the recipes that lead on the development prompts, over the base model of `samples`.

    They are made where they and their pictures fit into `training.finalist_minutes`, or where they were begun before.
    What is there of earlier ones that were made differently is set aside.
    """

    doing = "3 of 5: the best recipes are trained again"

    def __init__(self, samples: Samples) -> None:
        aside = samples.study.aside_sentence
        super().__init__(samples.study, () if aside else samples.to_retrain)
        self.samples, self.pipeline = samples, samples.pipeline
        self.why = aside or why_once(samples.study, samples.listed)  # nothing is trained again
        if not self.variants:
            self.why = self.why or "no variant could be compared"

    def counts(self) -> str:
        """Which recipes are trained again and from which seeds, or why none is."""
        if self.why:
            return f"nothing is trained again: {self.why}"
        seeds = dict.fromkeys(str(v.seed) for v in self.variants)
        return f"to be trained again, from the seeds {', '.join(seeds)}: {', '.join(self.recipes)}"

    def encode(self, captions: Iterable[tuple[str, str]]) -> None:
        """Encode all that is trained on, the portraits and what else; what 02 has encoded is only read."""
        super().encode(captions)
        self.encode_held_out(self.kept_back)
        for _ in self.draw_class_images():
            pass  # 02 has drawn them

    def forecast(self) -> str:
        """How long these trainings and their pictures take; or why they are not made."""
        if self.why:
            return ""
        self.grid = self.described()
        left = {v: self._left(v) for v in self.variants}
        plan = plan_packs(self.grid, self.variants)
        self.plan = replace(plan, steps=sum(max(left[v] for v in pack) for pack in plan.packs))
        said, limit = super().forecast(), self.study.training.finalist_minutes
        drawing = pictures_again(self.study, len(self.recipes)) * self.samples.each / 60
        new = [v for v in self.variants if left[v] == self.grid.settings(v).steps]  # not begun as it is asked for now
        self.why = self._trained_otherwise()
        if not self.why and new and self.minutes + drawing > limit:
            self.why = (
                f"they would take {self.minutes:.0f} minutes and their pictures {drawing:.0f}, more than"
                f" training.finalist_minutes ({limit:g}) allows"
            )
        if self.why:
            return self.counts()
        pictures = f"\ntheir pictures take about {drawing:.1f} minutes" if new else ""
        return f"{self.prepare(fork=True)}\n{said}{pictures}"

    @property
    def recipes(self) -> list[str]:
        """The recipes that are trained again."""
        return list(dict.fromkeys(v.model_copy(update={"seed": None}).name for v in self.variants))

    def _left(self, variant: Variant) -> int:
        """The steps that a training still has to do; all where what is there was made differently."""
        there = [] if changes(self.grid, variant) else self.grid.checkpoints(variant).steps()
        return self.grid.settings(variant).steps - max(there, default=0)

    def _trained_otherwise(self) -> str:
        """What the trainings that lead were made from and is no more: another training would be of another recipe."""
        first = [v for v in self.samples.listed if v.name in self.recipes]
        listed = {v.name: changes(self.grid, v) for v in first}
        said = "\n".join(f"{name} was trained differently:\n{lines}" for name, lines in listed.items() if lines)
        return f"{said}\nrun 02 with what is asked for now, then 03 again" if said else ""

    @property
    def steps(self) -> int:
        """How many steps are left to do; none where nothing is trained again."""
        return 0 if self.why else super().steps

    def train(self) -> Iterator[Step]:
        """Train what is left, yielding every step; then `samples` has these trainings, and their pictures to draw."""
        if self.why:
            return
        with suppress(FloatingPointError):  # all of them diverged: 05 names each
            yield from super().train()
        self.samples.take_in(self.variants)
