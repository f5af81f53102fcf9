"""How long the jobs of a study take yet: by what a running one says, else by how long others like it took."""

from collections.abc import Iterable, Sequence

from caplora.jobs import DONE, RUNNING, Work
from caplora.watching.view import NOTEBOOKS, WAITING, Job


def minutes_left(jobs: Sequence[Job], works: Iterable[Work] = ()) -> tuple[float | None, int]:
    """Minutes until the jobs are done, with as many at once as run now, and of how many jobs nothing is known.

    `works` belong to no job. The minutes are None where of none anything is known.
    """
    took: dict[tuple[str, bool], list[float]] = {}
    for job in jobs:
        if job.state == DONE and job.record:
            took.setdefault(kind(job.name), []).append(job.record.seconds / 60)
    open_jobs = [job for job in jobs if job.state in (RUNNING, WAITING)]
    left = [_of_job(job, took.get(kind(job.name), [])) for job in open_jobs] + [work.minutes for work in works]
    known = [minutes for minutes in left if minutes is not None]
    at_once = max(1, sum(job.state == RUNNING for job in jobs))
    longest = max(known, default=0.0)
    return (max(sum(known) / at_once, longest) if known else None), len(left) - len(known)


def kind(job: str) -> tuple[str, bool]:
    """What jobs that take about as long share: the number of their notebook, and whether it is run for a pack."""
    return job[:2], job not in NOTEBOOKS


def _of_job(job: Job, took: Sequence[float]) -> float | None:
    """Minutes that one job takes yet; None where nothing is known."""
    said = job.work.minutes if job.work else None
    if said is not None or not took:
        return said
    spent = job.record.seconds / 60 if job.record else 0.0
    return max(0.0, sum(took) / len(took) - spent)
