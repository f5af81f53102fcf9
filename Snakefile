"""The five steps of a study by the files that they make; each job is one notebook, run by papermill.

    snakemake --cores all --config study=mini variants=grid

Running it again does nothing, and after a failure only the rest runs. The executed notebook of a step is its log,
so a failed one stays readable in runs/<study>/. A step runs again when the settings it reads, the code of its
notebook or the files before it have changed; what a person decided in the ledger is never an output, because
Snakemake deletes the outputs of a job before it runs and after it fails.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

from caplora.study import BASELINE, PROJECT, read_study, read_variants

unknown = sorted(set(config) - {"study", "variants", "redraw"})
if unknown:
    raise WorkflowError(f"--config takes study=NAME, variants=NAME and redraw=True, got {', '.join(unknown)}")

STUDY = str(config.get("study", "mini"))
VARIANTS = str(config.get("variants", "grid"))
REDRAW = bool(config.get("redraw", False))  # samples drawn with other settings than the study has by now may go
study = read_study(STUDY)
variants = read_variants(VARIANTS)
arms = [BASELINE, *(v.name for v in variants)]
ledger = study.dataset / "metadata.csv"
judges = [*(clip.name.removeprefix("local-dir:") for clip in study.scoring.clips), study.scoring.identity.path]
judges += [study.scoring.judge.path] if study.scoring.judge else []

# tqdm.auto draws its bars as text, not as widgets, in a kernel that seems to be Spyder's; --stderr-file shows them here.
os.environ["SPYDER_BARS_ARE_TEXT"] = "1"
os.environ.setdefault("TQDM_MININTERVAL", "1")  # seconds

PYTHON = sys.executable
PAPERMILL = "{PYTHON:q} -m papermill {params.notebook:q} {log:q} --start-timeout 300 --stderr-file - -r study {STUDY:q}"


def digest(*texts):
    """Twelve characters that change when a text changes."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def settings(*parts):
    """The parts of the study that a step reads, as text: a step runs again when they change."""
    return study.model_dump_json(include=set(parts))


def code(notebook):
    """The digest of a notebook's code: outputs, prose and the parameters cell may change without a rerun."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]  # nbformat takes a second to import
    cells = [c for c in cells if c["cell_type"] == "code" and "parameters" not in c["metadata"].get("tags", [])]
    return digest(*("".join(c["source"]) for c in cells))


def models(*models):
    """The digest of those models that are folders: a model made anew is another model."""
    folders = [study.path(model) for model in models if study.path(model).is_dir()]
    files = sorted(p for folder in folders for p in folder.rglob("*") if p.is_file())
    return digest(*(hashlib.sha256(p.read_bytes()).hexdigest() for p in files))


def images():
    """The digest of the person's images and of how they are made ready: file names, sizes, times and settings."""
    files = sorted(p for p in study.images_folder.rglob("*") if p.is_file())
    stats = [(p, p.stat()) for p in files]
    return digest(settings("images", "captioning"), *(f"{p} {s.st_size} {s.st_mtime_ns}" for p, s in stats))


def notebook(name):
    """What the params of a step say of its notebook."""
    path = PROJECT / "notebooks" / f"{name}.ipynb"
    return {"notebook": str(path), "code": code(path)}


# Every file that is to be there, not the report alone: when a step fails on its second run its old outputs are gone, and
# the old report must not count as done.
rule all:
    input:
        [study.adapter(v) / "settings.json" for v in variants],
        [study.samples(arm) / "metadata.csv" for arm in arms],
        study.scores,
        study.report,


# A checkpoint: once 01 has run, the ledger is an input of 02, so that captions changed by review train again. The
# stamp lies beside the ledger and says which images it is of; the ledger and the images themselves belong to 01.
checkpoint captions:
    output:
        study.dataset / ".captioned",
    log:
        study.run / "01_data_captioning.ipynb",
    params:
        images=images(),
        models=models(study.captioning.model.path),
        **notebook("01_data_captioning"),
    threads: 8
    message:
        "1 of 5: your images are made safe and captioned"
    shell:
        PAPERMILL + " && echo {params.images} > {output:q}"


def captioned(wildcards):
    return [checkpoints.captions.get().output[0], ledger]


rule adapters:
    input:
        captioned,
    output:
        [study.adapter(v) / "settings.json" for v in variants],  # written last; checkpoints beside it stay
    log:
        study.run / "02_train_lora.ipynb",
    params:
        settings=settings("base", "training"),
        models=models(study.base.path),
        **notebook("02_train_lora"),
    threads: 8
    message:
        "2 of 5: a pack of adapters is trained"
    shell:
        PAPERMILL + " -r variants {VARIANTS:q}"


rule samples:
    input:
        rules.adapters.output,
    output:
        [study.samples(arm) / "metadata.csv" for arm in arms],
    log:
        study.run / "03_inference.ipynb",
    params:
        settings=settings("base", "sampling"),
        chooses=study.scoring.model_dump_json(include={"clips": {0}, "prefix": True}),
        models=models(study.base.path, judges[0]),
        **notebook("03_inference"),
    threads: 8
    message:
        "3 of 5: every arm draws the prompts from the same noise"
    shell:
        PAPERMILL + " -r variants {VARIANTS:q} -p redraw {REDRAW}"


rule scores:
    input:
        rules.samples.output,
    output:
        study.scores,
    log:
        study.run / "04_clipscore.ipynb",
    params:
        settings=settings("scoring"),
        models=models(*judges),
        **notebook("04_clipscore"),
    threads: 8
    message:
        "4 of 5: the samples are scored"
    shell:
        PAPERMILL + " -r variants {VARIANTS:q}"


rule report:
    input:
        study.scores,
        sorted((study.dataset / "ratings").glob("*.jsonl")),  # what people answered
    output:
        study.report,
    log:
        study.run / "05_analysis.ipynb",
    params:
        settings=settings("question", "claims", "captioning", "training", "sampling"),
        **notebook("05_analysis"),
    threads: 8
    message:
        "5 of 5: figures and report"
    shell:
        PAPERMILL + " -r variants {VARIANTS:q}"
