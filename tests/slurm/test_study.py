"""A study comes out the same through Slurm as on one machine, byte for byte."""

from pathlib import Path

import pandas as pd
import pytest

from caplora.study import Study
from tests.slurm.cluster import Cluster, missing
from tests.slurm.tiny_study import STEPS, adapters, begin, finish, first_pack, trainings, wait_until

pytestmark = pytest.mark.slurm


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_study_through_slurm_has_the_same_adapters_and_scores(
    nodes: Cluster, alone: Study, study: Study, tmp_path: Path
) -> None:
    said = finish(begin(tmp_path, nodes), tmp_path)
    assert said.count("has been submitted with SLURM jobid") == 11  # 01, 3 of 02, 4 parts of 03, 03, 04 and 05
    assert [record.state for record in trainings(study)] == ["done"] * 3
    assert len(adapters(study)) == 12 and adapters(study) == adapters(alone)
    assert study.scores.read_text() == alone.scores.read_text()
    assert study.report.is_file()
    assert "Nothing to be done" in finish(begin(tmp_path, nodes, "--dry-run"), tmp_path)


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_training_of_two_processes_through_slurm_loses_what_one_does(
    nodes: Cluster, alone: Study, study: Study, tmp_path: Path
) -> None:
    asked = "processes=2", "gpu=0"
    finish(begin(tmp_path, nodes, first_pack(study), config=asked), tmp_path)
    [record] = trainings(study)
    assert record.state == "done" and "in 2 processes" in Path(record.notebook).read_text(encoding="utf-8")
    for variant in record.variants:
        one, two = (pd.read_csv(s.run / "adapters" / variant / "losses.csv").loss for s in (alone, study))
        assert len(two) == STEPS and one.tolist() == pytest.approx(two.tolist(), rel=1e-4)


def test_a_second_snakemake_at_the_same_study_is_told_and_changes_nothing(study: Study, tmp_path: Path) -> None:
    first, record = begin(tmp_path, None, "--until", "captions"), study.run / "jobs" / "01_data_captioning.json"
    wait_until(record.is_file)
    before = record.read_bytes()
    second = begin(tmp_path, None, "--until", "captions", log="second.log")
    assert second.wait() == 1
    told = (tmp_path / "second.log").read_text()
    assert "no other Snakemake process is trying to create the same files" in told and str(tmp_path) in told
    assert first.poll() is None and record.read_bytes() == before
    finish(first, tmp_path)
    assert len(list(study.dataset.glob("*.png"))) == 8
