"""The arms of a study, each with its folder: the baseline, every trained variant, and one of these at other scales."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from caplora.lora import NOTHING, Adapter, read_adapter, rescaled, weights_file
from caplora.models import Pipeline, text_tokens
from caplora.sampling.claiming import claim_folder, what_goes
from caplora.sampling.drawing import sampling_key
from caplora.sampling.samples import CAPTIONED, TINIEST, UNDER_WAY, Wanted, scaled_samples, wanted_samples, write_table
from caplora.study import BASELINE, Sampling, Study, Variant, file_hash


@dataclass(frozen=True)
class Arm:
    """Who draws, what it draws and where that goes."""

    folder: Path  # its name is the arm's: baseline, a variant's name, or with a scale r4_a8@0.4
    adapter: Adapter
    wanted: tuple[Wanted, ...]
    made: Mapping[str, Any]  # everything beside prompt and seed that decides its pictures


def study_arms(study: Study, variants: Sequence[Variant], pipeline: Pipeline) -> list[Arm]:
    """The baseline and the variants that have an adapter, each with every prompt; their folders are not claimed.

    Raises ValueError naming a prompt that does not fit, or a variant whose adapter cannot be used.
    """
    text_tokens(pipeline, [prompt for suite in study.sampling.suites.values() for prompt in suite])
    key, wanted = sampling_key(study.sampling, pipeline), wanted_samples(study.sampling)
    key |= {"model": Path(study.base.path).name}
    arms = [Arm(study.samples(BASELINE), NOTHING, wanted, key | {"adapter": None})]
    for variant in (v for v in variants if weights_file(study, v).is_file()):
        file = weights_file(study, variant)
        adapter = {"name": file.stem, "scale": 1.0, "sha256": file_hash(file)}
        arms.append(Arm(study.samples(variant.name), _trained(variant, file), wanted, key | {"adapter": adapter}))
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
    """A variant's arm at each of `sampling.scales`, and at `TINIEST` on the unrelated prompts; none is claimed."""
    wanted = scaled_samples(settings)
    drawn = dict.fromkeys((TINIEST, *settings.scales), wanted)
    if TINIEST not in settings.scales:
        drawn[TINIEST] = tuple(w for w in wanted if w.split == "unrelated")
    return [
        Arm(
            arm.folder.with_name(f"{arm.folder.name}@{scale:g}"), rescaled(arm.adapter, scale), own,
            {**arm.made, "adapter": arm.made["adapter"] | {"scale": scale}},
        )
        for scale, own in drawn.items() if own
    ]  # fmt: skip


def at_captions(arm: Arm, wanted: Iterable[Wanted] = ()) -> Arm:
    """The arm as it draws captions, into a folder of its own; it is not claimed."""
    return replace(arm, folder=arm.folder.with_name(f"{arm.folder.name}{CAPTIONED}"), wanted=tuple(wanted))


def drawn_beside(arms: Sequence[Arm], settings: Sampling) -> list[Arm]:
    """The arms at other scales and with captions, where they have a folder for that."""
    there = {folder.name.partition("@")[0] for arm in arms[:1] for folder in arm.folder.parent.glob("*@*")}
    scaled = [own for arm in arms[1:] if arm.folder.name in there for own in at_scales(arm, settings)]
    return [arm for arm in [*scaled, *map(at_captions, arms)] if arm.folder.is_dir()]


def claim(arms: Sequence[Arm], redraw: bool = False) -> str:
    """Make the folders the places of their arms, and of these at other scales; which pictures that removed, or nothing.

    Pictures drawn with other settings are removed where `redraw` says so, else they are a ValueError that counts them.
    Those of an adapter that is gone could not be drawn again: they go, and that is said.
    """
    said = what_goes({arm.folder: arm.made for arm in arms}, redraw)
    for arm in arms:
        claim_folder(arm.folder, arm.wanted, arm.made)
    return said


def write_tables(arms: Sequence[Arm]) -> None:
    """The metadata.csv of every arm; all pictures must be there, so nothing is under way any more."""
    for arm in arms:
        (arm.folder / UNDER_WAY).unlink(missing_ok=True)
        write_table(arm.folder, arm.wanted)
