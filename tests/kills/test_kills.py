"""Every stage, killed and starved at any touch of the disk, ends with the bytes of one that never was.

The long run is `python benchmarks/kills.py`; here are a few cases of each kind from the same driver.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from caplora.study.reading import PROJECT
from tests.kills.driver import AT_RANDOM
from tests.kills.layer import COMPILER, Fault, preloaded

Cases = list[dict[str, Any]]
pytestmark = pytest.mark.long
needs_compiler = pytest.mark.skipif(not COMPILER, reason="the layer of faults is compiled here: install a C compiler")
KILLS = [
    ["captioning", "KILL_TORN", 1], ["studio", "KILL_TORN", 2], ["training", "KILL_TORN", 2],
    ["sampling", "KILL_TORN", 1],
]  # fmt: skip
FAULTS = [
    ["studio", "FULL", 1], ["training", "FULL", 1], ["captioning", "BAD_READ", 1], ["training", "READ_ONLY", 1],
]  # fmt: skip
RANDOM = [["training", AT_RANDOM, 3]]
TRIALS = [[name, "KILL_TORN", 4] for name in ("careless", "careful")] + [["boastful", "KILL_BEFORE", 4]]


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Cases]:
    """Gives what became of some stages under some faults; all were tried in one process."""
    folder = tmp_path_factory.mktemp("kills")
    plan = [*RANDOM, *([*KILLS, *FAULTS, *TRIALS] if COMPILER else [])]
    (folder / "plan.json").write_text(json.dumps({"seeds": [0], "cases": plan}))
    command = [sys.executable, "-m", "tests.kills.run", str(folder), str(folder / "plan.json"), str(folder / "log")]
    done = subprocess.run(command, cwd=PROJECT, env=preloaded(folder), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    cases = [json.loads(line) for line in (folder / "log").read_text(encoding="utf-8").splitlines()]

    def of(asked: list[list[Any]]) -> Cases:
        wanted = {(stage, fault) for stage, fault, _ in asked}
        return [case for case in cases if (case["stage"], case["fault"]) in wanted]

    return of


def lost(case: dict[str, Any]) -> list[str]:
    """What a case did not leave as a run without a fault does."""
    return [
        *case["damaged"],
        *case["wrong"],
        *case["differs"],
        *case["left"],
        *[case["ended"]] * (case["ended"] != "done"),
    ]


@pytest.mark.fault(18, 20, 23)
def test_training_killed_at_random_moments_ends_with_the_same_bytes(tried: Callable[..., Cases]) -> None:
    cases = tried(RANDOM)
    assert len(cases) == 3 and {case["status"] for case in cases} <= {"killed", "done"}
    assert [lost(case) for case in cases] == [[]] * 3


@needs_compiler
@pytest.mark.fault(18, 20)
@pytest.mark.parametrize("stage", [stage for stage, *_ in KILLS])
def test_stage_killed_half_way_through_a_write_ends_as_one_that_never_was(
    stage: str, tried: Callable[..., Cases]
) -> None:
    cases = tried([[stage, "KILL_TORN", 0]])
    assert all(case["kills"] >= 1 for case in cases)
    assert [lost(case) for case in cases] == [[]] * len(cases)


@needs_compiler
@pytest.mark.fault(17)
@pytest.mark.parametrize(("stage", "fault", "count"), FAULTS)
def test_disk_that_fails_is_named_costs_nothing_and_the_next_run_ends_as_ever(
    stage: str, fault: str, count: int, tried: Callable[..., Cases]
) -> None:
    cases = tried([[stage, fault, count]])
    assert len(cases) == count and [lost(case) for case in cases] == [[]] * count
    assert all(case["clear"] for case in cases if case["status"] == "failed"), [case["error"] for case in cases]


@needs_compiler
def test_driver_catches_a_file_that_is_not_written_whole_and_a_word_that_is_not_kept(
    tried: Callable[..., Cases],
) -> None:
    found = {name: [lost(case | {"left": []}) for case in tried([[name, fault, 0]])] for name, fault, _ in TRIALS}
    assert ["table.csv is cut off", "runs/table.csv"] in [one[:1] + one[-1:] for one in found["careless"] if one]
    assert [one for one in found["careful"] if one] == []
    assert any("said, and not saved" in one for one in found["boastful"])


SAVES = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from tests.kills.layer import Fault, Told, arm
told = Told()
arm(Path(sys.argv[1]), Fault.COUNT, 0, told)
for size in (1, 10):
    save_file({"a": torch.ones(size)}, Path(sys.argv[1]) / "a.safetensors")
    print(told.touches)
save_file({"a": torch.ones(1)}, Path(sys.argv[1]).with_name("elsewhere.safetensors"))
print(told.touches)
"""


@needs_compiler
def test_layer_sees_what_safetensors_writes_and_nothing_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    save_file({}, tmp_path / "watched" / "a.safetensors")
    command = [sys.executable, "-c", SAVES, str(tmp_path / "watched")]
    done = subprocess.run(command, cwd=PROJECT, env=preloaded(tmp_path), capture_output=True, text=True, check=True)
    first, second, third = map(int, done.stdout.split())
    assert 2 <= first < second == third


def test_faults_of_the_layer_have_the_numbers_that_it_knows() -> None:
    source = (Path(__file__).with_name("layer.c")).read_text(encoding="utf-8")
    names = source.split("enum { ")[1].split(" }")[0].split(", ")
    assert {fault.name: int(fault) for fault in Fault} == {n: i for i, n in enumerate(names) if n != "NONE"}
