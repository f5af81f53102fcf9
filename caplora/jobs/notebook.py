"""A notebook and its parameters → its executed copy, kept when it fails, and a record of how it ended."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from caplora.jobs.gpus import own_gpu, visible_gpus
from caplora.jobs.records import DONE, FAILED, RUNNING, Record, now, record_path, write_record
from caplora.jobs.told import harmless, without_secrets
from caplora.study import PROJECT, Study, Variant

STARTS = 3  # times that a kernel is started; nothing else is tried again
LONGEST = 300  # characters of a reason
# Without --multi_gpu a CPU trains in one process, whatever is asked for; port 0 is any free one: others may train here.
LAUNCH = "--multi_gpu --main_process_port 0 --num_machines 1 --mixed_precision no --dynamo_backend no"


class JobError(RuntimeError):
    """A notebook that failed; the message names its executed copy and the exception's last line."""


def run_notebook(
    study: Study,
    notebook: str,
    parameters: Mapping[str, Any],
    part: str = "",
    variants: Sequence[Variant] = (),
    run: int = 0,
) -> Record:
    """Execute a notebook of the project as a job of a study; how it ended. `part` names one of several such jobs.

    The executed copy and the record are in the study's run folder. A part that fails is done variant by variant, so
    that none is lost by another. Raises JobError where the notebook fails.
    """
    job = f"{notebook}_{part}" if part else notebook
    copy, source = study.run / f"{job}.ipynb", PROJECT / "notebooks" / f"{notebook}.ipynb"

    def work() -> None:
        try:
            execute(source, copy, parameters)
        except Exception as error:
            if not part or len(variants) < 2:
                raise
            sys.stderr.write(f"{job} failed: {last_line(error)}: each variant alone\n")
            one_by_one(source, copy, parameters, variants)

    return recorded(study, job, copy, [v.name for v in variants], run, work)


def parameters_of(
    notebook: str, study: str, variants: str, drive: str = "", redraw: bool = False, part: bool = False
) -> dict[str, Any]:
    """The parameters that a notebook has, of these; no variants and no drive are none."""
    given: dict[str, Any] = {"study": study}
    given |= {"variants": variants} if variants and not notebook.startswith("01") else {}
    given |= {"drive": drive} if drive else {}
    return given | ({"redraw": redraw, "part": part} if notebook.startswith("03") else {})


def one_by_one(source: Path, copy: Path, parameters: Mapping[str, Any], variants: Sequence[Variant]) -> None:
    """Execute a notebook for each variant alone, into a copy of its own; raises RuntimeError naming those that fail."""
    failed = []
    for variant in variants:
        own = copy.with_stem(f"{copy.stem}_{variant.name}")
        try:
            execute(source, own, {**parameters, "variants": [variant.model_dump(exclude_defaults=True)]})
        except Exception as error:
            failed.append(f"{variant.name}: {last_line(error)} ({own.name})")
    if failed:
        raise RuntimeError("; ".join(failed))


def train_by_accelerate(
    study: Study, named: str, variants: str, part: str, own: Sequence[Variant], run: int, processes: int
) -> Record:
    """Train variants of a study in several processes of `accelerate launch`; as `run_notebook`, with a log.

    Raises JobError where it fails.
    """
    job = f"02_train_lora_{part}" if part else "02_train_lora"
    log = study.run / f"{job}.log"
    words = [sys.executable, "-m", "accelerate.commands.launch", *LAUNCH.split(), "--num_processes", str(processes)]
    words += ["-m", "caplora", "train", named, "--variants", variants]
    return recorded(study, job, log, [v.name for v in own], run, lambda: command(words, log), processes)


def recorded(
    study: Study, job: str, copy: Path, variants: Sequence[str], run: int, work: Callable[[], None], gpus: int = 1
) -> Record:
    """Do a job's work on a GPU of its own, or several, and leave word of it; raises JobError where the work fails.

    A job that still runs, because whoever began it was killed, is waited for: nothing is done twice at once.
    """
    path = record_path(study, job)
    path.parent.mkdir(parents=True, exist_ok=True)
    with stopped(), only_run(path.with_suffix(".lock")), own_gpu(visible_gpus(), count=gpus) as gpu:
        host, pid = socket.gethostname(), os.getpid()
        record = Record(job, str(copy), tuple(variants), RUNNING, began=now(), host=host, pid=pid, gpu=gpu, run=run)
        write_record(path, record)
        try:
            work()
        except BaseException as error:
            failed = replace(record, state=FAILED, why=last_line(error), ended=now())
            write_record(path, failed)
            raise JobError(f"{job} failed: {failed.why} (what it has said: {copy})") from error
        done = replace(record, state=DONE, ended=now())
        write_record(path, done)
    return done


@contextmanager
def only_run(path: Path) -> Iterator[None]:
    """Hold a job's lock, waiting until no other process does; a disk that knows no locks has none."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        sys.stderr.write(f"the same job still runs ({path.with_suffix('.json')} says where): waiting for it to end\n")
        lock.acquire()
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def command(words: Sequence[str], log: Path) -> None:
    """Run a command whose output goes into a log; raises RuntimeError with the log's last line where it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        ended = subprocess.run(words, cwd=PROJECT, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    if ended:
        said = log.read_text(encoding="utf-8").strip().splitlines() or [f"exit status {ended}"]
        raise RuntimeError(said[-1])


def execute(notebook: Path, copy: Path, parameters: Mapping[str, Any]) -> None:
    """Execute a notebook by papermill; a kernel that does not start is started again, anything else is raised."""
    import papermill  # type: ignore[import-untyped]  # takes a second to import

    copy.parent.mkdir(parents=True, exist_ok=True)
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
    """What went wrong, as the last line of a traceback has it, without codes for terminals and without secrets."""
    name, what = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    said = " ".join(harmless(without_secrets(f"{name}: {what}")).split())
    return said if len(said) <= LONGEST else f"{said[:LONGEST]} …"


@contextmanager
def stopped() -> Iterator[None]:
    """Within, a job that its scheduler stops (SIGTERM) says so, and takes its kernel with it."""
    if threading.current_thread() is not threading.main_thread():  # no other may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"stopped by signal {number}")
