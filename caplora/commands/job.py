"""Run one notebook of a study as a job, as the graph (Snakefile) does, or all five without it, as on Colab."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from caplora.commands.say import say
from caplora.study import BASELINE, read_study, read_variants


def job(
    study: str,
    notebook: str,
    /,
    *,
    variants: str = "",
    part: str = "",
    made: Path | None = None,
    run: int = 0,
    redraw: bool = False,
    go_on: bool = False,
    processes: Annotated[int, Parameter(show_default=False)] = 1,
) -> None:
    """Run a notebook of a study by papermill, on a GPU that no other job of this machine has.

    ```
    python -m caplora job mini 02_train_lora --variants grid
    ```

    The executed notebook is kept in runs/STUDY, also of one that fails, and runs/STUDY/jobs has a record of how it
    ended. A kernel that does not start is started again; nothing else is tried twice.

    Args:
        study: A file of params/studies.
        notebook: Its name, such as 02_train_lora.
        variants: A file of params/variants, or of a pack.
        part: The name of a pack, where several jobs train or draw; of 03, what is drawn before the choice alone.
        made: A file that is to have a digest of what was made.
        run: How often the job was begun again after it had failed.
        redraw: As the parameter of notebook 03.
        go_on: A failure is said and recorded, and the exit status is 0: other jobs go on.
        processes: Train by accelerate in so many processes instead of a notebook.
    """
    from caplora import jobs

    own = read_study(study)
    asked = () if variants in ("", BASELINE) else read_variants(variants)
    given = jobs.parameters_of(notebook, study, variants, redraw=redraw, part=bool(part))
    failed = ""
    try:
        if processes > 1:
            jobs.train_by_accelerate(own, study, variants, part, asked, run, processes)
        else:
            jobs.run_notebook(own, notebook, given, part, asked, run)
    except jobs.JobError as error:
        if not go_on:
            raise
        sys.stderr.write(f"{error}\n")
        failed = f" failed {run}"
    if made:
        jobs.write_made(made, own, notebook, [v.name for v in asked], failed)


def run(study: str, /, *, variants: str = "grid", drive: str = "", redraw: bool = False) -> None:
    """Run the five notebooks of a study one after another, those left out that are done and have nothing new to read.

    ```
    python -m caplora run mini --drive caplora
    ```

    It needs papermill and no Snakemake. Executed notebooks and records are in runs/STUDY. The same command goes on
    where it was cut off, on another machine too if both have the same --drive.

    Args:
        study: A file of params/studies.
        variants: A file of params/variants; several are joined by a plus.
        drive: A mounted folder of Google Drive, or the whole path of any other, that keeps the work.
        redraw: Samples drawn with settings that the study no longer has may be removed.
    """
    from caplora.jobs import run_study
    from caplora.notebooks import Keeping

    keeping = Keeping.open(study, drive)
    say(keeping.bring_back())
    try:
        for notebook, ran in run_study(study, variants, drive, redraw):
            say(f"{notebook}: {'done' if ran else 'was done before'}")
            keeping.keep()
    finally:
        keeping.keep()
