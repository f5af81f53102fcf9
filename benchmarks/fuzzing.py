"""Bad input, at random and guided by coverage: `make fuzz`, or `python -m benchmarks.fuzzing [PARSER …] [--cases N]`.

Each parser of tests/fuzzing/parsers.py gets its cases from atheris (libFuzzer), which keeps inputs that reach new code
of caplora and changes them further, by bytes and by the parser's own mutations. What must never happen is said in
tests/fuzzing/oracle.py. A fault does not end the run: its input is put into tests/fuzzing/corpus/PARSER, which the
suite tries again, and it is counted in benchmarks/results/fuzzing.json. Parsers not named keep the row they have.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from random import Random

PROJECT = Path(__file__).parents[1]
RESULTS = PROJECT / "benchmarks" / "results" / "fuzzing.json"
CORPUS = PROJECT / "tests" / "fuzzing" / "corpus"
OWN_MUTATIONS = 0.65  # the share of mutations that are the parser's; the others are libFuzzer's
EVERY = 200  # cases after which the tally is written
STOPPED = 72  # what libFuzzer ends with where it is interrupted
COVERED = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")


class Tally:
    """What became of the cases of a parser, written as it goes: libFuzzer ends a process without asking it."""

    def __init__(self, path: Path, parser: str) -> None:
        self.path, self.parser = path, parser
        self.cases, self.kinds, self.faults = 0, Counter[str](), dict[str, str]()
        self.began, self.slowest = time.monotonic(), 0.0

    def take(self, data: bytes, outcome) -> None:
        """Count a case, and keep the first input of each fault."""
        self.cases += 1
        self.kinds[outcome.kind] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        if outcome.kind == "fault" and outcome.place not in self.faults:
            self.faults[outcome.place] = outcome.said[:300]
            folder = CORPUS / self.parser
            folder.mkdir(parents=True, exist_ok=True)
            (folder / sha256(data).hexdigest()[:12]).write_bytes(data)
        if self.cases == 1 or self.cases % EVERY == 0:
            self.write()

    def write(self) -> None:
        """Write the tally, whole or not at all."""
        from tests.fuzzing.oracle import held

        said = {
            "cases": self.cases, "accepted": self.kinds["accepted"], "refused": self.kinds["refused"],
            "faults": self.kinds["fault"], "kinds_of_faults": self.faults,
            "seconds": round(time.monotonic() - self.began, 1), "slowest_case_seconds": round(self.slowest, 3),
            "peak_memory_mb": round(held() / 1e6),
        }  # fmt: skip
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(said), encoding="utf-8")
        part.replace(self.path)


def fuzz(name: str, folder: Path, cases: int, seconds: int, seed: int) -> None:
    """Try cases of one parser until there are so many or the time is over; it never returns."""
    import atheris

    with atheris.instrument_imports(include=["caplora"]):
        from tests.fuzzing.oracle import tried
        from tests.fuzzing.parsers import PARSERS

        parser = PARSERS[name]
        parser.ready(folder / "study")
    tally, begin = Tally(folder / "tally.json", name), folder / "begin"
    begin.mkdir()
    for i, valid in enumerate(parser.seeds()):
        (begin / f"{i:03}").write_bytes(valid)

    def try_one(data: bytes) -> None:
        tally.take(data, tried(lambda: parser.run(folder / "study", data), parser.ours, parser.names, folder / "study"))

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = Random(seed)
        if rng.random() > OWN_MUTATIONS:
            return atheris.Mutate(data, most)
        for _ in range(rng.choice([1, 1, 2, 4])):
            data = parser.mutate(data, rng)
        return data[:most]

    earlier = [str(own)] if (own := CORPUS / name).is_dir() else []
    options = [
        f"-runs={cases}",
        f"-max_total_time={seconds}",
        f"-max_len={parser.longest}",
        f"-seed={seed}",
        "-timeout=100",
    ]
    options += [f"-artifact_prefix={folder}/", "-rss_limit_mb=0", "-malloc_limit_mb=0", "-len_control=0", "-reload=0"]
    kept = folder / "kept"
    kept.mkdir()
    atheris.Setup([sys.argv[0], str(kept), str(begin), *earlier, *options], try_one, custom_mutator=mutate)
    atheris.Fuzz()


def row_of(name: str, cases: int, seconds: int) -> dict[str, object]:
    """What became of the cases of one parser, in processes of its own: where one dies, another goes on."""
    rows: list[dict] = []
    while (left := cases - sum(row["cases"] for row in rows)) > 0 and len(rows) < 20:
        spent = sum(row["seconds"] for row in rows)
        if seconds and spent > seconds - 5:
            break
        rows.append(_run(name, left, max(1, int(seconds - spent)) if seconds else 0, len(rows) + 1))
    summed = ("cases", "accepted", "refused", "faults", "seconds", "deaths")
    most = ("slowest_case_seconds", "peak_memory_mb", "edges", "features", "inputs_kept")
    kinds = {place: said for row in rows for place, said in row["kinds_of_faults"].items()}
    return (
        {key: round(sum(row[key] for row in rows), 1) for key in summed}
        | {key: max(row[key] for row in rows) for key in most}
        | {"kinds_of_faults": kinds}
    )


def _run(name: str, cases: int, seconds: int, seed: int) -> dict:
    """The tally of one process; its death is a fault where the input that it died of kills another."""
    shm = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="fuzz_", dir=shm if shm.is_dir() else None))
    (folder / "study").mkdir()
    command = [sys.executable, "-m", "benchmarks.fuzzing", name, "--cases", str(cases), "--seconds", str(seconds)]
    heard = folder / "heard"
    try:
        with heard.open("wb") as file:
            environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
            own = ["--folder", str(folder), "--seed", str(seed)]
            ran = subprocess.run([*command, *own], cwd=PROJECT, stdout=file, stderr=file, env=environment, check=False)
        words = heard.read_text(encoding="utf-8", errors="replace")
        if not (folder / "tally.json").is_file():
            sys.stderr.write(words[-3000:])
            raise SystemExit(f"{name}: the process ended with {ran.returncode}")
        said = json.loads((folder / "tally.json").read_text(encoding="utf-8")) | {
            "deaths": int(ran.returncode not in (0, STOPPED))
        }
        for lethal in folder.glob("crash-*"):
            sys.stderr.write(f"{name} died with {ran.returncode} of {lethal.name}\n{words[-3000:]}\n")
            shutil.copy(lethal, PROJECT / f"died-{name}-{lethal.name[6:18]}")
        reached = COVERED.findall(words)
        edges, features, kept = map(int, reached[-1]) if reached else (0, 0, 0)
        return said | {"edges": edges, "features": features, "inputs_kept": kept}
    finally:
        shutil.rmtree(folder)


def commit() -> str:
    """The commit that was tried."""
    told = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=PROJECT, capture_output=True, text=True)
    return told.stdout.strip()


def main() -> int:
    """Try the parsers named, or all; 1 where there was a fault."""
    about = argparse.ArgumentParser(description=__doc__)
    about.add_argument("parsers", nargs="*", help="names of tests/fuzzing/parsers.py; none: all")
    about.add_argument("--cases", type=int, default=100_000, help="of each parser")
    about.add_argument("--seconds", type=int, default=0, help="for each parser at most; 0: until all cases are tried")
    about.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # of the process that tries one parser
    about.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    asked = about.parse_args()
    if asked.folder:
        fuzz(asked.parsers[0], asked.folder, asked.cases, asked.seconds, asked.seed)
    from caplora import __version__
    from tests.fuzzing.parsers import PARSERS

    versions = {name: version(name) for name in ("atheris", "torch", "pillow", "safetensors", "PyYAML")}
    versions |= {"caplora": __version__}
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {"parsers": {}}
    for name in asked.parsers or PARSERS:
        row = row_of(name, asked.cases, asked.seconds) | {"commit": commit()}
        known = {"python": platform.python_version(), "versions": versions, "parsers": known["parsers"] | {name: row}}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        print(
            f"{name}: {row['cases']:,} cases in {row['seconds']:.0f} s, {row['edges']:,} edges, {row['faults']} faults"
        )
    return int(any(row["faults"] for row in known["parsers"].values()))


if __name__ == "__main__":
    sys.exit(main())
