"""A base model, an adapter and a few prompts → what both draw from the same noise: an arm's folder each.

The quick look of one who has an adapter and no study. The folders are those of a study's arms, so they can be scored.
"""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from caplora.images import contact_sheet
from caplora.lora import DIFFUSERS, NOTHING, read_adapter, rescaled
from caplora.models import Pipeline, named_base
from caplora.sampling.arms import Arm, claim
from caplora.sampling.drawing import sampling_key
from caplora.sampling.samples import named_sample, said_of
from caplora.study import BASELINE, Sampling, Study, file_hash


def study_on(study: Study, model: str, resolution: int) -> Study:
    """The study with another base, `owner/name@revision` or a folder; the pinned revision where it is the study's own.

    Raises StudyError, when it is read, for another model of the hub without a revision.
    """
    if resolution % 8:
        raise ValueError(f"--resolution must be a multiple of 8, got {resolution}")
    images = study.images.model_copy(update={"resolution": resolution})
    return study.model_copy(update={"base": named_base(model, study.base), "images": images})


def two_arms(
    pipeline: Pipeline,
    weights: Path,
    scale: float,
    prompts: Sequence[str],
    settings: Sampling,
    out: Path,
) -> tuple[list[Arm], str]:
    """The baseline and the adapter of a file at `scale`, each in its folder of `out`; which pictures go, or nothing.

    Raises ValueError where a picture that is none of ours lies there.
    """
    wanted = tuple(named_sample(prompt, seed, "prompt") for prompt in dict.fromkeys(prompts) for seed in settings.seeds)
    key = sampling_key(settings, pipeline) | {"model": pipeline.config._name_or_path}
    name = weights.parent.resolve().name if weights.name == DIFFUSERS else weights.stem
    said = {"name": name, "scale": scale, "sha256": file_hash(weights)}
    adapter = rescaled(read_adapter(weights), scale)
    arms = [
        Arm(out / BASELINE, NOTHING, wanted, key | {"adapter": None}),
        Arm(out / f"{name}@{scale:g}", adapter, wanted, key | {"adapter": said}),
    ]
    for foreign in (p for arm in arms for p in arm.folder.glob("*.png") if not said_of(p)):
        raise ValueError(f"{foreign} was not drawn by caplora, and is not to be lost: choose another --output_dir")
    return arms, claim(arms, redraw=True)


def sheet(arms: Sequence[Arm], side: int = 256) -> Image.Image:
    """All pictures of the arms, the arms side by side, a row per prompt and seed."""
    names = [w.file_name for w in arms[0].wanted]
    return contact_sheet([Image.open(arm.folder / name) for name in names for arm in arms], len(arms), side)
