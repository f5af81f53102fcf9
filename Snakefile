"""The jobs of a study by the files that they leave; each is one notebook, run by papermill (`python -m caplora job`).

    snakemake --cores all --config study=mini variants=grid
    snakemake --profile params/profiles/slurm --config study=sd15+sd21 variants=grid pack=3

01 captions, 02 trains, 03 draws, 04 scores, 05 reports. With more variants than a job trains (`pack`, or what fits the
`card`), each pack is trained and drawn as far as the choice by jobs of its own, beside one that draws the baseline; 03
to 05 then run over all. Running it again does nothing, and after a failure only the rest runs. A pack that fails holds
nobody up: the report names what is missing, and the run ends with an error that names the notebooks that failed.

A job runs again when the settings it reads, the code of its notebook or what the jobs before it have made are another:
their `.made` hold digests of that. Executed notebooks and records of jobs are no outputs, nor is what a person decided
in the ledger, because Snakemake deletes the outputs of a job before it runs and after it fails.
"""

import functools
import os
import re
import sys

from caplora.jobs import (
    chooses_by, code_of, images_digest, left_by, models_of, next_run, pack_text, packs_of, read_packs, read_records,
    record_path, settings_of,
)  # fmt: skip
from caplora.study import BASELINE, read_study, read_variants

TAKEN = {"study", "variants", "redraw", "pack", "card", "gpu", "threads", "processes"}
if unknown := sorted(set(config) - TAKEN):
    raise WorkflowError(f"--config takes {', '.join(sorted(TAKEN))}, each as NAME=VALUE, got {', '.join(unknown)}")


def number(name, default, least=1):
    """A whole number of the config."""
    given = config.get(name, default)
    if given == default or (type(given) is int and given >= least):
        return given
    raise WorkflowError(f"{name} must be a whole number of at least {least}, got {given}")


GIVEN = {read_study(name).name: name for name in str(config.get("study", "mini")).split("+")}
STUDIES = {name: read_study(given) for name, given in GIVEN.items()}
VARIANTS = str(config.get("variants", "grid"))
REDRAW = bool(config.get("redraw", False))  # samples drawn with other settings than the study has by now may go
CARD = config.get("card")  # what the jobs run on: T4, A100 …, which says how many variants fit and how long they take
THREADS = number("threads", 8)
PROCESSES = number("processes", 1)  # of one training, by accelerate
PACK = number("pack", None)  # variants that one job trains
variants = read_variants(VARIANTS)

roots = {str(study.run.parents[1]) for study in STUDIES.values()}
if len(roots) > 1:
    raise WorkflowError(f"studies of one call belong to one project, these to {', '.join(sorted(roots))}")
ROOT = roots.pop()
RUN, DATA = f"{ROOT}/runs/{{study}}", f"{ROOT}/datasets/{{study}}"

# tqdm.auto draws its bars as text, not as widgets, in a kernel that seems to be Spyder's.
os.environ["SPYDER_BARS_ARE_TEXT"] = "1"
os.environ.setdefault("TQDM_MININTERVAL", "1")  # seconds

PYTHON = sys.executable
JOB = "{PYTHON:q} -m caplora job {params.study:q} {params.notebook} --made {output:q} --run {params.run}"
OF_VARIANTS = " --variants {params.variants:q}"


def forecast(study, variants):
    """What the planner says of a study's variants on the card."""
    from caplora import planning  # counts on torch, which takes seconds to import

    card = planning.card_of(CARD)
    return planning.forecast_of(study, variants, planning.read_configs(study), card)


def packs(study):
    """Pack → its variants."""
    size = PACK or (forecast(study, variants[:64]).needs.variants if CARD else None)
    return packs_of(variants, size, read_packs(study))


PACKS = {name: packs(study) for name, study in STUDIES.items()}


def pack_of(w):
    """The variants that a job is about."""
    return PACKS[w.study].get(getattr(w, "part", "").removeprefix("_"), variants)


def settings(notebook):
    """The settings that a notebook reads, in a few characters for each part."""
    return lambda w: settings_of(STUDIES[w.study], notebook)


@functools.cache
def models_in(study, notebook, part):
    return models_of(STUDIES[study], notebook, part)


def models(notebook, part=False):
    """The digest of those models of a notebook that are folders; `part`: of one that chooses nothing."""
    return lambda w: models_in(w.study, notebook, part)


@functools.cache
def images(study):
    """The digest of the person's images and of how they are made ready: content, and settings."""
    return f"{settings_of(STUDIES[study], '01_data_captioning')}, {images_digest(STUDIES[study])}"


