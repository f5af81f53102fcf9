"""Try faults on stages, a line of a log for each case: `python -m tests.kills.run FOLDER PLAN.json LOG`, preloaded.

The plan has `seeds` and `cases`, a list of [stage, fault, how many] for each; what the log has is not tried again.
"""

import importlib
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.kills.careless import TRIALS
from tests.kills.driver import AT_RANDOM, Bench, Case
from tests.kills.layer import Fault
from tests.kills.stages import STAGES

HELD = ("adapters", "card", "finalists", "keeping", "people", "portraits", "results", "samples", "scores")


def wanted(plan: dict[str, Any], log: Path) -> list[tuple[Case, int]]:
    """The cases that the log does not have, each with how many there are of its kind."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    known = {(c["stage"], c["fault"], c["number"], c["seed"]) for c in map(json.loads, lines)}
    asked = [(Case(s, f, n, seed), c) for seed in plan["seeds"] for s, f, c in plan["cases"] for n in range(c)]
    return [(c, count) for c, count in asked if (c.stage, c.fault, c.number, c.seed) not in known]


def seconds_of(bench: Bench, name: str) -> float:
    """How long a stage takes in a child, without a fault."""
    stage = bench.stages[name]
    bench.begin(stage)
    began = time.monotonic()
    bench.run(stage, Fault.COUNT, 0)
    return time.monotonic() - began


def main(folder: Path, plan: dict[str, Any], log: Path) -> None:
    for name in HELD:  # all that a stage imports, so that a child begins at once
        importlib.import_module(f"caplora.notebooks.{name}")
    cases = wanted(plan, log)
    bench, seconds = Bench(folder, STAGES | TRIALS), dict[str, float]()
    bench.prepare({case.stage for case, _ in cases})
    compared = {name: len(given) - len(bench.unsteady[name]) for name, given in bench.given.items()}
    facts = {"unsteady": bench.unsteady, "touches": bench.touches, "compared": compared}
    log.with_suffix(".facts.json").write_text(json.dumps(facts), encoding="utf-8")
    with log.open("a", encoding="utf-8") as file:
        for case, count in cases:
            if case.fault == AT_RANDOM and case.stage not in seconds:
                seconds[case.stage] = seconds_of(bench, case.stage)
            done = bench.tried(case, count, seconds.get(case.stage, 0.0))
            file.write(json.dumps(asdict(done)) + "\n")
            file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")), Path(sys.argv[3]))
