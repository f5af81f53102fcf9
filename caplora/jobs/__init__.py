"""Jobs of a study: notebooks that run by themselves, on this machine or on many, and leave word of how they are.

`packs` says which variants a job is about, `notebook` executes one, on a GPU of its own (`gpus`). `records` says of
each job which notebook it runs, of which variants, where, and how it ended; `work` how far a running one is in what it
does, `reads` and `made` have digests of what it reads and of what it has made. The graph (Snakefile), the report and
whoever watches read it there; `loop` runs the five notebooks of a study where there is no Snakemake. `told` keeps
passwords and codes for terminals out of what is written and said.
"""

from caplora.jobs.gpus import own_gpu, visible_gpus
from caplora.jobs.loop import run_study
from caplora.jobs.made import images_digest, left_by, made_by, write_made
from caplora.jobs.notebook import JobError, parameters_of, run_notebook, train_by_accelerate
from caplora.jobs.packs import Packs, pack_name, pack_path, pack_text, packs_of, read_packs, write_pack
from caplora.jobs.reads import chooses_by, code_of, models_of, settings_of
from caplora.jobs.records import (
    DONE,
    FAILED,
    KILLED,
    RUNNING,
    Record,
    gone,
    next_run,
    read_ended,
    read_record,
    read_records,
    record_path,
    records_folder,
    write_record,
)
from caplora.jobs.told import harmless, no_secret_told, without_secrets
from caplora.jobs.work import Work, drop_work, read_works, work_here, write_work

__all__ = [
    "DONE", "FAILED", "KILLED", "RUNNING", "JobError", "Packs", "Record", "Work", "chooses_by", "code_of", "drop_work",
    "gone", "harmless", "images_digest", "left_by", "made_by", "models_of", "next_run", "no_secret_told", "own_gpu",
    "pack_name", "pack_path", "pack_text", "packs_of", "parameters_of", "read_ended", "read_packs", "read_record",
    "read_records", "read_works", "record_path", "records_folder", "run_notebook", "run_study", "settings_of",
    "train_by_accelerate", "visible_gpus", "without_secrets", "work_here", "write_made", "write_pack", "write_record",
    "write_work",
]  # fmt: skip
