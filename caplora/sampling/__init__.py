"""Prompts × seeds × arms → samples: the base model and every adapter draw each prompt from the same noise.

`arms` says who draws, `jobs` what is still to draw and in which batches. `drawing` is the denoising loop: it solves by
one of the `solvers`, reads `prompts` once, and on a CPU deals a batch out to the cores (`sharing`). `finishing` makes
pictures of latents and writes them. `samples` has the files: PNGs that say how they were drawn, in A1111's words too
(`a1111`), and the table of an arm; `claiming` says which of them stay. `scale_zero` is a control. `quick_samples`
serves the command `sample`; `class_images` and `training_previews` draw for a training.
"""

from caplora.sampling.a1111 import Written, read_written, written
from caplora.sampling.arms import (
    Arm,
    at_captions,
    at_scales,
    before_choice,
    claim,
    development_only,
    drawn_beside,
    study_arms,
    write_tables,
)
from caplora.sampling.class_images import draw_class_images
from caplora.sampling.drawing import Denoiser, decode, draw_batch, sampling_key, settings_key, wear
from caplora.sampling.finishing import Job
from caplora.sampling.jobs import batch_seconds, picture_seconds, pictures_in, plan_jobs, sample
from caplora.sampling.prompts import Texts
from caplora.sampling.quick_samples import sheet, study_on, two_arms
from caplora.sampling.samples import (
    CAPTIONED,
    SCALED,
    TABLE,
    TINIEST,
    Sample,
    Wanted,
    asked_of,
    caption_samples,
    drawn_samples,
    first_prompts,
    flagged_sentence,
    pictures_of,
    read_made,
    read_samples,
    refuse_flagged_baseline,
    said_of,
    save_picture,
    suite_hashes,
    texts_in,
    wanted_samples,
)
from caplora.sampling.scale_zero import scale_zero_table
from caplora.sampling.solvers import SOLVERS, UNNAMED, solver_called
from caplora.sampling.training_previews import previews

__all__ = [
    "CAPTIONED", "SCALED", "SOLVERS", "TABLE", "TINIEST", "UNNAMED", "Arm", "Denoiser", "Job", "Sample", "Texts",
    "Wanted", "Written", "asked_of", "at_captions", "at_scales", "batch_seconds", "before_choice", "caption_samples",
    "claim", "decode", "development_only", "draw_batch", "draw_class_images", "drawn_beside", "drawn_samples",
    "first_prompts", "flagged_sentence", "picture_seconds", "pictures_in", "pictures_of", "plan_jobs", "previews",
    "read_made", "read_samples", "read_written", "refuse_flagged_baseline", "said_of", "sample", "sampling_key",
    "save_picture", "scale_zero_table", "settings_key", "sheet", "solver_called", "study_arms", "study_on",
    "suite_hashes", "texts_in", "two_arms", "wanted_samples", "wear", "write_tables", "written",
]  # fmt: skip
