"""What the tests of the tiny study share: a cluster that counts six CPUs, and the study made here without Slurm."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from caplora.study import Study
from tests.slurm.cluster import Cluster, started
from tests.slurm.tiny_study import begin, finish, write_study


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from started(tmp_path_factory.mktemp("nodes"), cpus=6)


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("alone")
    study = write_study(folder)
    finish(begin(folder), folder)
    return study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path)
