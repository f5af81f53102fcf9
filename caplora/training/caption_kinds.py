"""The ledger → the captions of each kind that a caption ablation trains on: none, subject, machine, shuffled."""

from collections.abc import Mapping, Sequence

import torch

from caplora.captions import LEDGER, LedgerError, Row
from caplora.models import generator_of
from caplora.study import Study, Variant


def other_captions(study: Study, rows: Sequence[Row], variants: Sequence[Variant]) -> dict[str, dict[str, str]]:
    """Kind → file name → caption, for the kinds beside the ledger's own that `variants` are trained on.

    Raises LedgerError where a machine caption is needed and missing, or one image alone is to be shuffled.
    """
    kinds = dict.fromkeys(v.captions for v in variants if v.captions)
    return {kind: captions_of_kind(study, rows, kind) for kind in kinds}


def captions_of_kind(study: Study, rows: Sequence[Row], kind: str) -> dict[str, str]:
    """File name → caption of one kind, for the rows of the ledger that are trained on; raises as `other_captions`."""
    if kind == "machine":
        return {row.file_name: _machine_text(study, row) for row in rows}
    if kind == "shuffled":
        return shuffled({row.file_name: row.text for row in rows}, study.training.seed)
    text = study.captioning.subject if kind == "subject" else ""
    return {row.file_name: text for row in rows}


def _machine_text(study: Study, row: Row) -> str:
    if row.machine_text.strip():
        return row.machine_text
    raise LedgerError(
        f"{study.dataset / LEDGER}: {row.file_name} has no machine_text, which a variant with captions: machine is"
        " trained on: set its status to pending, move a captions.json out of your images, and run 01 again (its text"
        " stays yours); or leave that variant out"
    )


def shuffled(captions: Mapping[str, str], seed: int) -> dict[str, str]:
    """The captions dealt out to other images, a function of the seed: every one is used, no image keeps its own."""
    names = sorted(captions)
    if len(names) < 2:
        raise LedgerError(
            f"captions: shuffled needs two images or more, and {', '.join(names) or 'none'} is trained on"
        )
    ring = [names[i] for i in torch.randperm(len(names), generator=generator_of(seed, "shuffled captions"))]
    return {name: captions[after] for name, after in zip(ring, [*ring[1:], ring[0]], strict=True)}
