"""What notebook 02 and the command `train` hold: the variants of a study on their way to adapters."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from PIL import Image

from caplora.captions import held_out, read_ledger, trained
from caplora.figures import Figure, loss_curves, read_curves
from caplora.images import contact_sheet, near_duplicates
from caplora.models import Pipeline, device_of, load_base, precision_of
from caplora.report import growing, keep_curve
from caplora.sampling import draw_class_images, previews
from caplora.study import Prior, Study, Variant, read_study, read_variants
from caplora.training import (
    Encoders,
    Grid,
    Inputs,
    Plan,
    Step,
    claim,
    other_captions,
    plan_packs,
    read_records,
    step_seconds,
    train_grid,
)


class Adapters:
    """The variants of a study, the base model, and what they are trained on.

    Several processes of `accelerate launch` each hold one and call the same methods in the same order; the first
    process alone claims folders and writes.
    """

    doing = "2 of 5: the adapters are trained"

    def __init__(self, study: Study, variants: Sequence[Variant]) -> None:
        precision_of(device_of(), study.training.mixed_precision)  # one that this machine lacks is said before all else
        self.study, self.variants, self.ledger = study, variants, read_ledger(study.dataset)
        self.processes = Accelerator(cpu=device_of().type == "cpu")
        self.inputs: Inputs
        self.held_out: Inputs | None = None
        self.class_inputs: Inputs | None = None
        self.grid: Grid
        self.plan: Plan
        self.minutes = 0.0  # of training, as they were forecast
        self.losses: list[tuple[int, str, float]] = []  # step, variant, loss

    @classmethod
    def open(cls, study: str, variants: str | list[dict], steps: int = 0, learning_rate: float = 0.0) -> "Adapters":
        """A study by its name or file, and variants by their file or as a list; 0 is what the study says."""
        turned = {"steps": steps or None, "learning_rate": learning_rate or None}
        return cls(read_study(study, training=turned), read_variants(variants))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.processes.is_main_process

    @property
    def captions(self) -> list[tuple[str, str]]:
        """File name and caption of every image that is trained on."""
        return [(row.file_name, row.text) for row in trained(self.ledger, self.study.captioning.overrule)]

    @property
    def kept_back(self) -> list[tuple[str, str]]:
        """File name and caption of every held-out image that has one."""
        return [(row.file_name, row.text) for row in held_out(self.ledger) if row.text]

    @cached_property
    def others(self) -> dict[str, dict[str, str]]:
        """Kind → file name → caption, for the variants of a caption ablation."""
        return other_captions(self.study, trained(self.ledger, self.study.captioning.overrule), self.variants)

    def counts(self) -> str:
        """How many portraits there are, and how many variants; and of which the images cannot be all different."""
        portraits = f"{len(self.captions)} captioned portraits, {len(self.kept_back)} held out"
        return "\n".join([f"{portraits}, {len(self.variants)} variants", *self._near_copies()])

    def _near_copies(self) -> list[str]:
        """Which variants have to be trained on near-duplicates though they are trained on some of the images."""
        clusters, names = near_duplicates(self.study.dataset), [name for name, _ in self.captions]
        different = len({clusters.get(name, name) for name in names})
        those = [v.name for v in self.variants if different < (v.images or 0) < len(names)]
        said = (
            f"only {different} of the portraits are different pictures (images.csv): near-duplicates are among those of"
        )
        return [f"{said} {', '.join(those)}"] if those else []

    def trained_on(self) -> pd.DataFrame:
        """The first portraits with their captions, of every kind."""
        return pd.DataFrame({"caption": dict(self.captions)} | self.others).head()

    @cached_property
    def pipeline(self) -> Pipeline:
        """The base model."""
        return load_base(self.study)

    @cached_property
    def encoders(self) -> Encoders:
        """The frozen parts of the base model that encode pictures and captions, each once."""
        return Encoders(self.pipeline, self.study.run / "cache", self.study.training)

    def encode(self, captions: Iterable[tuple[str, str]]) -> None:
        """Encode the portraits and their captions of every kind; `captions` are `self.captions`, or a bar over them."""
        self.inputs = self.encoders.inputs(self.study.dataset, captions, self.others)

    def encode_held_out(self, captions: Iterable[tuple[str, str]]) -> None:
        """Encode the held-out portraits, if there are any; `captions` are `self.kept_back`, or a bar over them."""
        if self.kept_back:
            self.held_out = self.encoders.inputs(self.study.dataset, captions)

    @property
    def prior(self) -> Prior | None:
        """The study's prior, if it has one."""
        return self.study.training.prior

    def draw_class_images(self) -> Iterator[Path]:
        """Draw the pictures of the prior, yielding each one's path, and encode them; none without a prior.

        The first process draws them, and the others find them drawn.
        """
        if not self.prior:
            return
        captions, folder = [], self.study.run / "class"
        with self.processes.main_process_first():
            for path in draw_class_images(self.pipeline, folder, self.prior, self.study.sampling):
                captions.append((path.name, self.prior.prompt))
                yield path
        self.class_inputs = self.encoders.inputs(folder, captions)

    def described(self) -> Grid:
        """What the variants train on and from; all of it must be encoded."""
        inputs = self.inputs.with_class_images(self.class_inputs) if self.class_inputs else self.inputs
        return Grid(self.study, self.pipeline, inputs, self.held_out, tuple(self.variants))

    def prepare(self, fork: bool = False) -> str:
        """Claim the variants' folders and plan the packs; what is said of them, and of steps beyond the last.

        Raises ChangedError where a training stopped half way that was begun differently, unless `fork`.
        """
        self.grid = self.described()
        said = claim(self.grid, self.variants, fork) if self.first else []
        self.processes.wait_for_everyone()
        [self.plan] = broadcast_object_list([plan_packs(self.grid, self.variants)])
        return "\n".join(filter(None, [*said, self.plan.said(), self.study.training.unreached]))

    def table(self) -> pd.DataFrame:
        """The variants, their scales and how many weights each trains."""
        said = [v.model_dump(exclude_none=True) | {"scale": v.scale} for v in self.variants]
        weights = [adapter.parameters() for adapter in self.grid.fresh_pack(self.variants).arms]
        return pd.DataFrame(said, index=[v.name for v in self.variants]).assign(trained_parameters=weights)

    @property
    def steps(self) -> int:
        """How many steps are left to do, over all packs."""
        return self.plan.steps

    def forecast(self) -> str:
        """How long training will take, from a measured step of the first pack."""
        if not self.steps:
            return "everything is trained"
        seconds = step_seconds(self.grid, self.plan.packs[0], self.plan.settings(self.study.training))
        self.minutes = seconds * self.steps / 60
        own = f"{seconds:.2f} s, in {n} processes" if (n := self.processes.num_processes) > 1 else f"{seconds:.2f} s"
        return f"training takes about {self.minutes:.1f} minutes: {self.steps} steps, and one takes {own}"

    def took(self) -> str:
        """How long training took, beside the forecast."""
        spent = self.records()["seconds"].groupby([pack_of(self.plan, v) for v in self.variants]).max().sum() / 60
        said = f"; the forecast was {self.minutes:.1f}" if self.minutes else ""
        return f"training took {spent:.1f} minutes, earlier sessions included{said}"

    def train(self) -> Iterator[Step]:
        """Train what is left, yielding every step, and write each adapter when it is done."""
        self.losses = []
        work = train_grid(self.grid, self.plan.packs, previews, self.plan.settings(self.study.training))
        if self.first:
            work = growing(self.study, work, self.doing, "steps", self.steps, self._losses_so_far)
        for step in work:
            self.losses += step.losses
            yield step

    def _losses_so_far(self) -> dict[str, list[tuple[int, float]]]:
        """Variant → step and loss, in this session."""
        found: dict[str, list[tuple[int, float]]] = {}
        for step, variant, loss in self.losses:
            found.setdefault(variant, []).append((step, loss))
        return found

    def live_curve(self) -> Figure:
        """The losses so far; the page that shows the progress of the study shows them too."""
        figure = loss_curves(pd.DataFrame(self.losses, columns=["step", "variant", "loss"]))
        keep_curve(self.study, figure.png())
        return figure

    def preview(self, step: Step) -> Image.Image:
        """What the variants draw at a step: a row each."""
        drawn = [image for images in step.previews.values() for image in images]
        return contact_sheet(drawn, columns=len(drawn) // len(step.previews))

    def records(self) -> pd.DataFrame:
        """What each adapter says of its training: its settings.json."""
        return pd.DataFrame(read_records(self.study, self.variants), index=[v.name for v in self.variants])

    def stopped(self) -> str:
        """The variants that stopped early, each with its reason."""
        reasons = self.records()["stopped"].dropna()
        return "\n".join(f"{name} stopped: {reason}" for name, reason in reasons.items()) or "none stopped early"

    def written(self) -> pd.DataFrame:
        """Each adapter's size, training time, error of its files, and best step."""
        records = self.records()
        best: Any = [record["step"] if record else None for record in records["best"]]
        return records[["trained_parameters", "layers", "steps", "seconds", "largest_error"]].assign(best=best)

    def curves(self) -> Figure:
        """The losses of every variant, in training and on the held-out portraits."""
        losses, validation = (read_curves(self.study, self.variants, name) for name in ("losses", "validation"))
        return loss_curves(losses, validation)

    def folders(self) -> str:
        """Where each adapter is, a line each."""
        return "\n".join(str(self.study.adapter(variant)) for variant in self.variants)


def pack_of(plan: Plan, variant: Variant) -> int:
    """The number of the pack that a variant is trained in."""
    return next(number for number, pack in enumerate(plan.packs) if variant in pack)
