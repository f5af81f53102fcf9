"""Runs a stage in a forked child with a fault, looks at what it left, and runs it again to its end.

A process that carries the layer makes a `Bench` once: what each stage begins with and what it gives when nothing
happens. Every case starts from a copy of that, in the same folder, because results may name it.
"""

import os
import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.kills.children import Ran, forked
from tests.kills.layer import Fault, Told, arm
from tests.kills.stages import STAGES, Contents, Stage, files_in, made_in, shell
from tests.kills.tiny_study import write_models, write_study
from tests.kills.whole import broken

PARTS = ("*.part", ".tmp??????")  # files and folders that are being written, and those of safetensors
KILLS = 3  # in a row, before a stage runs to its end
AT_RANDOM = "KILL_AT_RANDOM"  # at moments, without regard to what is being done
WAYS_OUT = ("run", "replace it", "delete it", "restore it", "make room")  # words of an error that says what to do
LATER = 7200  # seconds after which a person comes back


@dataclass
class Case:
    """What became of a stage that met a fault, and of its second run."""

    stage: str
    fault: str
    number: int
    seed: int
    status: str = ""
    lasts: list[str] = field(default_factory=list)  # the call and the file at each fault's touch
    kills: int = 0  # in a row
    writing: int = 0  # of them while a file was being written
    error: str = ""
    traceback: str = ""
    touches: int = 0
    damaged: list[str] = field(default_factory=list)  # files that are not whole after the fault
    wrong: list[str] = field(default_factory=list)  # what was lost of what was said to be saved
    ended: str = ""  # how the run after it ended
    differs: list[str] = field(default_factory=list)  # files that are not as without a fault
    left: list[str] = field(default_factory=list)  # parts that nobody removed
    clear: bool = False  # its error named a file of the study and a way out


class Bench:
    """The tiny study at each stage: what it begins with, what it gives, how many touches and seconds it takes."""

    def __init__(self, root: Path, stages: dict[str, Stage] = STAGES) -> None:
        self.root, self.case, self.stages = root, root / "case", stages
        self.told = Told()
        self.given: dict[str, Contents] = {}
        self.unsteady: dict[str, list[str]] = {}  # files that differ between any two runs: they hold the time
        self.touches: dict[str, dict[str, int]] = {}  # stage → of writes, of reads
        shell()

    def prepare(self, wanted: set[str]) -> None:
        """Make what the wanted stages begin with, and run each twice without a fault."""
        write_models(self.root / "models")
        write_study(self.case, self.root / "models")
        self._store("")
        for name, stage in self.stages.items():
            if name in wanted or any(self._leads_to(name, other) for other in wanted):
                self._whole(name, stage)

    def _leads_to(self, name: str, other: str) -> bool:
        after = self.stages[other].after
        return bool(after) and (after == name or self._leads_to(name, after))

    def _whole(self, name: str, stage: Stage) -> None:
        found = []
        for fault in (Fault.COUNT, Fault.BAD_READ):
            self.begin(stage)
            ran = self.run(stage, fault, 0)
            assert ran.status == "done", f"{name}: {ran.error}\n{ran.traceback}"
            self.touches.setdefault(name, {})[fault.name] = ran.touches
            found.append(stage.result(self.case))
        self._store(name)
        self.given[name] = found[0]
        assert found[0].keys() == found[1].keys()
        self.unsteady[name] = sorted(key for key in found[0] if found[0][key] != found[1][key])

    def _store(self, name: str) -> None:
        shutil.rmtree(self.root / "after" / name, ignore_errors=True) if name else None
        shutil.copytree(self.case, self.root / "after" / (name or "nothing"), symlinks=True)

    def begin(self, stage: Stage) -> None:
        """Lay the folder as it is before a stage."""
        shutil.rmtree(self.case, ignore_errors=True)
        shutil.copytree(self.root / "after" / (stage.after or "nothing"), self.case, symlinks=True)

    def run(self, stage: Stage, fault: Fault, touch: int, kill_after: float | None = None) -> Ran:
        """Run a stage on what lies in the folder, with a fault."""
        work = lambda say: stage.work(self.case, say)  # noqa: E731
        return forked(work, lambda: arm(self.case, fault, touch, self.told), self.told, kill_after)

    def chosen(self, case: Case, fault: Fault, parts: int, rng: random.Random) -> int:
        """The touch at which a fault comes: each case has its part of the stage, and later kills the first third.

        A run that goes on where another was killed has less to do.
        """
        count = self.touches[case.stage]["BAD_READ" if fault == Fault.BAD_READ else "COUNT"]
        if case.kills:
            return 1 + int(rng.random() * count / 3)
        return 1 + int((case.number % parts + rng.random()) / parts * count)

    def tried(self, case: Case, parts: int, seconds: float = 0.0) -> Case:
        """The case with what became of it: the fault, or up to `KILLS` kills in a row, then a run to the end.

        A kill at a random moment comes within `seconds`. The touches of the stage are shared by so many `parts`.
        """
        stage, rng = self.stages[case.stage], random.Random(f"{case.stage} {case.fault} {case.number} {case.seed}")
        self.begin(stage)
        for _ in range(KILLS if case.fault.startswith("KILL") else 1):
            if case.fault == AT_RANDOM:
                ran = self.run(stage, Fault.COUNT, 0, rng.uniform(0, seconds))
            else:
                fault = Fault[case.fault]
                ran = self.run(stage, fault, self.chosen(case, fault, parts, rng))
            self._look(stage, case, ran)
            if ran.status != "killed":
                break
        self._finish(stage, case)
        return case

    def _look(self, stage: Stage, case: Case, ran: Ran) -> None:
        """Look at what a fault has left."""
        parts = self.parts()
        case.status, case.error, case.traceback, case.touches = ran.status, ran.error, ran.traceback, ran.touches
        case.lasts.append(ran.last)
        case.clear = str(self.case) in ran.error and any(word in ran.error for word in WAYS_OUT)
        case.kills += ran.status == "killed"
        case.writing += ran.status == "killed" and (ran.writing or bool(parts))
        case.damaged += [why for path in files_in(self.case).values() if (why := broken(path))]
        case.wrong += stage.wrong(self.case, ran.said)
        self._age(parts)

    def _finish(self, stage: Stage, case: Case) -> None:
        """Run the stage again without a fault, and compare."""
        again = self.run(stage, Fault.COUNT, 0)
        case.ended = again.status if again.status == "done" else f"{again.status}: {again.error}"
        found, given = stage.result(self.case), self.given[case.stage]
        keys = {*found, *given} - {*self.unsteady[case.stage]}
        case.differs = sorted(key for key in keys if found.get(key) != given.get(key))
        case.damaged += [f"at the end {why}" for path in files_in(self.case).values() if (why := broken(path))]
        tidies = stage.result is made_in  # a person's deeds are no long work, which begins by removing such parts
        case.left = sorted(p.relative_to(self.case).as_posix() for p in self.parts() if tidies)

    def parts(self) -> list[Path]:
        """What is half written."""
        return [found for pattern in PARTS for found in self.case.rglob(pattern)]

    def _age(self, parts: list[Path]) -> None:
        """Have a person come back later: nobody has written to these parts for long."""
        then = time.time() - LATER
        for part in parts:
            os.utime(part, (then, then))
