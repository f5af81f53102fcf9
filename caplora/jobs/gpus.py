"""The GPUs of this machine → one for each job, told apart by locks: Snakemake's own executor counts them only."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

VISIBLE = "CUDA_VISIBLE_DEVICES"
WAIT = 1.0  # seconds between two looks for one that is free


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by number or name; none where a scheduler has assigned them already."""
    if "SLURM_JOB_ID" in os.environ:
        return []
    if os.environ.get(VISIBLE):
        return os.environ[VISIBLE].split(",")
    try:
        told = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],  # noqa: S607  # where the driver has put it
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return []
    return told.stdout.split()


@contextmanager
def own_gpu(among: Sequence[str], folder: Path | None = None, count: int = 1) -> Iterator[str]:
    """Hold one of these GPUs (or `count`) that no other job holds, waiting for it; within, torch sees no other.

    Its number, those of several joined by commas, or nothing where there are none. The lock of a job that died is
    nobody's. `folder` is where the locks are, which all jobs of a machine share; None: the system's for temporary
    files. Raises RuntimeError where there are not so many.
    """
    if not among:
        yield ""
        return
    if count > len(among):
        raise RuntimeError(f"{count} GPUs are asked for, a process each, and there are {', '.join(among)}")
    folder = folder or Path(tempfile.gettempdir())
    locks = {gpu: FileLock(folder / f"caplora_gpu_{gpu.replace('/', '_')}.lock", mode=0o666) for gpu in among}
    held = _held(locks, count)
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = ",".join(held)
    try:
        yield os.environ[VISIBLE]
    finally:
        for gpu in held:
            locks[gpu].release()
        os.environ.pop(VISIBLE) if before is None else os.environ.update({VISIBLE: before})


def _held(locks: dict[str, FileLock], count: int) -> list[str]:
    """The first GPUs whose locks can be had, once so many can: who has too few lets them go and waits."""
    while True:
        held: list[str] = []
        for gpu, lock in locks.items():
            with suppress(Timeout):
                lock.acquire(timeout=0)
                held.append(gpu)
            if len(held) == count:
                return held
        for gpu in held:
            locks[gpu].release()
        time.sleep(WAIT)
