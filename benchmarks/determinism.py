"""What comes out bit for bit, and how far apart the rest is: `python benchmarks/determinism.py` (about ten minutes).

A small study of the miniature models (three variants, 60 steps of four portraits; four prompts × two seeds; two CLIPs)
is run once as a reference, with one thread, and then in other ways, each in a process of its own. Adapters are compared
by ‖ΔW − ΔW′‖ / ‖ΔW‖, samples by pixels, scores by their largest difference. A way that only draws or scores otherwise
takes the adapters (and samples) of the reference. What is done is kept in `--folder`: the same command goes on.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import caplora
from caplora.study import PROJECT, counted
from caplora.verifying import adapters_apart, tables_apart

WORKER = Path(__file__).with_name("determinism_worker.py")
RESULT = Path(__file__).parent / "results" / "determinism.json"
LAUNCH = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no"
LAUNCH += " --dynamo_backend no --main_process_port 0"
TAKE, SAMPLES = ["--take", "reference"], ["--take", "reference", "--samples"]
WAYS: dict[
    str, list[list[str]]
] = {  # way → the flags of its processes, one after another; 2T: two threads, 2P: processes
    "the same again": [[]],
    "stopped after step 17 and gone on": [["--stop", "17"], []],
    "with gradient checkpointing": [["--checkpointing"]],
    "each variant alone": [["--pack", "1"]],
    "two variants together, one alone": [["--pack", "2"]],
    "one image of a variant at once": [["--at-once", "1"]],
    "two micro-batches of two": [["--micro", "2"]],
    "two processes": [["2P"]],
    "two threads": [["2T"]],
    "drawn four at a time": [[*TAKE, "--drawn", "4"]],
    "drawn one by one": [[*TAKE, "--drawn", "1"]],
    "drawn by two threads": [[*TAKE, "2T"]],
    "scored one by one": [[*SAMPLES, "--scored", "1"]],
    "scored by two threads": [[*SAMPLES, "2T"]],
}


def run(folder: Path, flags: list[str], steps: int) -> None:
    """One process of a way, or two; it ends this command where it fails."""
    threads, launch = ("2" if "2T" in flags else "1"), (LAUNCH.split() if "2P" in flags else [])
    given = [str(folder.parent / flag) if flag == "reference" else flag for flag in flags if flag not in ("2T", "2P")]
    words = [sys.executable, *launch, str(WORKER), str(folder), "--steps", str(steps), *given]
    env = os.environ | {"OMP_NUM_THREADS": threads, "PYTHONPATH": str(PROJECT), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(ran.stdout + ran.stderr)


def run_way(folder: Path, processes: list[list[str]], steps: int) -> None:
    """All of a way, unless it was done before."""
    if (folder / "done").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    for flags in processes:
        run(folder, flags, steps)
    (folder / "done").touch()


def pixels_apart(one: Path, other: Path) -> tuple[float, int]:
    """Mean and largest difference of two pictures, in levels of 255."""
    a, b = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (one, other))
    return float(np.abs(a - b).mean()), int(np.abs(a - b).max())


def row_of(way: str, one: Path, other: Path, taken: tuple[str, ...]) -> dict[str, object]:
    """How far a way is from the reference; None for what it has taken from there."""
    pairs = {
        suffix: [(path, other / path.relative_to(one)) for path in sorted(one.glob(f"runs/small/{where}/*/*{suffix}"))]
        for where, suffix in {"adapters": ".safetensors", "samples": ".png"}.items()
    }
    weights = [adapters_apart(*pair) for pair in pairs[".safetensors"]]
    same = sum(a.read_bytes() == b.read_bytes() for a, b in pairs[".safetensors"])
    pixels = [pixels_apart(*pair) for pair in pairs[".png"]]
    adapters = {"files": len(weights), "identical": same, "largest_relative_norm": max(weights)}
    samples = {
        "pictures": len(pixels),
        "identical": sum(not largest for _, largest in pixels),
        "largest_mean_level": max(mean for mean, _ in pixels),
        "largest_level": max(largest for _, largest in pixels),
    }
    scores = {"largest_difference": tables_apart(*(path / "runs/small/scores.csv" for path in (one, other)))}
    own = {"adapters": adapters, "samples": samples, "scores": scores}
    return {"way": way, **{kind: None if kind in taken else found for kind, found in own.items()}}


def taken_by(processes: list[list[str]]) -> tuple[str, ...]:
    """What a way takes from the reference."""
    flags = processes[-1]
    return ("adapters", "samples") if "--samples" in flags else ("adapters",) if "--take" in flags else ()


def commit() -> str:
    """The commit that was measured, with a plus where files were changed since."""
    said = [["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no", "caplora"]]
    head, dirty = (subprocess.run(["git", *w], cwd=PROJECT, capture_output=True, text=True, check=False) for w in said)
    return head.stdout.strip() + "+" * bool(dirty.stdout.strip())


def table(rows: list[dict]) -> str:
    """The rows for a page."""
    lines = ["| way | adapters | samples | scores |", "|---|---|---|---|"]
    for row in rows:
        a, s, c = row["adapters"], row["samples"], row["scores"]
        cells = [
            "the reference’s" if a is None else "identical" if a["identical"] == a["files"]
            else f"‖ΔW − ΔW′‖ / ‖ΔW‖ up to {a['largest_relative_norm']:.1g}",
            "the reference’s" if s is None else "identical" if s["identical"] == s["pictures"]
            else f"{s['identical']} of {s['pictures']} identical; a picture’s mean up to {s['largest_mean_level']:.2g}"
            f" of 255, a pixel up to {s['largest_level']}",
            "identical" if not c["largest_difference"] else f"up to {c['largest_difference']:.1g}",
        ]  # fmt: skip
        lines.append(f"| {row['way']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "caplora_determinism")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY", help="some only")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    folder, rows = asked.folder.resolve(), []
    run_way(folder / "reference", [[]], asked.steps)
    for number, way in enumerate(asked.ways, 1):
        own = folder / way.replace(" ", "_").replace(",", "")
        run_way(own, WAYS[way], asked.steps)
        rows.append(row_of(way, folder / "reference", own, taken_by(WAYS[way])))
        print(f"{number} of {counted(len(asked.ways), 'way')}: {json.dumps(rows[-1])}", flush=True)
        versions = {"python": platform.python_version(), "torch": torch.__version__, "caplora": caplora.__version__}
        processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
        facts = {"steps": asked.steps, "processor": processor, "versions": versions, "commit": commit()}
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(facts | {"rows": rows}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
