"""The variants of a study and what they train on; each has a folder that knows which training it is of."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from caplora.lora import Pack, fresh_adapter, refuse_rank, target_layers
from caplora.models import Pipeline, base_hashes, noise_of, parts_of, precision_of
from caplora.study import Study, Training, Variant, only_writer, read_text, write_text
from caplora.training.checkpoints import ChangedError, Checkpoints, differences, set_aside
from caplora.training.inputs import Inputs

CADENCE = {  # settings that change nothing that is learned
    "keep", "keep_every", "finalist_seeds", "finalist_minutes", "checkpointing_steps", "validation_steps",
    "preview_steps", "gradient_checkpointing", "images_at_once",
}  # fmt: skip
SHOWN = 20  # differences, before the rest is counted
TRAINING = "training.json"  # what a variant's folder is the training of


@dataclass(frozen=True)
class Grid:
    """What all variants of a study train on, and from."""

    study: Study
    pipeline: Pipeline
    inputs: Inputs
    held_out: Inputs | None = None  # to validate on
    asked: tuple[Variant, ...] = ()  # all that are trained: arms of an experiment are not kept at several steps

    @cached_property
    def base(self) -> dict[str, Any]:
        """Hashes of the base model's weights, and what they mean."""
        return base_hashes(self.pipeline) | noise_of(self.pipeline)

    def settings(self, variant: Variant) -> Training:
        """How `variant` is trained."""
        return self.study.training.of(variant, variant.images or len(self.inputs))

    def identity(self, variant: Variant) -> dict[str, Any]:
        """Everything that decides what training `variant` gives."""
        settings = self.settings(variant)
        chosen = self.inputs.chosen(variant.images, settings.seed)
        return {
            "variant": variant.model_dump(include={"rank", "alpha", "use_rslora"}),
            "training": settings.model_dump(exclude=CADENCE, mode="json"),
            "precision": precision_of(self.pipeline.device, settings.mixed_precision),
            "base": self.base,
            "images": self.inputs.sources_of(variant.captions, chosen),
            "held_out": self.held_out.sources if self.held_out else {},
        }

    def checkpoints(self, variant: Variant) -> Checkpoints:
        """The checkpoints of a variant."""
        return Checkpoints(self.study.adapter(variant) / "checkpoints")

    def fresh_pack(self, variants: Sequence[Variant]) -> Pack:
        """The variants as a pack that has learned nothing yet."""
        host = parts_of(self.pipeline)
        own = [self.settings(variant) for variant in variants]
        return Pack(
            host, [fresh_adapter(target_layers(host, o), v, o.seed) for v, o in zip(variants, own, strict=True)]
        )


def claim(grid: Grid, variants: Sequence[Variant], fork: bool = False) -> list[str]:
    """Make the variants' folders the places of the training that `grid` describes; what is said of earlier ones.

    A training that was finished there differently is set aside. One that stopped half way is too if `fork`; else
    ChangedError says what differs, and nothing is touched. ValueError names a variant whose rank is above the width of
    a layer, or that asks for more images than there are.
    """
    for variant in variants:
        refuse_rank(target_layers(parts_of(grid.pipeline), grid.settings(variant)), variant)
        if (variant.images or 0) > len(grid.inputs):
            raise ValueError(
                f"{variant.name} asks for {variant.images} images, and {len(grid.inputs)} are trained on: lower it, or"
                " leave the variant out"
            )
    with ExitStack() as held:
        for variant in variants:
            held.enter_context(only_writer(grid.study.adapter(variant)))
        changed = [variant for variant in variants if changes(grid, variant)]
        if not fork:
            for variant in changed:
                refuse_half_way(grid, variant)
        said = []
        for variant in changed:
            listed, aside = changes(grid, variant), set_aside(grid.study.adapter(variant))
            for kept in aside.parent.glob(f"{variant.name}_step*"):
                if kept.name.removeprefix(f"{variant.name}_step").isdigit():
                    set_aside(kept)
            said.append(f"{variant.name} was trained differently before; that is in {aside.name}:\n{listed}")
        for variant in variants:
            text = json.dumps(grid.identity(variant), indent=1, ensure_ascii=False) + "\n"
            write_text(grid.study.adapter(variant) / TRAINING, text)
        return said


def changes(grid: Grid, variant: Variant) -> str:
    """What is asked for differently from the training in the variant's folder, a line each; empty if nothing is."""
    path = grid.study.adapter(variant) / TRAINING
    if not path.is_file() or not grid.checkpoints(variant).steps():
        return ""
    before = json.loads(read_text(path))
    for key in CADENCE & before["training"].keys():  # versions before 0.6.0 kept gradient_checkpointing there
        del before["training"][key]
    lines = differences(before, grid.identity(variant)) + not_kept(grid, variant)
    rest = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join(f"  {line}" for line in [*lines[:SHOWN], *rest])


def kept_steps(grid: Grid, variant: Variant) -> list[int]:
    """The steps at which a variant's adapter is kept beside its last."""
    asked = grid.study.training.with_steps(grid.asked or [variant])
    return [w.step for w in asked if w.step and w.model_copy(update={"step": None}) == variant]


def not_kept(grid: Grid, variant: Variant) -> list[str]:
    """The steps of `training.keep` that the training in the variant's folder has passed without keeping them."""
    there = grid.checkpoints(variant).steps()
    passed = [step for step in kept_steps(grid, variant) if step < there[-1]]
    return [f"training.keep: step {step} was not kept" for step in passed if step not in there]


def refuse_half_way(grid: Grid, variant: Variant) -> None:
    """Raise ChangedError where a training of the variant stopped half way."""
    folder, place = grid.study.adapter(variant), grid.checkpoints(variant)
    last = place.manifest(place.steps()[-1])
    total = json.loads(read_text(folder / TRAINING))["training"]["steps"]
    if last["step"] < total and last["stopped"] is None:
        raise ChangedError(
            f"{folder} holds {variant.name} at step {last['step']} of {total}, and now it is asked for differently:"
            f"\n{changes(grid, variant)}\nPut that back and the training goes on, or train with fork = True (--fork on"
            " the command line): what is there is set aside whole, and a new training begins"
        )
