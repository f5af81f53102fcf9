"""What notebook 03 holds: the baseline and the adapters of a study on their way to samples."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from diffusers import StableDiffusionPipeline
from PIL import Image

from caplora.images import contact_sheet
from caplora.lora import Adapter
from caplora.models import load_base
from caplora.planning import card_here, configs_of, picture_seconds
from caplora.sampling import (
    Arm,
    Job,
    flagged_sentence,
    plan_jobs,
    read_samples,
    sample,
    scale_zero_table,
    study_arms,
    wanted_samples,
    write_tables,
)
from caplora.statistics import checks, design_sentence, write_controls
from caplora.study import BASELINE, Study, Variant, read_study, read_variants


class Samples:
    """The arms of a study and what they draw. Who is asked for and was not trained has no arm."""

    def __init__(self, study: Study, variants: Sequence[Variant]) -> None:
        self.study, self.variants = study, variants

    @classmethod
    def open(
        cls, study: str, variants: str | list[dict], num_inference_steps: int = 0, guidance_scale: float = 0.0
    ) -> "Samples":
        """A study by its name or file, and variants by their file or as a list; 0 is what the study says."""
        turned = {"num_inference_steps": num_inference_steps or None, "guidance_scale": guidance_scale or None}
        return cls(read_study(study, sampling=turned), read_variants(variants))

    @cached_property
    def pipeline(self) -> StableDiffusionPipeline:
        """The base model."""
        return load_base(self.study)

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """The baseline, the trained variants, and these at other scales, by name; their folders are claimed."""
        return {arm.folder.name: arm for arm in study_arms(self.study, self.variants, self.pipeline)}

    @property
    def trained(self) -> dict[str, Adapter]:
        """The trained variants by name."""
        return {v.name: self.arms[v.name].adapter for v in self.variants if v.name in self.arms}

    @property
    def columns(self) -> list[str]:
        """The baseline and the trained variants by name, as `side_by_side` shows them."""
        return [BASELINE, *self.trained]

    @property
    def jobs(self) -> list[Job]:
        """What is not drawn yet, batch by batch."""
        return plan_jobs(list(self.arms.values()), self.study.sampling)

    def counts(self) -> str:
        """Which arms there are, which variants were not trained, and how many samples are to be drawn."""
        lines = [
            ["arms:", *self.columns],
            ["not trained:", *([v.name for v in self.variants if v.name not in self.arms] or ["none"])],
            ["at other scales too:", *map(str, self.study.sampling.scales)],
            [str(sum(len(job.arms) * len(job.wanted) for job in self.jobs)), "samples to draw"],
        ]
        return "\n".join(" ".join(line) for line in lines)

    def forecast(self) -> str:
        """How long it takes to draw what is not drawn yet, where the card's rate is known."""
        card, left = card_here(), sum(len(job.arms) * len(job.wanted) for job in self.jobs)
        if not left or card is None:
            return "the bar says how long it takes, from its first batches" if left else "everything is drawn"
        minutes = left * picture_seconds(self.study, configs_of(self.pipeline), card) / 60
        return f"{left} samples take about {minutes:.0f} minutes on {card.name}"

    def prompts(self) -> str:
        """The first prompts of each suite, and what the study can find with them."""
        lines = []
        for split, suite in self.study.sampling.suites.items():
            lines += [f"{len(suite)} {split}:", *(f"  {prompt}" for prompt in suite[:2]), *["  …"][: len(suite) > 2]]
        return "\n".join([*lines, "", design_sentence(self.study)])

    def draw(self) -> Iterator[Image.Image]:
        """Draw what is not drawn yet, yielding each batch as a sheet (a column per arm); then write the tables."""
        for batch in sample(self.pipeline, self.jobs, self.study.sampling):
            yield contact_sheet([image for drawn in batch for image in drawn.images], columns=len(batch[0].images))
        write_tables(list(self.arms.values()))

    def flagged(self) -> str:
        """Which samples cannot be scored, and why."""
        drawn = [sample for arm in self.arms.values() for sample in read_samples(arm.folder)]
        return flagged_sentence(drawn) or "none is black or not finite"

    def control(self) -> str:
        """Whether every adapter at scale 0 draws the baseline's picture to the bit; it goes into controls.csv."""
        settings = self.study.sampling
        found = scale_zero_table(self.pipeline, self.trained, wanted_samples(settings)[0], settings)
        return checks(write_controls(found, self.study.controls), list(self.trained))[0].said

    def side_by_side(self, prompts: int = 4) -> Image.Image:
        """The first test prompts with the first seed: a row per prompt, a column per arm of `columns`."""
        wanted, seed = wanted_samples(self.study.sampling), self.study.sampling.seeds[0]
        names = [w.file_name for w in wanted if w.seed == seed and w.split == "test"][:prompts]
        opened = (Image.open(self.arms[arm].folder / name) for name in names for arm in self.columns)
        return contact_sheet(opened, columns=len(self.columns), side=128)
