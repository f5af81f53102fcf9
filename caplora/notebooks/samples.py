"""What notebook 03 holds: the baseline and the adapters of a study on their way to samples."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import pandas as pd
from PIL import Image

from caplora.choosing import Choice
from caplora.images import contact_sheet
from caplora.models import device_of
from caplora.notebooks.arms import Arms
from caplora.playground import Playground, refuse_while_drawing
from caplora.report import growing
from caplora.sampling import (
    CAPTIONED,
    Arm,
    Job,
    Sample,
    batch_seconds,
    claim,
    development_only,
    drawn_samples,
    first_prompts,
    flagged_sentence,
    picture_seconds,
    pictures_in,
    refuse_flagged_baseline,
    sample,
    scale_zero_table,
    wanted_samples,
    write_tables,
)
from caplora.scoring import clip_table, load_clip
from caplora.statistics import checks, design_sentence, pilot_sentence, write_controls
from caplora.study import BASELINE, read_aside, read_variants, recipes_again, write_text


class Samples(Arms):
    """The arms of a study, what they draw, and whom the development prompts choose."""

    @classmethod
    def open(
        cls,
        study: str,
        variants: str | list[dict],
        num_inference_steps: int = 0,
        guidance_scale: float = 0.0,
        redraw: bool = False,
        part: bool = False,
    ) -> "Samples":
        """A study by its name or file, and variants by their file or as a list; 0 is what the study says.

        Other settings draw into a folder of their own. `redraw`: pictures that the study would draw otherwise may go.
        `part`: one of several jobs, which draws before the choice alone; its variants may be `baseline`, which is none.
        """
        turned = {"num_inference_steps": num_inference_steps or None, "guidance_scale": guidance_scale or None}
        read = read_aside(study, turned)
        asked = () if variants == BASELINE else read.training.with_steps(read_variants(variants))
        return (Part if part else cls)(read, asked, redraw)

    def counts(self) -> str:
        """Which arms there are, which variants were not trained, and how many samples are to be drawn."""
        first, settings = pictures_in(self.development_jobs), self.study.sampling
        lines = [
            [self.study.aside_sentence],
            ["arms:", BASELINE, *self.trained],
            ["not trained:", *([v.name for v in self.variants if v.name not in self.everyone] or ["none"])],
            [self._all_prompts] if settings.finalists else [],
            ["at other scales too: the best of them, at", *map(str, settings.scales)] if settings.scales else [],
            [self.removed],
            *([note] for adapter in self.trained.values() for note in adapter.notes),
            [f"{pictures_in(self.jobs)} samples to draw, {first} of them of the development prompts"],
        ]
        return "\n".join(" ".join(line) for line in lines if any(line))

    @property
    def _all_prompts(self) -> str:
        again = ", or its further trainings" if recipes_again(self.study, self.listed) else ""
        return f"on all prompts: the baseline and the best {self.study.sampling.finalists} of them{again}"

    def forecast(self) -> str:
        """How long it takes to draw what is not drawn yet, from the measured steps of a batch."""
        jobs = self.jobs
        if not jobs:
            return "everything is drawn"
        refuse_while_drawing()
        largest = max(jobs, key=lambda job: pictures_in([job]))
        self.seconds = batch_seconds(self.pipeline, largest, self.study.sampling) / pictures_in([largest])
        return f"{pictures_in(jobs)} samples take about {self.seconds * pictures_in(jobs) / 60:.1f} minutes"

    def prompts(self) -> str:
        """The first prompts of each suite, and what the study can find with them."""
        return f"{first_prompts(self.study.sampling)}\n\n{design_sentence(self.study)}"

    def draw_development(self) -> Iterator[Image.Image]:
        """Draw what is not drawn yet of the development prompts, yielding each batch as a sheet (a column per arm)."""
        yield from self._sheets(self.development_jobs)

    def choose(self) -> pd.DataFrame:
        """Choose by the CLIPScores of the development samples; whom, and the scores, which choice.csv keeps.

        Further trainings count where the others, which are compared first, still say that their recipes lead.
        """
        said = {name: flagged_sentence(self._drawn(self.everyone[name])) for name in self.trained}
        flagged = {name: why for name, why in said.items() if why}
        own, scores = [v for v in self.variants if v.name in self.trained], self._development_scores
        first = Choice(self.study, [v for v in own if not v.retrained], scores, flagged)
        self.to_retrain = first.to_retrain
        again = [v for v in own if v.model_copy(update={"step": None}) in self.to_retrain]
        if len(again) < sum(v.retrained or False for v in own):  # others lead than an earlier run has trained again
            self.take_in(v for v in again if v.step is None)
        self.choice = Choice(self.study, [*first.asked, *again], scores, flagged) if again else first
        table = self.choice.table()
        write_text(self.study.choice, table.to_csv(index=False))
        return table.set_index("variant").round(4)

    def power(self) -> str:
        """What the development prompts say of the test: whether it finds what is of interest, and what would."""
        if not self.choice or not self.choice.compared:
            return ""
        return pilot_sentence(self.study, self.choice.development(), len(self.columns), self.each)

    @property
    def each(self) -> float:
        """Seconds that a picture takes to draw, measured."""
        self.seconds = self.seconds or picture_seconds(self.pipeline, self.everyone[BASELINE], self.study.sampling)
        return self.seconds

    def chosen(self) -> str:
        """Who is chosen, who draws every prompt, who the development prompts only, and how much is left to draw."""
        tested, best = self._chosen
        spared = [name for name in self.trained if name not in tested]
        asked = [arm.folder.name.removesuffix(CAPTIONED) for arm in self.with_captions]
        lines = [
            ["chosen:", best or "none"],
            ["on all prompts:", BASELINE, *tested],
            ["on the development prompts only:", *spared] if spared else [],
            ["with captions, whether they copy:", *asked] if asked else [],
            [self.removed] if self.retrained else [],
            [f"{pictures_in(self.jobs)} samples to draw"],
        ]
        return "\n".join(" ".join(line) for line in lines if line)

    @cached_property
    def _development_scores(self) -> pd.DataFrame:
        """CLIPScore of every development sample by the study's first CLIP, which keeps its embeddings for 04."""
        samples = [s for arm in self.everyone.values() for s in self._drawn(development_only(arm))]
        refuse_flagged_baseline(samples)
        scoring = self.study.scoring
        clip = load_clip(self.study, scoring.clips[0], device_of())
        return clip_table(clip, [s for s in samples if not s.flag], clip.prefix)

    def draw(self) -> Iterator[Image.Image]:
        """Draw what is not drawn yet by the choice, yielding each batch as a sheet; then write the tables.

        A variant that draws what cannot be scored is not reported: the choice is made again, and its scales are drawn.
        """
        yield from self.draw_development()
        while True:
            self.choose()
            claim([arm for name, arm in self.arms.items() if "@" in name], self.redraw)
            if not (jobs := self.jobs):
                break
            yield from self._sheets(jobs)
        write_tables(list(self.arms.values()))

    def _sheets(self, jobs: Sequence[Job]) -> Iterator[Image.Image]:
        refuse_while_drawing()
        drawn = sample(self.pipeline, jobs, self.study.sampling)
        began, done = time.monotonic(), 0
        for batch in growing(self.study, drawn, "3 of 5: every arm draws the prompts", "batches", len(jobs)):
            done += sum(len(drawn.images) for drawn in batch)
            self.seconds = (time.monotonic() - began) / done
            yield contact_sheet([image for drawn in batch for image in drawn.images], columns=len(batch[0].images))

    def playground(self, kept: Callable[[], object] = lambda: None) -> Playground:
        """The playground over the base model and the trained variants; `kept` is called after each drawing."""
        return Playground(self.study, self.variants, self.pipeline, kept)

    def _drawn(self, arm: Arm) -> list[Sample]:
        return drawn_samples(arm.folder, arm.wanted)

    def flagged(self) -> str:
        """Which samples cannot be scored, and why."""
        drawn = [sample for arm in self.arms.values() for sample in self._drawn(arm)]
        return flagged_sentence(drawn) or "none is black or not finite"

    def control(self) -> str:
        """Whether every adapter at scale 0 draws the baseline's picture to the bit; it goes into controls.csv."""
        refuse_while_drawing()
        settings = self.study.sampling
        own = [v.name for v in self.variants if not v.step or v.name in self._chosen[0]]
        adapters = {name: adapter for name, adapter in self.trained.items() if name in own}
        found = scale_zero_table(self.pipeline, adapters, wanted_samples(settings)[0], settings)
        return checks(write_controls(found, self.study.controls), list(adapters))[0].said

    shown = "test"  # the suite that `side_by_side` is of

    def side_by_side(self, prompts: int = 4) -> Image.Image:
        """The first test prompts with the first seed: a row per prompt, a column per arm of `columns`."""
        wanted, seed = wanted_samples(self.study.sampling), self.study.sampling.seeds[0]
        names = [w.file_name for w in wanted if w.seed == seed and w.split == self.shown][:prompts]
        opened = (Image.open(self.everyone[arm].folder / name) for name in names for arm in self.columns)
        return contact_sheet(opened, columns=len(self.columns), side=128)


class Part(Samples):
    """Some of the arms, as one of several jobs draws them: the run over all of them chooses, and draws the rest."""

    shown, left = "development", "left to the run over all variants"

    @property
    def arms(self) -> dict[str, Arm]:
        """All arms by name, as they draw before the choice; with every prompt where there is nothing to choose by."""
        chosen_from = self.study.sampling.finalists or self.study.training.kept_steps
        return self.first if chosen_from else self.everyone

    @property
    def columns(self) -> list[str]:
        """The arms that are drawn here."""
        return list(self.arms)

    def choose(self) -> pd.DataFrame:
        """Nothing is chosen by some of the variants."""
        return pd.DataFrame()

    def chosen(self) -> str:
        """That the choice is left to another run."""
        return f"{', '.join(self.arms)}: the choice is {self.left}"

    def draw(self) -> Iterator[Image.Image]:
        """Draw what is not drawn yet, yielding each batch as a sheet."""
        yield from self._sheets(self.jobs)

    def control(self) -> str:
        """That the control is left to another run."""
        return f"the control is {self.left}"
