"""The studio over a ledger of so many rows: what Python takes to open it and for a key, and what a browser shows.

Printed as one row of JSON; keys in milliseconds, the median and the slowest. Python's part is measured from the message
that a front end sends to the view that answers it, the ledger written and synced to disk. A kernel that has checked the
captions before, as notebook 01 has when it opens the studio, opens it `warm`.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from studio import browsed

from caplora.captions.ledger import Row, write_ledger
from caplora.review.checks import checks_of
from caplora.review.studio import Studio
from caplora.study.study import read_study

COLOURS, HAIR = (
    ["red", "green", "blue", "brown", "black", "white", "yellow", "teal"],
    ["long", "short", "curly", "bob", "bun", "spiky", "braided"],
)
KEYS = {"next (n)": "move", "keep (k)": "keep", "reject (r)": "reject", "undo (u)": "undo", "save a text": "save"}


def write_rows(folder: Path, count: int) -> None:
    """A ledger of so many captions, each another one; the images are one file."""
    picture, rows = folder / "picture.png", []
    Image.new("RGB", (64, 64), "teal").save(picture)
    for i in range(count):
        text = f"a drawing of a woman with {HAIR[i % 7]} {COLOURS[i // 7 % 8]} hair, smiling, in soft light, number {i}"
        (folder / f"{i:05d}.png").hardlink_to(picture)
        rows.append(Row(f"{i:05d}.png", text, text, suggestion=text, source=f"{i:05d}.png"))
    picture.unlink()
    write_ledger(folder, rows)


def milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Of the clock on the wall and of the processor."""
    wall, own = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - own)


def pressed(studio: Studio, do: str) -> tuple[float, float]:
    """Milliseconds of one deed on the image that is shown."""
    name = studio.review.current
    text = studio.review.rows[name].text
    message = {"do": do, "name": name, "value": 1 if do == "move" else "", "seen": text}
    message["text"] = f"{text} and more" if do == "save" else text
    return milliseconds(lambda: studio._received(studio, message, []))


def in_python(folder: Path, presses: int = 20) -> dict[str, object]:
    """Opening, cold and warm, and each key."""
    count = len([*folder.glob("*.png")])
    checks = checks_of(read_study("mini"), {f"{i:05d}.png": 0.3 + i % 17 / 100 for i in range(count)})
    checks.count("a word")
    cold = milliseconds(lambda: Studio(folder, checks))
    warm = milliseconds(lambda: Studio(folder, checks))
    studio = Studio.open_ones[folder.resolve()]
    keys = {key: [pressed(studio, do) for _ in range(presses)] for key, do in KEYS.items()}
    return {
        "open_cold_ms": rounded(*cold),
        "open_warm_ms": rounded(*warm),
        "keys_ms": {key: spread([wall for wall, _ in took]) for key, took in keys.items()},
        "keys_cpu_ms": {key: spread([own for _, own in took]) for key, took in keys.items()},
    }


def rounded(wall: float, own: float) -> dict[str, float]:
    return {"wall": round(wall, 1), "cpu": round(own, 1)}


def spread(values: list[float]) -> dict[str, float]:
    """The median and the largest."""
    return {"median": round(statistics.median(values), 1), "slowest": round(max(values), 1)}


def main() -> None:
    """Print one row."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("rows", type=int)
    top.add_argument("--no-browser", action="store_true")
    asked = top.parse_args()
    with tempfile.TemporaryDirectory() as place:
        write_rows(Path(place), asked.rows)
        row = {"rows": asked.rows, "kernel": in_python(Path(place))}
    if not asked.no_browser:
        opening, keys = browsed(asked.rows, 64)
        row["browser"] = {"open_ms": round(1000 * opening, 1), "keys_ms": {key: spread(v) for key, v in keys.items()}}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