def run_of(study, job):
    """The number of a job's next run: another one where it has failed, or where files of it are gone.

    Snakemake on the node of a job takes it from the one that sent the job, whose number is what is remembered.
    """
    name = re.sub(r"\W", "_", f"CAPLORA_RUN_{study}_{job}")
    if name not in os.environ:
        os.environ[name] = str(next_run(record_path(STUDIES[study], job), files_of(study, job)))
    return int(os.environ[name])


def files_of(study, job):
    """The files without which a job is to run again; what a part drew and is gone, the run over all draws."""
    if job.startswith("03") and job != "03_inference":
        return []
    return left_by(STUDIES[study], job, PACKS[study].get(job.rpartition("_")[2], variants))


def run(job):
    return lambda w: run_of(w.study, job + getattr(w, "part", ""))


def notebook(name):
    """What the params of a job say of its notebook, and which study it is given."""
    return {"notebook": name, "code": code_of(name), "study": lambda w: GIVEN[w.study], "run": run(name)}


def gpus(processes=1):
    """How many GPUs a job holds: as `gpu` says, or one for each of several processes; else what the profile says."""
    each = number("gpu", 1 if processes > 1 else None, least=0)
    return {} if each is None else {"gpu": each * processes}


def minutes(part):
    """How long a job may take: twice what the planner says and ten minutes, or what the profile says."""
    if not CARD:
        return {}
    return {"runtime": lambda w: 10 + round(2 * getattr(forecast(STUDIES[w.study], pack_of(w)).minutes, part))}


def trained(study):
    """The digests of the adapters of a study, one for each job."""
    parts = [f"_{name}" for name in PACKS[study]] if len(PACKS[study]) > 1 else [""]
    return [f"{ROOT}/runs/{study}/jobs/02_train_lora{part}.made" for part in parts]


def drawn_before(w):
    """What there must be before all arms draw: adapters, or samples of each pack as far as the choice."""
    if len(PACKS[w.study]) == 1:
        return trained(w.study)
    return [f"{ROOT}/runs/{w.study}/jobs/03_inference_{name}.made" for name in PACKS[w.study]]


wildcard_constraints:
    study="|".join(map(re.escape, STUDIES)),


localrules:
    all,
    pack,


# Every digest that is to be there, not the report alone: when a job fails on its second run its old outputs are gone,
# and the old report must not count as done.
rule all:
    input:
        [digest for study in STUDIES for digest in trained(study)],
        expand(f"{RUN}/{{file}}", study=STUDIES, file=["jobs/03_inference.made", "scores.csv", "report.html"]),


# A checkpoint: once 01 has run, the ledger is an input of 02, so that captions changed by review train again. The
# stamp lies beside the ledger and says which images it is of; the ledger and the images themselves belong to 01.
checkpoint captions:
    output:
        f"{DATA}/.captioned",
    log:
        f"{RUN}/01_data_captioning.ipynb",
    params:
        images=lambda w: images(w.study),
        models=models("01_data_captioning"),
        **notebook("01_data_captioning"),
    threads: THREADS
    resources:
        **gpus(),
    message:
        "{wildcards.study}, 1 of 5: your images are made safe and captioned"
    shell:
        JOB


def captioned(w):
    return [checkpoints.captions.get(study=w.study).output[0], DATA.format(study=w.study) + "/metadata.csv"]


# A pack is written down before it is trained, so that variants which come later are packs of their own.
rule pack:
    output:
        f"{RUN}/packs/{{pack}}.yaml",
    params:
        text=lambda w: pack_text(PACKS[w.study][w.pack]),
    shell:  # `run` would start a Snakemake of its own
        "printf %s {params.text:q} > {output:q}"


def of_pack(w):
    """The file of a pack, which a job of some of the variants is given."""
    return f"{ROOT}/runs/{w.study}/packs/{w.part[1:]}.yaml" if w.part.startswith("_p") else []


def variants_of(w):
    """What a notebook is given as its variants: a file of these, the file of a pack, or the baseline alone."""
    part = getattr(w, "part", "")
    return of_pack(w) if part.startswith("_p") else BASELINE if part else VARIANTS


