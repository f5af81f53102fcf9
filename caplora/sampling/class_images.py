"""The class images of prior preservation, drawn by the base model."""

from collections.abc import Iterator
from pathlib import Path

from caplora.lora import NOTHING
from caplora.models import Pipeline
from caplora.sampling.arms import Arm
from caplora.sampling.claiming import claim_folder
from caplora.sampling.drawing import sampling_key
from caplora.sampling.jobs import plan_jobs, sample
from caplora.sampling.samples import Wanted
from caplora.study import Prior, Sampling


def draw_class_images(pipeline: Pipeline, folder: Path, prior: Prior, settings: Sampling) -> Iterator[Path]:
    """What the base model draws for the class, the pictures of a prior; those that are there are not drawn again."""
    wanted = tuple(Wanted(prior.prompt, seed, "class", f"{seed:04d}.png") for seed in range(prior.images))
    arm = Arm(folder, NOTHING, wanted, sampling_key(settings, pipeline) | {"model": "", "adapter": None})
    claim_folder(folder, wanted, arm.made)
    drawing = sample(pipeline, plan_jobs([arm], settings), settings)
    for w in wanted:
        while not (folder / w.file_name).is_file():
            next(drawing)
        yield folder / w.file_name
