"""Jobs of a study: notebooks that run by themselves, on this machine or on many, and leave word of how they ended.

`packs` says which variants a job is about, `notebook` executes one, on a GPU of its own (`gpus`), and `records` has
what is known of each: the graph (Snakefile), the report and whoever watches read it there.
"""

from caplora.jobs.gpus import gpus, own_gpu
from caplora.jobs.notebook import JobError, run_notebook
from caplora.jobs.packs import Packs, pack_name, pack_path, pack_text, packs_of, read_packs, write_pack
from caplora.jobs.records import Record, next_run, now, read_record, read_records, record_path, write_record

__all__ = [
    "JobError", "Packs", "Record", "gpus", "next_run", "now", "own_gpu", "pack_name", "pack_path", "pack_text",
    "packs_of", "read_packs", "read_record", "read_records", "record_path", "run_notebook", "write_pack",
    "write_record",
]  # fmt: skip
