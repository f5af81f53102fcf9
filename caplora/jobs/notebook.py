"""A notebook and its parameters → its executed copy, kept when it fails, and a record of how it ended."""

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from caplora.jobs.gpus import gpus, own_gpu
from caplora.jobs.records import Record, now, record_path, write_record
from caplora.study import PROJECT, Study

STARTS = 3  # times that a kernel is started; nothing else is tried again
LONGEST = 300  # characters of a reason


class JobError(RuntimeError):
    """A notebook that failed; the message names its executed copy and the exception's last line."""


def run_notebook(
    study: Study, notebook: str, parameters: Mapping[str, Any], part: str = "", variants: Sequence[str] = (), run: int = 0
) -> Record:
    """Execute a notebook of the project as a job of a study; how it ended. `part` names one of several such jobs.

    The executed copy and the record are in the study's run folder. Raises JobError where the notebook fails.
    """
    job = f"{notebook}_{part}" if part else notebook
    copy, path = study.run / f"{job}.ipynb", record_path(study, job)
    with own_gpu(gpus()) as gpu:
        record = Record(
            job, str(copy), tuple(variants), began=now(), host=socket.gethostname(), pid=os.getpid(), gpu=gpu, run=run
        )
        write_record(path, record)
        try:
            execute(PROJECT / "notebooks" / f"{notebook}.ipynb", copy, parameters)
        except BaseException as error:
            failed = replace(record, state="failed", why=last_line(error), ended=now())
            write_record(path, failed)
            raise JobError(f"{job} failed: {failed.why} (the executed notebook: {copy})") from error
    done = replace(record, state="done", ended=now())
    write_record(path, done)
    return done


def execute(notebook: Path, copy: Path, parameters: Mapping[str, Any]) -> None:
    """Execute a notebook by papermill; a kernel that does not start is started again, anything else is raised."""
    import papermill  # takes a second to import

    copy.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _stop)
    for start in range(1, STARTS + 1):
        try:
            papermill.execute_notebook(
                str(notebook), str(copy), dict(parameters), start_timeout=300, stderr_file=sys.stderr
            )
        except RuntimeError as error:  # papermill's own are none, nbclient's of kernels are
            if start == STARTS or has_begun(copy):
                raise
            sys.stderr.write(f"the kernel did not start ({last_line(error)}): once more\n")
        else:
            return


def has_begun(copy: Path) -> bool:
    """Whether any cell of an executed notebook was run."""
    import nbformat

    cells = nbformat.read(copy, nbformat.NO_CONVERT).cells if copy.is_file() else []
    return any(cell.get("execution_count") for cell in cells)


def last_line(error: BaseException) -> str:
    """What went wrong, as the last line of a traceback has it."""
    name, what = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    said = " ".join(f"{name}: {what}".split())
    return said if len(said) <= LONGEST else f"{said[:LONGEST]} …"


def _stop(number: int, frame: FrameType | None) -> None:
    """A job that its scheduler stops says so, and takes its kernel with it."""
    raise KeyboardInterrupt(f"stopped by signal {number}")
