"""Memory, time and open files against the number of images, rows and rounds, each measured in a process of its own.

    python benchmarks/resources.py images    # notebook 01's work on 100, 1,000 and 10,000 images (a quarter of an hour)
    python benchmarks/resources.py persons   # faces told apart
    python benchmarks/resources.py studio    # the review of a ledger of 10,000 rows, without and with a browser
    python benchmarks/resources.py loops     # training, sampling, scoring and the studio, again and again
    python benchmarks/resources.py figure    # what is in results/resources.json, drawn

Each writes its rows into results/resources.json, where they take the place of those measured before. Progress is on
standard error. Linux only: memory is read from /proc.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from resources_figure import resources_figure

from caplora.study.files import write_text

HERE = Path(__file__).resolve().parent
FOUND, DRAWN = HERE / "results" / "resources.json", HERE / "results" / "resources.png"
LOOPS = {"training": 120, "sampling": 120, "scoring": 200, "studio": 400}  # rounds


def row_of(script: str, *words: object) -> dict[str, Any]:
    """The row that a script of this folder prints, from a process of its own."""
    command = [sys.executable, str(HERE / script), *map(str, words)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent)
    return json.loads(ran.stdout.splitlines()[-1])


def images_of(count: int, yunet: Path | None) -> dict[str, Any]:
    """So many images through notebook 01, in a folder that is removed again."""
    with tempfile.TemporaryDirectory() as place:
        return row_of("resources_images.py", count, place, *(("--yunet", yunet) if yunet else ()))


def keep(part: str, row: dict[str, Any], key: str) -> None:
    """Put a row among those of a part, in the place of one that is the same by `key`; and say what it ran on."""
    everything = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.is_file() else {}
    row |= {"commit": commit(), "python": platform.python_version(), "torch": str(torch.__version__)}
    rows = [old for old in everything.get(part, []) if old[key] != row[key]] + [row]
    everything[part] = sorted(rows, key=lambda row: row[key])
    FOUND.parent.mkdir(exist_ok=True)
    write_text(FOUND, json.dumps(everything, indent=1) + "\n")
    print(part, {name: value for name, value in row.items() if name not in ("points", "parts")}, flush=True)


def commit() -> str:
    """The commit that is measured."""
    words = ("git", "-C", str(HERE), "rev-parse", "--short", "HEAD")
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    """Measure a part and keep its rows, or draw all of them."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = top.add_subparsers(dest="part", required=True)
    images = parts.add_parser("images")
    images.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    images.add_argument("--yunet", type=Path, help="look for faces by this file: face_detection_yunet_2023mar.onnx")
    persons = parts.add_parser("persons")
    persons.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    studio = parts.add_parser("studio")
    studio.add_argument("--rows", type=int, nargs="+", default=[100, 1000, 10_000])
    studio.add_argument("--no-browser", action="store_true")
    loops = parts.add_parser("loops")
    loops.add_argument("--only", choices=LOOPS, nargs="+", default=[*LOOPS])
    loops.add_argument("--rounds", type=int, help="of each, instead of " + ", ".join(map(str, LOOPS.values())))
    parts.add_parser("figure")
    asked = top.parse_args()
    if asked.part == "images":
        for size in asked.sizes:
            keep("images with faces" if asked.yunet else "images", images_of(size, asked.yunet), "images")
    elif asked.part == "persons":
        for size in asked.sizes:
            keep("persons", row_of("resources_images.py", size, ".", "--persons"), "faces")
    elif asked.part == "studio":
        for rows in asked.rows:
            flags = ["--no-browser"] if asked.no_browser else []
            keep("studio", row_of("resources_studio.py", rows, *flags), "rows")
    elif asked.part == "loops":
        for name in asked.only:
            keep("loops", row_of("resources_loops.py", name, asked.rounds or LOOPS[name]), "loop")
    DRAWN.write_bytes(resources_figure(json.loads(FOUND.read_text(encoding="utf-8"))).png())


if __name__ == "__main__":
    main()
