"""Variants that were asked for and cannot be judged, each with its reason: the others are judged without them.

A variant that lacks a single cell is left out whole: to leave out the cell alone would pair arms on different prompts.
"""

import json
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from caplora.jobs import FAILED, Record, read_records
from caplora.sampling import TABLE, read_samples
from caplora.statistics import CELL, Row
from caplora.study import BASELINE, Study, Variant, read_text

MOST = 20  # variants whose failures are told
KIND = ["metric", "model", "split"]


def failed_variants(study: Study, asked: Sequence[Variant], scores: pd.DataFrame) -> dict[str, str]:
    """Variant → why it cannot be judged, of those asked for; empty where all can be.

    A hole of the baseline is no variant's failure: `cells` raises there.
    """
    there, lacking = set(scores["variant"]), incomplete(scores)
    jobs = [record for record in read_records(study) if record.state == FAILED]
    found = {v.name: lacking.get(v.name, "") if v.name in there else absent(study, v, jobs) for v in asked}
    return {name: flagged(study, name) or why for name, why in found.items() if why}


def flagged(study: Study, variant: str) -> str:
    """Which samples of a variant cannot be scored, if any: one that diverged draws black or no finite pictures."""
    folder = study.samples(variant)
    samples = read_samples(folder) if (folder / TABLE).is_file() else []
    wrong = [s for s in samples if s.flag]
    if not wrong:
        return ""
    return (
        f"drew {len(wrong)} of {len(samples)} samples that cannot be scored, the first of them {wrong[0].path}, which"
        f" is {wrong[0].flag}; train it at a lower learning rate or alpha, or leave it out"
    )


def absent(study: Study, variant: Variant, failed_jobs: Sequence[Record]) -> str:
    """Why a variant has no scores at all: the first step that did not leave what it leaves, and how to go on."""
    record, samples = study.adapter(variant) / "settings.json", study.samples(variant.name) / "metadata.csv"
    step = "03" if record.is_file() else "02"
    failed = [job for job in failed_jobs if variant.name in job.variants and job.job.startswith(step)]
    if failed:
        return f"is missing: {failed[-1].job} failed: {failed[-1].why} ({failed[-1].notebook})"
    if not record.is_file():
        first = "run 03_inference, which trains it" if variant.retrained else "run 02_train_lora with it, then 03"
        return f"was not trained: {record} does not exist; {first}, then 04"
    stopped = json.loads(read_text(record)).get("stopped")
    if stopped:
        return f"has no scores; its training stopped early: {stopped}"
    if not samples.is_file():
        return f"was not sampled: {samples} does not exist; run 03_inference with it, then 04"
    return "was not scored: run 04_clipscore with it"


def incomplete(scores: pd.DataFrame) -> dict[str, str]:
    """Variant → what it lacks of what the baseline has, or which of its values are no numbers; without those whole."""
    cell = scores.groupby([*KIND, *CELL[1:]], sort=False).ngroup().to_numpy()
    finite = (pd.to_numeric(scores["value"], errors="coerce").abs() < float("inf")).to_numpy()
    baseline = (scores["variant"] == BASELINE).to_numpy()
    wanted, rows, found = cell[baseline], scores[baseline], {}
    for variant, places in scores.groupby("variant").indices.items():
        lacks = ~np.isin(wanted, cell[places[finite[places]]])
        if lacks.any():
            found[str(variant)] = _lacks(rows.iloc[lacks.argmax()], int(lacks.sum()), len(wanted))
    return found


def _lacks(first: Row, count: int, of: int) -> str:
    return (
        f"lacks {count} of {of} scores (missing, or not a number), the first of them {first['metric']} "
        f"by {first['model']} for prompt {first['prompt']!r}, seed {first['seed']}: run 03_inference and 04_clipscore "
        "again"
    )


def without(scores: pd.DataFrame, failed: Collection[str]) -> pd.DataFrame:
    """The scores of the arms that can be judged."""
    return scores[~scores["variant"].isin(failed)]


def failure_sentence(asked: Sequence[Variant], failed: Mapping[str, str]) -> str:
    """Over how many of the variants asked for the correction is, and why not over the others."""
    n = len(asked)
    if not failed:
        return f"All {n} variants asked for were judged, and p is corrected over them." if n > 1 else ""
    judged = f"{n - len(failed)} of the {n} variants asked for were judged, and p is corrected over those."
    return " ".join([judged, *reasons(failed)])


def reasons(failed: Mapping[str, str]) -> list[str]:
    """A sentence for each variant that cannot be judged, and one on how many more there are where they are many."""
    said = [f"{name} {why}." for name, why in failed.items()]
    return said if len(said) <= MOST else [*said[:MOST], f"Nor can {len(said) - MOST:,} more be judged."]
