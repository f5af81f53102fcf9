"""Prompts × seeds × arms → samples: the base model and every adapter draw each prompt from the same noise.

`arms` says who draws, `jobs` what is still to draw and in which batches. `drawing` is the denoising loop: it solves by
one of the `solvers`, reads `prompts` once, and on a CPU deals a batch out to the cores (`sharing`). `finishing` makes
pictures of latents and writes them. `samples` has the files: PNGs that say how they were drawn, in A1111's words too
(`a1111`), and the table of an arm. `scale_zero` is a control. `quick_samples` serves the command `sample`; `class_images` and `training_previews` draw
for a training.
"""

from caplora.sampling.arms import Arm, at_scales, claim, development_only, study_arms, write_tables
from caplora.sampling.class_images import draw_class_images
from caplora.sampling.drawing import decode, draw_batch
from caplora.sampling.finishing import Job
from caplora.sampling.jobs import batch_seconds, plan_jobs, sample
from caplora.sampling.quick_samples import adapter_file, sheet, study_on, two_arms
from caplora.sampling.samples import (
    SCALED,
    TABLE,
    Sample,
    asked_of,
    drawn_samples,
    flagged_sentence,
    read_made,
    read_samples,
    refuse_flagged_baseline,
    said_of,
    suite_hashes,
    wanted_samples,
)
from caplora.sampling.scale_zero import scale_zero_table
from caplora.sampling.training_previews import previews

__all__ = [
    "SCALED", "TABLE", "Arm", "Job", "Sample", "adapter_file", "asked_of", "at_scales", "batch_seconds", "claim",
    "decode", "development_only", "draw_batch", "draw_class_images", "drawn_samples", "flagged_sentence", "plan_jobs",
    "previews", "read_made", "read_samples", "refuse_flagged_baseline", "said_of", "sample", "scale_zero_table",
    "sheet", "study_arms", "study_on", "suite_hashes", "two_arms", "wanted_samples", "write_tables",
]  # fmt: skip
