"""Jobs of a study: notebooks that run by themselves, on this machine or on many, and leave word of how they ended.

`packs` says which variants a job is about, `notebook` executes one, on a GPU of its own (`gpus`). `records` has what is
known of each job, and `made` a digest of what it has made: the graph (Snakefile), the report and whoever watches a
study read it there.
"""

from caplora.jobs.gpus import gpus, own_gpu
from caplora.jobs.made import made_by
from caplora.jobs.notebook import JobError, run_notebook, train_by_accelerate
from caplora.jobs.packs import Packs, pack_name, pack_path, pack_text, packs_of, read_packs, write_pack
from caplora.jobs.records import Record, next_run, now, read_record, read_records, record_path, write_record

__all__ = [
    "JobError", "Packs", "Record", "gpus", "made_by", "next_run", "now", "own_gpu", "pack_name", "pack_path",
    "pack_text", "packs_of", "read_packs", "read_record", "read_records", "record_path", "run_notebook",
    "train_by_accelerate", "write_pack", "write_record",
]  # fmt: skip
