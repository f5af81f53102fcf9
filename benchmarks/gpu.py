"""Everything that wants a card, measured in eight minutes: one command, no network, random weights made in memory.

    python benchmarks/gpu.py                      # on an H100 or H200; writes benchmarks/gpu.json and gpu.md
    python benchmarks/gpu.py --tiny --out /tmp    # the same with tiny models on a CPU: a dry run

Sections in the order of their worth, each with a share of the time; what one does not use goes to the next, what does
not fit is left out and says so. Each row is in gpu.json as soon as it is measured, so that a run that is cut off keeps
what it has. A process of its own measures; if it hangs or its card fails, another goes on. What is compiled comes after
(c), for compiling takes minutes: three processes compile at once and then measure by turns.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from gpu_book import Book
from gpu_process import Process

HERE = Path(__file__).parent
SHARES = {"a": 65, "b": 110, "c": 85, "compiled": 130, "d": 40, "e": 20, "f": 50}  # of the time, in the order of worth
COMPILED = ("compiled one", "compiled pack", "compiled diffusers")
TURNS = 20  # seconds that are left for the compiled ones to measure
GRACE = 15  # seconds that a row may go on beyond the limit of its section


class Session:
    """One measurement of everything, section by section."""

    def __init__(self, book: Book, tiny: bool, minutes: float, worker: Path = HERE / "gpu_worker.py") -> None:
        self.book, self.tiny, self.script = book, tiny, worker
        self.began, self.seconds = time.monotonic(), 60 * minutes - GRACE
        self.worker = self.process()
        self.counting = self.worker if tiny else self.process(card=False)
        self.compilers = {name: self.worker if tiny else self.process() for name in COMPILED}

    def process(self, card: bool = True) -> Process:
        """A worker that loads its libraries; `card`: whether it sees one."""
        return Process(self.script, self.tiny, self.book.log, card)

    def run(self, names: Sequence[str]) -> None:
        """Measure the sections, each in its share of the time that is left; the forecasts are counted meanwhile."""
        end = self.began + self.seconds
        self.counting.order("forecast", self.seconds)
        if self.tiny:
            self.listen(self.counting, "forecast", end)
        self.measure("machine", end)
        for number, name in enumerate(names):
            left = end - time.monotonic()
            until = time.monotonic() + left * SHARES[name] / sum(SHARES[other] for other in names[number:])
            if name == "compiled":
                self.compile(until)
            else:
                self.measure(name, until)
        if not self.tiny:
            self.listen(self.counting, "forecast", end)
        for process in (self.worker, self.counting, *self.compilers.values()):
            process.end()

    def measure(self, name: str, until: float) -> None:
        """A section; where its process ends, another goes on behind the row that it ended at."""
        done = 0
        if self.worker.process.poll() is not None:  # it died after its last section
            self.worker = self.process()
        while time.monotonic() < until:
            self.worker.order(name, until - time.monotonic(), done)
            rows, how = self.listen(self.worker, name, until + GRACE)
            if how == "finished":
                return
            done += rows
            if how == "died" and not self.worker.gave_up():
                done += 1
                self.book.add({"section": name, "row": f"row {done}", "error": "its process died: see gpu.log"})
            self.worker.end()
            self.worker = self.process()
        self.book.add({"section": name, "row": "the rest", "skipped": "no time left"})

    def listen(self, process: Process, name: str, until: float) -> tuple[int, str]:
        """Keep the rows that a process gives of a section; how many, and how that went on.

        `finished`, `ready` to measure, `late` or `died`.
        """
        rows = 0
        while (answer := process.answer(until)) is not None:
            if answer.get("late"):
                return rows, "late"
            if answer["section"] == name and "row" in answer:
                self.book.add(answer)
                rows += 1
            elif answer["section"] == name:
                return rows, "ready" if "ready" in answer else "finished"
        return rows, "died"

    def compile(self, until: float) -> None:
        """What compiling gives: all compile at once, and measure one after another."""
        for names in [[name] for name in COMPILED] if self.tiny else [COMPILED]:
            for name in names:
                self.compilers[name].order(name, self.seconds)
            went = {name: self.listen(self.compilers[name], name, until - TURNS)[1] for name in names}
            for name, how in went.items():
                if how == "ready":
                    self.compilers[name].tell("measure")
                    how = self.listen(self.compilers[name], name, until + GRACE)[1]
                if how != "finished":
                    self.book.add({"section": name, "row": "batch 1", "skipped": f"not compiled in time ({how})"})
                if not self.tiny:
                    self.compilers[name].end()


def main() -> None:
    """Measure, and print the tables."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--minutes", type=float, default=8)
    top.add_argument("--only", nargs="+", choices=list(SHARES), default=list(SHARES), help="sections")
    top.add_argument("--out", type=Path, default=HERE, help="the folder of gpu.json, gpu.md and gpu.log")
    top.add_argument("--tiny", action="store_true", help="tiny models: a dry run of minutes, not a measurement")
    given = top.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    book = Book(given.out)
    Session(book, given.tiny, given.minutes).run([name for name in SHARES if name in given.only])
    book.close()
    print(f"\n{book.markdown.read_text(encoding='utf-8')}")


if __name__ == "__main__":
    main()
