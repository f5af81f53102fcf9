"""The arms of a study, each with its folder: the baseline, every trained variant, and one of these at other scales."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from caplora.lora import NOTHING, Adapter, read_adapter, rescaled, weights_file
from caplora.models import Pipeline, text_tokens
from caplora.sampling.drawing import sampling_key
from caplora.sampling.samples import Wanted, claim_folder, scaled_samples, wanted_samples, write_table
from caplora.study import BASELINE, Sampling, Study, Variant, file_hash


@dataclass(frozen=True)
class Arm:
    """Who draws, what it draws and where that goes."""

    folder: Path  # its name is the arm's: baseline, a variant's name, or with a scale r4_a8@0.4
    adapter: Adapter
    wanted: tuple[Wanted, ...]
    made: Mapping[str, Any]  # everything beside prompt and seed that decides its pictures


def study_arms(study: Study, variants: Sequence[Variant], pipeline: Pipeline) -> list[Arm]:
    """The baseline and the variants that have an adapter, each with every prompt; their folders are claimed.

    What lies there and was drawn otherwise is removed. Raises ValueError naming a prompt that does not fit, or
    a variant whose adapter cannot be used.
    """
    text_tokens(pipeline, [prompt for suite in study.sampling.suites.values() for prompt in suite])
    key, wanted = sampling_key(study.sampling, pipeline), wanted_samples(study.sampling)
    key |= {"model": Path(study.base.path).name}
    arms = [Arm(study.samples(BASELINE), NOTHING, wanted, key | {"adapter": None})]
    for variant in (v for v in variants if weights_file(study, v).is_file()):
        file = weights_file(study, variant)
        adapter = {"name": file.stem, "scale": 1.0, "sha256": file_hash(file)}
        arms.append(Arm(study.samples(variant.name), _trained(variant, file), wanted, key | {"adapter": adapter}))
    claim(arms)
    return arms


def _trained(variant: Variant, file: Path) -> Adapter:
    try:
        return read_adapter(file)
    except ValueError as error:
        raise ValueError(
            f"{variant.name} cannot draw: {error}. Notebook 02 writes it again from its last checkpoint; where that is"
            f" no better, delete {file.parent} and train the variant anew"
        ) from error


def development_only(arm: Arm) -> Arm:
    """The arm as it draws the development prompts and no others."""
    return replace(arm, wanted=tuple(w for w in arm.wanted if w.split == "development"))


def before_choice(arm: Arm, settings: Sampling, kept: bool, at_step: bool) -> Arm:
    """The arm as it draws before the choice: the development prompts.

    Where adapters are `kept` at several steps, the unrelated ones too, and those `at_step` with the first seed alone.
    """
    few = scaled_samples(settings) if kept else ()
    return replace(arm, wanted=tuple(w for w in arm.wanted if w in few or (w.split == "development" and not at_step)))


def at_scales(arm: Arm, settings: Sampling) -> list[Arm]:
    """A variant's arm at each of `sampling.scales`; their folders are not claimed."""
    wanted = scaled_samples(settings)
    return [
        Arm(
            arm.folder.with_name(f"{arm.folder.name}@{scale:g}"), rescaled(arm.adapter, scale), wanted,
            {**arm.made, "adapter": arm.made["adapter"] | {"scale": scale}},
        )
        for scale in settings.scales
    ]  # fmt: skip


def claim(arms: Sequence[Arm]) -> None:
    """Make the folders the places of their arms; pictures that were drawn otherwise are removed."""
    for arm in arms:
        claim_folder(arm.folder, arm.wanted, dict(arm.made))


def write_tables(arms: Sequence[Arm]) -> None:
    """The metadata.csv of every arm; all pictures must be there."""
    for arm in arms:
        write_table(arm.folder, arm.wanted)
