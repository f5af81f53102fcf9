"""Snakemake sends jobs through a real Slurm, learns what became of them, and outlives a node's daemon."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, cluster, missing, started

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=missing())]

WORDS = ("--executor", "slurm", "--jobs", "2", "--default-resources", "mem_mb=500", "runtime=5")
LOOKS = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "8")
PATIENCE = 240  # seconds; a run takes 20, most of them between two looks at the queue
# Each job ends only once the other has begun.
TOGETHER = """
rule all:
    input: "left.done", "right.done"
rule left:
    output: "left.done"
    resources: gpu=1
    shell: "touch left.begun; until test -e right.begun; do sleep 0.1; done; {SAY} > {output}"
rule right:
    output: "right.done"
    resources: gpu=1
    shell: "touch right.begun; until test -e left.begun; do sleep 0.1; done; {SAY} > {output}"
SAY = "echo $SLURM_JOB_ID $CUDA_VISIBLE_DEVICES"
"""
FAILING = """
rule failing:
    output: "out"
    shell: "touch {output}; echo the reason is here >&2; exit 3"
"""
ALONE = """
rule alone:
    output: "out"
    shell: "echo $SLURM_JOB_ID > {output}"
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from started(tmp_path_factory.mktemp("slurm"), cpus=2, gpus=2)


def begin(slurm: Cluster, folder: Path, snakefile: str) -> subprocess.Popen[str]:
    """A Snakemake that runs a Snakefile in a folder through Slurm."""
    (folder / "Snakefile").write_text(snakefile, encoding="utf-8")
    words = [sys.executable, "-m", "snakemake", *WORDS, *LOOKS]
    return subprocess.Popen(
        words, env=slurm.env, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_for(slurm: Cluster, state: str, count: int) -> None:
    """Wait until so many jobs are in a state of squeue."""
    end = time.monotonic() + PATIENCE
    while slurm.run("squeue", "--noheader", "--states", state).count("\n") != count:
        assert time.monotonic() < end, slurm.run("squeue")
        time.sleep(0.2)


def test_two_jobs_run_at_once_each_on_a_gpu_of_its_own(slurm: Cluster, tmp_path: Path) -> None:
    run = begin(slurm, tmp_path, TOGETHER)
    said, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    lines = [(tmp_path / f"{side}.done").read_text().split() for side in ("left", "right")]
    jobs, gpus = zip(*lines, strict=True)
    assert len({*jobs}) == 2 and all(f"SLURM jobid {job} " in said for job in jobs)
    assert {*gpus} == {"0", "1"}


def test_a_job_that_fails_is_reported_with_its_log(slurm: Cluster, tmp_path: Path) -> None:
    run = begin(slurm, tmp_path, FAILING)
    said, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 1 and "SLURM status is: 'FAILED'" in said
    (log,) = tmp_path.glob(".snakemake/slurm_logs/rule_failing/*.log")
    assert str(log) in said and "the reason is here" in log.read_text()
    assert not (tmp_path / "out").exists()


def test_a_waiting_job_runs_after_the_daemon_of_its_node_was_killed_and_started_again(
    slurm: Cluster, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    slurm.run(
        "sbatch", "--cpus-per-task=2", "--output=/dev/null", f"--wrap=until test -e {release}; do sleep 0.1; done"
    )
    wait_for(slurm, "RUNNING", 1)
    run = begin(slurm, tmp_path, ALONE)
    wait_for(slurm, "PENDING", 1)
    slurm.restart_node()
    wait_for(slurm, "PENDING", 1)
    release.touch()
    said, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, said
    assert (tmp_path / "out").read_text().strip() in said
    wait_for(slurm, "RUNNING", 0)


def test_nothing_of_a_cluster_is_left(tmp_path: Path) -> None:
    with cluster(tmp_path / "small", nodes=2, gpus=1) as made:
        seen = made.run("srun", "--nodes=2", "--gpus-per-node=1", "printenv", "SLURMD_NODENAME")
        assert sorted(seen.split()) == ["node0", "node1"]
        made.run("sbatch", "--output=/dev/null", "--wrap=setsid sleep 1000")
        wait_for(made, "RUNNING", 1)
        made.kill_node()
        assert made.processes()
    assert made.processes() == []
