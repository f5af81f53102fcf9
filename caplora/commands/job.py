"""Run a notebook of a study as a job, as the graph (Snakefile) does."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from caplora.study import BASELINE, read_study, read_variants

DRAWS = "03_inference"


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
    given: dict[str, object] = {"study": study}
    given |= {"variants": variants} if variants else {}
    if notebook == DRAWS:
        given |= {"redraw": redraw, "part": bool(part)}
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
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(f"{jobs.made_by(own, notebook, [v.name for v in asked])}{failed}\n", encoding="utf-8")
