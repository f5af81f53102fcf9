"""A tiny study whose graph takes two minutes, and Snakemake that runs it here or through the Slurm profile."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import yaml

from caplora.jobs import Record, pack_name, read_records
from caplora.study import PROJECT, Study, read_study, read_variants
from tests.slurm.cluster import Cluster

T = TypeVar("T")
MINI = PROJECT / "caplora" / "mini"
PATIENCE = 600  # seconds
RANKS = (1, 2, 3)  # each with two alphas, which are a pack
STEPS = 30
STUDY = f"""
name: tiny
images: {{folder: images, resolution: 128, smallest: 96, photographs: false, held_out: 0.3}}
base: {{path: {MINI}/models/stable_diffusion}}
captioning:
  model: {{path: {MINI}/models/blip}}
  subject: an ink drawing of a woman
  overrule: [reviewed, consent]
training:
  steps: {STEPS}
  batch_size: 2
  learning_rate: 1.0e-3
  checkpointing_steps: 3
  validation_steps: 15
  targets: qv_cross
  finalist_seeds: 0
sampling:
  development: [an ink drawing of a woman with long red hair, an ink drawing of a woman]
  test: [an ink drawing of a woman by the sea, an ink drawing of a woman in a park, an ink drawing of a woman in a city]
  num_inference_steps: 2
  seeds: [0, 1]
  scales: []
  finalists: 1
scoring:
  clips: [{{name: "local-dir:{MINI}/models/clip_a"}}]
  identity: {{path: {MINI}/models/identity}}
"""
WITHOUT_GPUS = ("--default-resources", "gpu=0", "mem_mb=2000", "runtime=20")
QUICK = ("--slurm-init-seconds-before-status-checks", "3", "--slurm-keep-successful-logs")


def write_study(folder: Path) -> Study:
    """The study in a project of its own, with eight portraits and variants in three packs."""
    (folder / "params" / "studies").mkdir(parents=True)
    (folder / "params" / "studies" / "tiny.yaml").write_text(STUDY, encoding="utf-8")
    variants = [{"rank": rank, "alpha": alpha} for rank in RANKS for alpha in (rank, 2 * rank)]
    (folder / "variants.yaml").write_text(yaml.safe_dump({"variants": variants}), encoding="utf-8")
    (folder / "images").mkdir()
    for portrait in sorted(MINI.glob("portraits/*.png"))[:8]:
        shutil.copy(portrait, folder / "images")
    return study_in(folder)


def study_in(folder: Path) -> Study:
    """The study of such a project."""
    return read_study(str(folder / "params" / "studies" / "tiny.yaml"))


def begin(
    folder: Path, slurm: Cluster | None = None, *words: str, config: Sequence[str] = (), log: str = "said.log"
) -> subprocess.Popen[str]:
    """A Snakemake that makes the study: on this machine's two cores, or through the profile on a cluster without GPUs.

    `words` and `config` are added to its call and to its `--config`; what it says goes to `log`.
    """
    place = ["--snakefile", str(PROJECT / "Snakefile"), "--directory", str(folder)]
    here = ["--cores", "2", "--rerun-incomplete", "--scheduler", "greedy"]
    if slurm:
        here = ["--profile", str(PROJECT / "params" / "profiles" / "slurm"), *WITHOUT_GPUS, *QUICK]
    given = ["--config", f"study={folder}/params/studies/tiny.yaml", f"variants={folder}/variants.yaml"]
    command = [sys.executable, "-m", "snakemake", *words, *place, *here, *given, "pack=2", "threads=1", *config]
    with open(folder / log, "w", encoding="utf-8") as said:
        env = (slurm.env if slurm else os.environ) | {"PYTHONPATH": str(PROJECT)}
        return subprocess.Popen(command, env=env, cwd=folder, text=True, stdout=said, stderr=subprocess.STDOUT)


def finish(run: subprocess.Popen[str], folder: Path) -> str:
    """What a Snakemake says that comes to its end without an error."""
    ended, said = run.wait(timeout=PATIENCE), (folder / "said.log").read_text(encoding="utf-8")
    assert ended == 0, said[-3000:]
    return said


def wait_until(find: Callable[[], T]) -> T:
    """What is found, once something is."""
    end = time.monotonic() + PATIENCE
    while not (found := find()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def half_way(study: Study, run: subprocess.Popen[str]) -> Record:
    """The record of a job that is half way through its training, once there is one."""
    found = wait_until(lambda: half_trained(study) or run.poll() is not None)
    assert isinstance(found, Record), "Snakemake has ended, and nothing was half trained"
    return found


def first_pack(study: Study) -> str:
    """What Snakemake is asked for where the first pack is to be trained and nothing more."""
    variants = read_variants(str(study.run.parents[1] / "variants.yaml"))
    return str(study.run / "jobs" / f"02_train_lora_{pack_name(variants[:2])}.made")


def trainings(study: Study) -> list[Record]:
    """The records of the jobs that train."""
    return [record for record in read_records(study) if record.job.startswith("02")]


def half_trained(study: Study) -> Record | None:
    """The record of a job that has written the checkpoint of a step (0 is none) and no adapter yet."""
    for record in trainings(study):
        folders = [study.run / "adapters" / name for name in record.variants]
        begun = all(list(folder.glob("checkpoints/step_*[1-9]*")) for folder in folders)
        if record.state == "running" and begun and not any((f / "settings.json").is_file() for f in folders):
            return record
    return None


def steps_trained(record: Record) -> int:
    """How many steps a job had to train, as its executed notebook says; 0 where everything was trained."""
    cells = json.loads(Path(record.notebook).read_text(encoding="utf-8"))["cells"]
    said = "".join("".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", []))
    left = re.findall(r"training takes about .*?: (\d+) steps", said)
    assert left or "everything is trained" in said, said
    return int(left[0]) if left else 0


def adapters(study: Study) -> dict[str, bytes]:
    """Every adapter's two files, byte for byte."""
    files = sorted((study.run / "adapters").glob("*/*.safetensors"))
    return {str(file.relative_to(study.run)): file.read_bytes() for file in files}
