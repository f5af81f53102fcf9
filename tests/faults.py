"""What can go wrong, what must happen then, and the tests that try it: `python -m tests.faults` makes the table.

A test that injects a fault is marked with its number, `@pytest.mark.fault(17)`. The command runs the marked tests alone
and writes benchmarks/faults.md; it fails unless every fault has a test that passed and none that failed.
"""

import ast
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TABLE = TESTS.parent / "benchmarks" / "faults.md"
WORKERS = "2"


@dataclass(frozen=True)
class Fault:
    """A fault and what must happen when it comes."""

    fault: str
    required: str


FAULTS = {
    1: Fault("a loss becomes NaN or infinite", "the variant stops and keeps its last finite weights"),
    2: Fault("the base model is in 16 bit", "LoRA is trained and kept in fp32 all the same"),
    3: Fault("a T4 says that it can do bf16, by emulation", "fp16 below compute capability 8.0"),
    4: Fault("the VAE gives black or NaN pictures", "it computes in fp32; such a picture is flagged and never scored"),
    5: Fault("image files are cut off", "all are named before any work is done"),
    6: Fault("a photograph is stored turned", "it comes out upright, in each of the eight ways"),
    7: Fault("an image is transparent", "it lies on the colour that the study says"),
    8: Fault("an image is CMYK, has 16 bit or a colour profile", "it becomes 8-bit sRGB, or an error"),
    9: Fault("a small file claims hundreds of megapixels", "it is refused by its size before it is decoded"),
    10: Fault(
        "two images have one name or the same content, or are in training and evaluation",
        "refused by name; a leak is an error",
    ),
    11: Fault("a text is longer than the 77 tokens that CLIP reads", "what is lost is shown; the end token stays"),
    12: Fault("a caption is empty", "an error, unless the study overrules it"),
    13: Fault("captions.json and metadata.csv name other images", "what only one side has is listed, both ways"),
    14: Fault("a table has a BOM, commas, line breaks or another encoding", "read as it was meant, in any locale"),
    15: Fault("a Korean file name is decomposed, as a Mac writes it", "names are matched in their composed form"),
    16: Fault("an image changes after its latents were kept", "they are made anew: the key is of pixels and model"),
    17: Fault("the disk is full", "said before training begins; the last checkpoint survives"),
    18: Fault("a process is killed while it saves", "what is there is whole, and known by its hash"),
    19: Fault("only one checkpoint is kept and the new one fails", "the old one goes after the new one is whole"),
    20: Fault("a training is interrupted and goes on", "its files are those of one never interrupted, to the byte"),
    21: Fault(
        "a training goes on with other settings, images or base", "refused with what differs, unless it is a fork"
    ),
    22: Fault("two processes write one folder", "the second is refused; a dead process holds nothing"),
    23: Fault("Colab takes its machine back", "the step is kept when asked to stop, and in between"),
    24: Fault("cells or notebooks run again, or out of order", "nothing is done twice and nothing changes"),
    25: Fault("a download is cut off, or there is no network", "a pinned revision and hash; a part is never used"),
    26: Fault("the alpha of an adapter is lost", "it is in the file, and diffusers draws with it"),
    27: Fault("the memory of the card runs out", "the setting to change is named, and no setting changes by itself"),
    28: Fault("a file of weights is a pickle with code in it", "it never runs; what is kept is safetensors"),
    29: Fault("a model brings code of its own", "it never runs, and versions in which it could are refused"),
    30: Fault("a caption is HTML with a script", "it is text wherever it is shown"),
    31: Fault("a file name leads out of the folder", "refused: it must lie inside"),
    32: Fault("a YAML file has tags of Python or keys that are not known", "an error that names file and key"),
    33: Fault("weights of CLIP were trained with another activation", "an error that names the right model"),
    34: Fault("one variant of a sweep fails", "it is shown as missing and averaged into nothing"),
}


def numbers_of(test: ast.FunctionDef) -> list[int]:
    """The faults that a test is marked with."""
    calls = [d for d in test.decorator_list if isinstance(d, ast.Call)]
    return [ast.literal_eval(a) for d in calls if ast.unparse(d.func) == "pytest.mark.fault" for a in d.args]


def marked(tests: Path = TESTS) -> dict[str, list[int]]:
    """Test, as pytest names it from the project's folder → the faults that it injects."""
    found = {}
    for path in sorted(tests.rglob("test_*.py")):
        name = path.relative_to(tests.parent).as_posix()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (numbers := numbers_of(node)):
                found[f"{name}::{node.name}"] = numbers
    return found


class Results:
    """What became of each test: how often it passed, failed or was skipped, over its parameters."""

    def __init__(self) -> None:
        self.of: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once it ran, or where it did not come so far."""
        if report.when == "call" or report.outcome != "passed":
            self.of.setdefault(report.nodeid.split("[")[0], Counter())[report.outcome] += 1


def ran(tests: Iterable[str]) -> dict[str, Counter[str]]:
    """Run tests, on two processes; test → how often it passed, failed and was skipped."""
    os.environ["OMP_NUM_THREADS"] = "1"
    results = Results()
    options = ["-m", "fault", "--long", "-q", "-n", WORKERS, "--dist", "loadscope", "--no-loadscope-reorder"]
    pytest.main([*options, *sorted({test.split("::")[0] for test in tests})], plugins=[results])
    return results.of


def result_of(tests: Sequence[str], results: Mapping[str, Counter[str]]) -> str:
    """How a fault came out: `passed`, `failed` or `not run`."""
    found = sum((results.get(test, Counter()) for test in tests), Counter[str]())
    silent = any(not results.get(test, Counter())["passed"] for test in tests)
    return "failed" if found["failed"] else "not run" if silent or not tests else "passed"


def table_of(tests: Mapping[str, Sequence[int]], results: Mapping[str, Counter[str]]) -> str:
    """The table in Markdown: each fault, what must happen, its tests and how they came out."""
    lines = ["| # | fault | must happen | tests | result |", "|---|---|---|---|---|"]
    passed = 0
    for number, fault in FAULTS.items():
        own = [test for test, numbers in tests.items() if number in numbers]
        result = result_of(own, results)
        passed += result == "passed"
        cells = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in own)
        lines.append(f"| {number} | {fault.fault} | {fault.required} | {cells} | {result} |")
    cases = sum(counts["passed"] for counts in results.values())
    head = f"{passed} of {len(FAULTS)} faults are handled as they must be: {len(tests)} tests, {cases} cases passed."
    return "\n".join(["# Faults", "", f"{head} Made by `make faults`, which runs these tests.", "", *lines, ""])


def main() -> int:
    """Run the marked tests and write the table; 0 if every fault passed."""
    tests = marked()
    table = table_of(tests, ran(tests))
    TABLE.write_text(table, encoding="utf-8")
    done = f"{len(FAULTS)} of {len(FAULTS)} faults" in table
    print(f"{TABLE.relative_to(TESTS.parent)}: {table.splitlines()[2]}")  # noqa: T201
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
