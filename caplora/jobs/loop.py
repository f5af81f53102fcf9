"""The notebooks of a study one after another, without Snakemake; what is done and would read nothing new is skipped.

Each leaves the executed notebook, the record and the digest that it leaves in the graph, and in a file beside its
record (`.reads`) what it has read: the next call goes on from there, also on another machine that got these files.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from caplora.jobs.made import images_digest, left_by, write_made
from caplora.jobs.notebook import parameters_of, run_notebook
from caplora.jobs.reads import SETTINGS, chooses_by, code_of, digest, models_of, settings_of
from caplora.jobs.records import DONE, next_run, read_record, record_path
from caplora.study import Study, Variant, file_hash, read_study, read_variants, write_text

MAKE = tuple(SETTINGS)[:3]  # those whose digest of what they made the others read; 04 and 05 leave single files


def run_study(
    named: str,
    variants: str = "grid",
    drive: str = "",
    redraw: bool = False,
    notebooks: Sequence[str] = tuple(SETTINGS),
) -> Iterator[tuple[str, bool]]:
    """Run the five notebooks of a study in their order, yielding each, once it is done, and whether it was run now.

    `drive` and `redraw` are the parameters of the notebooks. `notebooks` leaves out some, whose work is there. Raises
    JobError where one fails: those after it wait.
    """
    study, asked = read_study(named), read_variants(variants)
    for notebook in notebooks:
        reads = reads_of(study, notebook, asked)
        due = not is_done(study, notebook, asked, reads)
        if due:
            given = parameters_of(notebook, named, variants, drive, redraw)
            own = () if notebook.startswith("01") else asked
            run = next_run(record_path(study, notebook), left_by(study, notebook, asked))
            run_notebook(study, notebook, given, variants=own, run=run)
            if notebook in MAKE:
                write_made(made_path(study, notebook), study, notebook, [v.name for v in own])
            write_text(_reads_path(study, notebook), reads)
        yield notebook, due


def is_done(study: Study, notebook: str, variants: Sequence[Variant], reads: str) -> bool:
    """Whether a notebook was done, has read the same, and what it made is there."""
    record, path = read_record(record_path(study, notebook)), _reads_path(study, notebook)
    same = path.is_file() and path.read_text(encoding="utf-8") == reads
    return bool(record and record.state == DONE and same) and all(
        f.is_file() for f in left_by(study, notebook, variants)
    )


def reads_of(study: Study, notebook: str, variants: Sequence[Variant]) -> str:
    """All that a notebook reads, in digests, a line for each kind."""
    lines = {
        "code": code_of(notebook),
        "settings": settings_of(study, notebook),
        "models": models_of(study, notebook),
        "variants": "" if notebook.startswith("01") else digest(*(v.name for v in variants)),
        "choice": digest(chooses_by(study)) if notebook.startswith("03") else "",
        "before": _before(study, notebook),
    }
    return "".join(f"{kind}: {text}\n" for kind, text in lines.items() if text)


def made_path(study: Study, notebook: str) -> Path:
    """Where the digest of what a notebook made is, as in the graph."""
    return (
        study.dataset / ".captioned" if notebook.startswith("01") else record_path(study, notebook).with_suffix(".made")
    )


def _before(study: Study, notebook: str) -> str:
    """A digest of what a notebook finds of those before it and of people."""
    files = {
        "02": [study.dataset / "metadata.csv", made_path(study, "01_data_captioning")],
        "03": [made_path(study, "02_train_lora")],
        "04": [made_path(study, "03_inference")],
        "05": [study.scores, *sorted((study.dataset / "ratings").glob("*.jsonl"))],
    }
    if notebook.startswith("01"):
        return _images(study)
    return digest(*(file_hash(path) if path.is_file() else "" for path in files[notebook[:2]]))


def _images(study: Study) -> str:
    """The digest of a person's images; where they are not on this machine, what it was when they were made ready."""
    if study.images_folder.is_dir():
        return images_digest(study)
    path = _reads_path(study, "01_data_captioning")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.removeprefix("before: ") for line in lines if line.startswith("before: ")), "")


def _reads_path(study: Study, notebook: str) -> Path:
    return record_path(study, notebook).with_suffix(".reads")
