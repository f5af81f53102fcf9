"""What the jobs of a study leave on disk while they run, for whoever watches, here or on another machine.

`records` says of each job which notebook it runs, of which variants, where, and how it ended. `work` says how far a
running job is in what it does.
"""

from caplora.jobs.records import (
    DONE,
    FAILED,
    KILLED,
    RUNNING,
    Record,
    gone,
    read_ended,
    read_record,
    read_records,
    records_folder,
    write_record,
)
from caplora.jobs.work import Work, drop_work, read_works, work_here, write_work

__all__ = [
    "DONE", "FAILED", "KILLED", "RUNNING", "Record", "Work", "drop_work", "gone", "read_ended", "read_record",
    "read_records", "read_works", "records_folder", "work_here", "write_record", "write_work",
]  # fmt: skip
