"""The arms of a study: the baseline, every trained variant, and these at other scales, each with its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caplora.lora import NOTHING, Adapter, read_adapter, rescaled, weights_file
from caplora.models import Pipeline, text_tokens
from caplora.sampling.drawing import sampling_key
from caplora.sampling.samples import Wanted, claim_folder, scaled_samples, wanted_samples, write_table
from caplora.study import BASELINE, Study, Variant, file_hash


@dataclass(frozen=True)
class Arm:
    """Who draws, what it draws and where that goes."""

    folder: Path  # its name is the arm's: baseline, a variant's name, or with a scale r4_a8@0.4
    adapter: Adapter
    wanted: tuple[Wanted, ...]
    made: Mapping[str, Any]  # everything beside prompt and seed that decides its pictures


def study_arms(study: Study, variants: Sequence[Variant], pipeline: Pipeline) -> list[Arm]:
    """The baseline, the variants that have an adapter, and those at each of `sampling.scales`; their folders claimed.

    What lies there and was drawn otherwise is removed. Raises ValueError naming a prompt that does not fit.
    """
    text_tokens(pipeline, [prompt for suite in study.sampling.suites.values() for prompt in suite])
    key, settings = sampling_key(study.sampling, pipeline) | {"model": Path(study.base.path).name}, study.sampling
    arms = [Arm(study.samples(BASELINE), NOTHING, wanted_samples(settings), key | {"adapter": None})]
    trained = [v for v in variants if weights_file(study, v).is_file()]
    for scale in (1.0, *settings.scales):
        for variant in trained:
            file, name = weights_file(study, variant), variant.name if scale == 1 else f"{variant.name}@{scale:g}"
            adapter = {"name": file.stem, "scale": scale, "sha256": file_hash(file)}
            wanted = wanted_samples(settings) if scale == 1 else scaled_samples(settings)
            arms.append(
                Arm(study.samples(name), rescaled(read_adapter(file), scale), wanted, key | {"adapter": adapter})
            )
    for arm in arms:
        claim_folder(arm.folder, arm.wanted, dict(arm.made))
    return arms


def write_tables(arms: Sequence[Arm]) -> None:
    """The metadata.csv of every arm; all pictures must be there."""
    for arm in arms:
        write_table(arm.folder, arm.wanted)
