"""Try faults on stages, a line of a log for each case: `python -m tests.kills.run FOLDER PLAN.json LOG`, preloaded.

The plan has `seed` and `cases`, a list of [stage, fault, how many]; a case that the log has is not tried again.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.kills.careless import TRIALS
from tests.kills.driver import Bench
from tests.kills.layer import Fault
from tests.kills.stages import STAGES

HELD = ("adapters", "card", "finalists", "keeping", "people", "portraits", "results", "samples", "scores")
AT_RANDOM = "KILL_AT_RANDOM"  # moments, without regard to what is being done


def wanted(plan: dict[str, Any], log: Path) -> list[tuple[str, str, int, int]]:
    """The cases that the log does not have: stage, fault, number, of how many."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    known = {(c["stage"], c["fault"], c["number"]) for c in map(json.loads, lines) if c["seed"] == plan["seed"]}
    asked = [(stage, fault, number, count) for stage, fault, count in plan["cases"] for number in range(count)]
    return [case for case in asked if case[:3] not in known]


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
    bench.prepare({stage for stage, *_ in cases})
    facts = {
        "unsteady": bench.unsteady,
        "touches": bench.touches,
        "compared": {k: len(v) for k, v in bench.given.items()},
    }
    log.with_suffix(".facts.json").write_text(json.dumps(facts), encoding="utf-8")
    with log.open("a", encoding="utf-8") as file:
        for name, fault, number, count in cases:
            chosen = None if fault == AT_RANDOM else Fault[fault]
            if not chosen and name not in seconds:
                seconds[name] = seconds_of(bench, name)
            case = bench.tried(name, chosen, number, count, plan["seed"], seconds.get(name, 0.0))
            file.write(json.dumps(case.as_dict()) + "\n")
            file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")), Path(sys.argv[3]))
