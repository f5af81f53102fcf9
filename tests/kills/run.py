"""Try faults on stages and say each case in a line: `python -m tests.kills.run FOLDER PLAN.json LOG`, preloaded.

The plan lists [stage, fault or null, how many]; a case that the log has already is not tried again.
"""

import json
import sys
import time
from pathlib import Path

import caplora.notebooks.card
import caplora.notebooks.finalists
import caplora.notebooks.people
import caplora.notebooks.portraits
import caplora.notebooks.results
import caplora.notebooks.scores  # noqa: F401  # all that a stage imports, so that a child starts at once
from tests.kills.driver import Bench
from tests.kills.layer import Fault


def main(folder: Path, plan: Path, log: Path) -> None:
    wanted = json.loads(plan.read_text(encoding="utf-8"))
    known = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []
    done = {(case["stage"], case["fault"], case["number"], case["seed"]) for case in known}
    bench = Bench(folder)
    bench.prepare({stage for stage, *_ in wanted["cases"]})
    seconds = {}
    with log.open("a", encoding="utf-8") as file:
        for name, fault, count in wanted["cases"]:
            if not fault and name not in seconds:
                bench.begin(bench.stages[name])
                began = time.monotonic()
                bench.run(bench.stages[name], Fault.COUNT, 0)
                seconds[name] = time.monotonic() - began
            for number in range(count):
                if (name, fault or "KILL_AT_RANDOM", number, wanted["seed"]) in done:
                    continue
                chosen = Fault[fault] if fault else None
                case = bench.tried(name, chosen, number, count, wanted["seed"], seconds.get(name, 0.0))
                file.write(json.dumps(case.as_dict()) + "\n")
                file.flush()
    facts = {
        "unsteady": bench.unsteady,
        "touches": bench.touches,
        "given": {k: sorted(v) for k, v in bench.given.items()},
    }
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
