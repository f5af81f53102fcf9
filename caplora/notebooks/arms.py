"""Which arms a study has and what each draws, before the development prompts have chosen and after."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from caplora.choosing import Choice, captions_to_ask, drawn_before, read_retrained
from caplora.lora import Adapter
from caplora.models import Pipeline, load_base
from caplora.sampling import (
    Arm,
    Job,
    Wanted,
    at_captions,
    at_scales,
    before_choice,
    caption_samples,
    claim,
    development_only,
    drawn_beside,
    plan_jobs,
    study_arms,
)
from caplora.study import BASELINE, Study, Variant, asked_with_captions


class Arms:
    """The arms of a study. Who is asked for and was not trained has none.

    The development prompts come first, and choose who draws the others and who is drawn at other scales.
    """

    def __init__(self, study: Study, variants: Sequence[Variant], redraw: bool = False) -> None:
        self.study, self.listed, self.redraw = study, variants, redraw
        self.retrained: Sequence[Variant] = study.training.with_steps(read_retrained(study, variants))
        self.removed = ""  # which pictures were, as the folders were claimed
        self.seconds = 0.0  # a picture takes, measured
        self.choice: Choice | None = None  # once it is made
        self.to_retrain: tuple[Variant, ...] = ()  # the trainings that the best recipes are to have

    @property
    def variants(self) -> list[Variant]:
        """Those asked for, and the finalists' further trainings."""
        return [*self.listed, *self.retrained]

    @cached_property
    def pipeline(self) -> Pipeline:
        """The base model."""
        return load_base(self.study)

    @cached_property
    def everyone(self) -> dict[str, Arm]:
        """The baseline and the trained variants by name, each with every prompt; their folders are claimed."""
        arms = study_arms(self.study, self.variants, self.pipeline)
        self.removed = claim([*arms, *drawn_beside(arms, self.study.sampling)], self.redraw)
        return {arm.folder.name: arm for arm in arms}

    def take_in(self, retrained: Iterable[Variant]) -> None:
        """Let these be the finalists' further trainings, at every step that is kept of them."""
        self.retrained = self.study.training.with_steps([*retrained])
        for known in ("everyone", "_development_scores"):
            self.__dict__.pop(known, None)

    @property
    def first(self) -> dict[str, Arm]:
        """All arms by name, as they draw before the choice."""
        settings, steps = self.study.sampling, {v.name for v in self.variants if v.step}
        kept = bool(self.study.training.kept_steps)
        return {n: before_choice(arm, settings, kept, n in steps) for n, arm in self.everyone.items()}

    @property
    def arms(self) -> dict[str, Arm]:
        """All arms by name and what each draws; before the choice as an earlier run chose, or as if the first won."""
        tested, best = self._chosen
        own = {n: arm if n in (BASELINE, *tested) else self.first[n] for n, arm in self.everyone.items()}
        scaled = at_scales(self.everyone[best], self.study.sampling) if best else []
        return own | {arm.folder.name: arm for arm in [*scaled, *self.with_captions]}

    @property
    def with_captions(self) -> list[Arm]:
        """Those that are asked for their training images back, the baseline first: kept steps, and fewer images."""
        wanted: dict[str, dict[Wanted, None]] = {}
        for group in asked_with_captions([v for v in self.variants if v.name in self.everyone], self._chosen[1]):
            own = caption_samples(captions_to_ask(self.study, group), self.study.sampling.seeds[0])
            for name in [BASELINE, *(v.name for v in group)] if own else []:
                wanted.setdefault(name, {}).update(dict.fromkeys(own))
        return [at_captions(self.everyone[name], own) for name, own in wanted.items()]

    @property
    def _chosen(self) -> tuple[list[str], str]:
        """Who draws every prompt, and who is drawn at other scales."""
        if self.choice:
            return self.choice.tested, self.choice.best if self.choice.known else ""
        return drawn_before(self.study, [v for v in self.variants if v.name in self.trained])

    @property
    def trained(self) -> dict[str, Adapter]:
        """The trained variants by name."""
        return {v.name: self.everyone[v.name].adapter for v in self.variants if v.name in self.everyone}

    @property
    def columns(self) -> list[str]:
        """The baseline and the trained variants that draw every prompt, as `side_by_side` shows them."""
        return [BASELINE, *(name for name in self.trained if name in self._chosen[0])]

    @property
    def jobs(self) -> list[Job]:
        """What is not drawn yet, batch by batch."""
        return plan_jobs(list(self.arms.values()), self.study.sampling)

    @property
    def development_jobs(self) -> list[Job]:
        """What is not drawn yet of the development prompts, batch by batch."""
        return plan_jobs([development_only(arm) for arm in self.first.values()], self.study.sampling)