rule adapters:
    input:
        captioned,
        of_pack,
    output:
        f"{RUN}/jobs/02_train_lora{{part}}.made",
    log:
        f"{RUN}/02_train_lora{{part}}.ipynb",
    wildcard_constraints:
        part="(_p[0-9a-f]{8})?",
    params:
        settings=settings("02_train_lora"),
        names=lambda w: [v.name for v in pack_of(w)],
        variants=variants_of,
        part=lambda w: f"--part {w.part[1:]} --go_on" if w.part else "",
        processes=PROCESSES,
        models=models("02_train_lora"),
        **notebook("02_train_lora"),
    threads: THREADS
    resources:
        **gpus(PROCESSES),
        **minutes("training"),
    message:
        "{wildcards.study}, 2 of 5: a pack of adapters is trained"
    shell:
        JOB + OF_VARIANTS + " {params.part} --processes {params.processes}"


# Samples of some of the arms as far as the choice: the baseline first, whose samples the others find drawn.
rule part:
    input:
        lambda w: captioned(w) if w.part == "_baseline" else [],
        lambda w: [] if w.part == "_baseline" else f"{ROOT}/runs/{w.study}/jobs/03_inference_baseline.made",
        lambda w: [] if w.part == "_baseline" else f"{ROOT}/runs/{w.study}/jobs/02_train_lora{w.part}.made",
    output:
        f"{RUN}/jobs/03_inference{{part}}.made",
    log:
        f"{RUN}/03_inference{{part}}.ipynb",
    wildcard_constraints:
        part="_baseline|_p[0-9a-f]{8}",
    params:
        settings=settings("03_inference"),
        variants=variants_of,
        part=lambda w: f"--part {w.part[1:]}" + " --go_on" * (w.part != "_baseline"),
        redraw="--redraw" if REDRAW else "",
        models=models("03_inference", part=True),
        **notebook("03_inference"),
    threads: THREADS
    resources:
        **gpus(),
        **minutes("sampling"),
    message:
        "{wildcards.study}, 3 of 5: a pack draws the development prompts"
    shell:
        JOB + OF_VARIANTS + " {params.part} {params.redraw}"


rule samples:
    input:
        drawn_before,
    output:
        f"{RUN}/jobs/03_inference.made",
    log:
        f"{RUN}/03_inference.ipynb",
    params:
        settings=settings("03_inference"),
        chooses=lambda w: chooses_by(STUDIES[w.study]),
        names=[v.name for v in variants],
        variants=variants_of,
        redraw="--redraw" if REDRAW else "",
        models=models("03_inference"),
        **notebook("03_inference"),
    threads: THREADS
    resources:
        **gpus(),
        **minutes("sampling"),
    message:
        "{wildcards.study}, 3 of 5: every arm draws the prompts from the same noise"
    shell:
        JOB + OF_VARIANTS + " {params.redraw}"


rule scores:
    input:
        f"{RUN}/jobs/03_inference.made",
    output:
        f"{RUN}/scores.csv",
    log:
        f"{RUN}/04_clipscore.ipynb",
    params:
        settings=settings("04_clipscore"),
        variants=variants_of,
        models=models("04_clipscore"),
        **notebook("04_clipscore"),
    threads: THREADS
    resources:
        **gpus(),
        **minutes("scoring"),
    message:
        "{wildcards.study}, 4 of 5: the samples are scored"
    shell:
        JOB.replace(" --made {output:q}", "") + OF_VARIANTS


rule report:
    input:
        f"{RUN}/scores.csv",
        lambda w: sorted(map(str, (STUDIES[w.study].dataset / "ratings").glob("*.jsonl"))),  # what people answered
    output:
        f"{RUN}/report.html",
    log:
        f"{RUN}/05_analysis.ipynb",
    params:
        settings=settings("05_analysis"),
        variants=variants_of,
        **notebook("05_analysis"),
    threads: THREADS
    resources:
        gpu=0,
    message:
        "{wildcards.study}, 5 of 5: figures and report"
    shell:
        JOB.replace(" --made {output:q}", "") + OF_VARIANTS


def failures():
    """What failed of the jobs that this call is about, and where to look."""
    parts = {name: {"", "_baseline", *(f"_{pack}" for pack in PACKS[name])} for name in STUDIES}
    records = [(name, record) for name, study in STUDIES.items() for record in read_records(study)]
    own = [(n, r) for n, r in records if r.state == "failed" and re.sub(r"^\d\d_[a-z]+_[a-z]+", "", r.job) in parts[n]]
    return "\n".join(f"{name}: {r.job} failed: {r.why}\n  {r.notebook}" for name, r in own)


onsuccess:
    if failed := failures():
        raise WorkflowError(f"everything else is there, and the report names what is missing:\n{failed}")


onerror:
    if failed := failures():
        sys.stderr.write(f"{failed}\n")
