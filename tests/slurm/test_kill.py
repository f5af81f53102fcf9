"""Whatever dies while a pack is trained through Slurm, the study comes to the same bytes, and nothing is done twice."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from caplora.jobs import Record
from caplora.study import Study
from tests.slurm.cluster import Cluster, missing
from tests.slurm.tiny_study import STEPS, adapters, begin, finish, first_pack, half_way, steps_trained, trainings

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=missing())]


def by_now(study: Study) -> Record:
    """The record of the one job that trains."""
    [record] = trainings(study)
    return record


def test_a_job_whose_snakemake_was_killed_is_waited_for(
    nodes: Cluster, alone: Study, study: Study, tmp_path: Path
) -> None:
    run = begin(tmp_path, nodes, first_pack(study))
    first = half_way(study, run)
    run.kill()
    run.wait()
    shutil.rmtree(tmp_path / ".snakemake" / "locks")  # make unlock
    finish(begin(tmp_path, nodes, first_pack(study)), tmp_path)
    assert by_now(study).pid != first.pid and steps_trained(by_now(study)) == 0
    logs = [log.read_text() for log in tmp_path.glob(".snakemake/slurm_logs/rule_adapters/*/*.log")]
    assert ["the same job still runs" in log for log in logs].count(True) == 1
    assert len(adapters(study)) == 4 and adapters(study).items() <= adapters(alone).items()
    assert "Nothing to be done" in finish(begin(tmp_path, nodes, first_pack(study), "--dry-run"), tmp_path)


@pytest.mark.parametrize("by", ["kill", "scancel"])
def test_a_job_that_was_killed_is_sent_again_and_goes_on_from_its_checkpoint(
    nodes: Cluster, alone: Study, study: Study, tmp_path: Path, by: str
) -> None:
    run = begin(tmp_path, nodes, first_pack(study))
    first = half_way(study, run)
    if by == "kill":
        os.kill(first.pid, signal.SIGKILL)
    else:
        nodes.run("scancel", job_of(first))
    finish(run, tmp_path)
    assert by_now(study).pid != first.pid and by_now(study).state == "done"
    assert 0 < steps_trained(by_now(study)) < STEPS
    assert len(adapters(study)) == 4 and adapters(study).items() <= adapters(alone).items()
    assert "Nothing to be done" in finish(begin(tmp_path, nodes, first_pack(study), "--dry-run"), tmp_path)


def test_a_job_outlives_the_daemon_of_its_node(nodes: Cluster, alone: Study, study: Study, tmp_path: Path) -> None:
    run = begin(tmp_path, nodes, first_pack(study))
    first = half_way(study, run)
    nodes.restart_node()
    finish(run, tmp_path)
    assert by_now(study).pid == first.pid and steps_trained(by_now(study)) == STEPS
    assert len(adapters(study)) == 4 and adapters(study).items() <= adapters(alone).items()


def job_of(record: Record) -> str:
    """The number that Slurm has given to a job."""
    words = Path(f"/proc/{record.pid}/environ").read_text().split("\0")
    return next(word.removeprefix("SLURM_JOB_ID=") for word in words if word.startswith("SLURM_JOB_ID="))
