"""Kill every stage, and let the disk fail under it, many times: `python benchmarks/kills.py --folder KEPT --rounds 3`.

A tiny study with real models goes through the five notebooks, the studio and the rating widget in a process that
carries a layer of faults (tests/kills/layer.c). Each case meets a fault at one touch of the disk, or a kill at a random
moment; then the stage runs again to its end, and all that it made is compared with what a run without a fault makes.
In a folder that is kept the command goes on where it was stopped. It writes benchmarks/results/kills.json.
"""

import argparse
import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from caplora import __version__
from tests.kills.layer import COMPILER, preloaded

PROJECT = Path(__file__).parents[1]
RESULT = PROJECT / "benchmarks" / "results" / "kills.json"
KILLS = ("KILL_TORN", "KILL_BEFORE", "KILL_AT_RANDOM")
FAULTS = ("FULL", "BAD_READ", "READ_ONLY")
ROUND = {  # cases of a round: of each kind of kill, and of each other fault
    "training": ((5, 4, 4), (3, 3, 1)), "captioning": ((2, 1, 1), (2, 3, 1)), "studio": ((2, 1, 1), (3, 1, 1)),
    "sampling": ((2, 1, 1), (3, 3, 1)), "rating": ((2, 1, 1), (3, 1, 1)), "scoring": ((1, 1, 1), (2, 3, 1)),
    "analysis": ((1, 1, 0), (1, 2, 1)),
}  # fmt: skip
Case = dict[str, Any]


def plan(rounds: int) -> dict[str, Any]:
    """The cases of some rounds; in each, those of a kind spread over all that a stage does."""
    kinds = {stage: zip((*KILLS, *FAULTS), (*kills, *faults), strict=True) for stage, (kills, faults) in ROUND.items()}
    cases = [[stage, fault, count] for stage, own in kinds.items() for fault, count in own]
    return {"commit": commit(), "seeds": list(range(rounds)), "cases": cases}


def run(folder: Path, rounds: int) -> None:
    """Try the cases that the folder's log does not have, saying how far it is."""
    place, log, own = folder / "work", folder / "log", plan(rounds)
    (folder / "plan.json").write_text(json.dumps(own), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.kills.run", str(place), str(folder / "plan.json"), str(log)]
    total = rounds * sum(count for *_, count in own["cases"])
    env = preloaded(folder) | {"PYTHONPATH": str(PROJECT)}
    with open(folder / "said", "w", encoding="utf-8") as said:
        process = subprocess.Popen(command, cwd=PROJECT, env=env, stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None:
            time.sleep(5)
            print(f"\r{len(read(log))} of {total} cases", end="", flush=True)
    print()
    if process.returncode:
        raise SystemExit((folder / "said").read_text(encoding="utf-8")[-2000:])


def read(log: Path) -> list[Case]:
    """The cases of a log."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []


def good(case: Case) -> bool:
    """Whether the run after the fault ended, with what a run without a fault makes, and nothing was lost before."""
    return case["ended"] == "done" and not any(case[key] for key in ("damaged", "wrong", "differs", "left"))


def kills_of(cases: list[Case]) -> dict[str, Any]:
    """What became of a stage that was killed."""
    tried = [case for case in cases if case["fault"] in KILLS]
    kinds = {kind: sum(case["kills"] for case in tried if case["fault"] == kind) for kind in KILLS}
    return {
        "kills": sum(kinds.values()),
        "half way through a call": kinds["KILL_TORN"],
        "before a call": kinds["KILL_BEFORE"],
        "at a random moment": kinds["KILL_AT_RANDOM"],
        "while a file was being written": sum(case["writing"] for case in tried),
        "runs to the end": sum(case["ended"] == "done" for case in tried),
        "identical": sum(good(case) for case in tried),
    }


def fault_of(cases: list[Case], fault: str) -> dict[str, Any]:
    """What became of a stage on a disk that failed."""
    tried = [case for case in cases if case["fault"] == fault]
    failed = [case for case in tried if case["status"] == "failed"]
    return {
        "cases": len(tried),
        "ended in an error": len(failed),
        "went on without harm": sum(case["status"] == "done" for case in tried),
        "error names the file and the way out": sum(case["clear"] for case in failed),
        "others": sorted({case["error"].split(": ")[0] for case in failed if not case["clear"]}),
        "older files whole": not any(case["damaged"] or case["wrong"] for case in tried),
        "finished after, identical": sum(good(case) for case in tried),
    }


def summary(folder: Path) -> dict[str, Any]:
    """All that was tried, in numbers."""
    cases, asked = read(folder / "log"), json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    facts = json.loads((folder / "log").with_suffix(".facts.json").read_text(encoding="utf-8"))
    stages = {}
    for name in ROUND:
        own = [case for case in cases if case["stage"] == name]
        touches = {"writes": facts["touches"][name]["COUNT"], "reads": facts["touches"][name]["BAD_READ"]}
        compared = {"compared": facts["compared"][name], "not compared, hold the time": facts["unsteady"][name]}
        faults = {fault.lower(): fault_of(own, fault) for fault in FAULTS}
        stages[name] = {"touches of the disk": touches, **compared, **kills_of(own), **faults}
    versions = {name: importlib.metadata.version(name) for name in ("torch", "safetensors", "pillow", "pandas")}
    versions |= {"python": platform.python_version(), "caplora": __version__, "commit": asked["commit"]}
    total = {"cases": len(cases), "kills": sum(stage["kills"] for stage in stages.values())}
    total["not as without a fault"] = sum(not good(case) for case in cases)
    return {"versions": versions, "total": total, "stages": stages}


def commit() -> str:
    """The commit that was run."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keeps the log, so that the command can go on; default: none")
    parser.add_argument("--rounds", type=int, default=3, help="of 67 cases each, with a hundred kills")
    parser.add_argument("--show", action="store_true", help="try nothing: write the results of what the folder has")
    given = parser.parse_args()
    if not COMPILER:
        raise SystemExit("the layer of faults is compiled here: install a C compiler")
    with tempfile.TemporaryDirectory() as passing:
        folder = given.folder or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        if not given.show:
            run(folder.resolve(), given.rounds)
        found = summary(folder)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(found["total"]))


if __name__ == "__main__":
    main()
