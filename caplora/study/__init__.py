"""What is studied: the study and variant files of `params/` → typed settings, and every path of a run.

`study` reads a study file; it may be `like` another one (`inheritance`). What its parts may say, and every default, is
in `settings` and in `image_settings`, `training_settings` and `sampling_settings`; `variants` has ranks and alphas.
`new` begins a study of one's own; `moved` knows models that are gone from the hub. `retraining` says whether the best
recipes are trained again. `files` writes files that are whole or not there. `names` and `numbers` say how metrics and
values are written in figures and sentences.
"""

from caplora.study.files import (
    BusyError,
    DiskError,
    disk_errors_name,
    drop_dead_parts,
    file_hash,
    only_writer,
    read_text,
    refuse_full_disk,
    replacing,
    synced,
    write_text,
)
from caplora.study.image_settings import CAPTION_FILES, SIDECARS, Curation, Images, Limit
from caplora.study.moved import current_model, moved_notice
from caplora.study.names import CAPTIONS, METRICS, Metric, metric_of, towards
from caplora.study.new import new_study
from caplora.study.numbers import counted, number, p_number, p_value, percent, signed
from caplora.study.reading import PROJECT, StudyError, validated
from caplora.study.retraining import may_be_retrained, recipes_again, why_once
from caplora.study.sampling_settings import Sampling
from caplora.study.settings import Captioning, Clip, Model, Scoring
from caplora.study.study import Study, read_aside, read_study
from caplora.study.training_settings import Prior, Training
from caplora.study.variants import (
    BASELINE,
    TARGETS,
    Variant,
    asked_with_captions,
    candidates,
    drawn_images,
    image_arms,
    read_variants,
)

__all__ = [
    "BASELINE", "CAPTIONS", "CAPTION_FILES", "METRICS", "PROJECT", "SIDECARS", "TARGETS", "BusyError", "Captioning",
    "Clip", "Curation", "DiskError", "Images", "Limit", "Metric", "Model", "Prior", "Sampling", "Scoring", "Study",
    "StudyError", "Training", "Variant", "asked_with_captions", "candidates", "counted", "current_model",
    "disk_errors_name", "drawn_images", "drop_dead_parts", "file_hash",
    "image_arms", "may_be_retrained", "metric_of", "moved_notice", "new_study", "number", "only_writer", "p_number",
    "p_value", "percent", "read_aside", "read_study", "read_text", "read_variants", "recipes_again", "refuse_full_disk",
    "replacing",    "signed", "synced", "towards", "validated", "why_once", "write_text",
]  # fmt: skip
