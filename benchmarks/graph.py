"""Seconds until the graph of a study with very many variants is known: `python benchmarks/graph.py`.

A thousand recipes from three seeds each are a file of variants; Snakemake resolves what is to be done (`-n`), in packs
of so many, and does nothing.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

HERE = Path(__file__).parents[1]
STUDY = {"name": "many", "images": {"folder": "images"}, "sampling": {"development": ["one"], "test": ["two", "three"]}}


def recipes(count: int) -> list[dict[str, object]]:
    """So many variants: ranks, alphas and learning rates."""
    found = [
        {"rank": r, "alpha": a * r, "learning_rate": round(1e-4 * 1.01**i, 9)}
        for i in range(-(-count // 8)) for r in (4, 8, 16, 32) for a in (1, 2)
    ]  # fmt: skip
    return found[:count]


def write_study(folder: Path, count: int, seeds: int) -> None:
    """A study without images, and its variants."""
    (folder / "images").mkdir()
    (folder / "many.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    variants = {"variants": recipes(count), "seeds": list(range(seeds))}
    (folder / "variants.yaml").write_text(yaml.safe_dump(variants), encoding="utf-8")


def resolved(folder: Path, pack: int) -> tuple[float, int]:
    """Seconds and jobs of one look at what is to be done."""
    words = ["--snakefile", str(HERE / "Snakefile"), "--directory", str(folder), "--cores", "2", "-n"]
    words += ["--scheduler", "greedy", "--quiet", "host", "rules"]
    given = [f"study={folder / 'many.yaml'}", f"variants={folder / 'variants.yaml'}", f"pack={pack}"]
    began = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "snakemake", *words, "--config", *given], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        sys.exit(ran.stdout + ran.stderr)
    total = next(line.split()[1] for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("total"))
    return time.perf_counter() - began, int(total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--packs", type=int, nargs="+", default=[3, 10, 30])
    asked = parser.parse_args()
    print("| variants | in a pack | jobs | seconds |\n|---|---|---|---|")
    for pack in asked.packs:
        with tempfile.TemporaryDirectory() as made:
            write_study(Path(made), asked.recipes, asked.seeds)
            seconds, jobs = resolved(Path(made), pack)
        print(f"| {asked.recipes * asked.seeds:,} | {pack} | {jobs:,} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
