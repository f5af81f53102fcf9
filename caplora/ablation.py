"""A caption ablation: arms that differ in nothing but the captions they are trained on, and what they are worth.

The captions of every kind are made of the ledger; the arms are compared with the reviewed one, pair by pair.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch

from caplora.captions import LEDGER, LedgerError, Row
from caplora.seeds import generator_of
from caplora.settings import Variant
from caplora.statistics import EQUIVALENT, effect_table, verdict
from caplora.study import BASELINE, Study

REVIEWED = "reviewed"  # the ledger's own captions, what `captions: null` of a variant means
KINDS = ("none", "subject", "machine", REVIEWED, "shuffled")  # of captions, in the order of figures
PAIR = ["variant", "metric", "model"]
LEVEL = [*PAIR, "n_prompts", "n_seeds", "baseline", "mean", "mean_low", "mean_high"]
PAIRED = [*PAIR, "difference", "low", "high", "p", "p_corrected", "positive", "detectable", "verdict"]


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


def candidates(variants: Sequence[Variant]) -> list[Variant]:
    """The variants from which the best is chosen: those trained on the ledger's captions, if there are any."""
    return [v for v in variants if v.captions is None] or list(variants)


def ablation_arms(variants: Sequence[Variant]) -> dict[str, str]:
    """Kind of captions → the name of the variant trained on it, in the order of `KINDS`; empty without an ablation.

    All are one variant, the captions aside, and that on the ledger's is among them. Of several such groups, the
    largest.
    """
    groups = [_kinds_of(v, variants) for v in variants if v.captions is None]
    arms = max(groups, key=len, default={})
    return {kind: arms[kind] for kind in KINDS if kind in arms} if len(arms) > 1 else {}


def _kinds_of(reviewed: Variant, variants: Sequence[Variant]) -> dict[str, str]:
    same = [v for v in variants if v.model_copy(update={"captions": None}) == reviewed]
    return {v.captions or REVIEWED: v.name for v in same}


def ablation_table(
    scores: pd.DataFrame, arms: Mapping[str, str], margins: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """What each arm of an ablation reaches on the test prompts, and its paired difference from the reviewed arm.

    A row per (metric, model, arm), the arms in their order. `p_corrected` is over the arms of one metric and model, and
    `verdict` goes by it, unless the difference is within the metric's margin; the reviewed arm's own row has no
    difference. Raises ScoreError as `effects` does.
    """
    test = scores[scores["split"] == "test"]
    test = pd.concat([test[test["variant"] == arm] for arm in (BASELINE, *arms.values())])
    level = effect_table(test).rename(columns=lambda column: column.replace("adapter", "mean"))
    paired = effect_table(test[test["variant"] != BASELINE], reference=arms[REVIEWED], margins=margins)
    judged = [verdict(*e) for e in paired[["low", "high", "p_corrected"]].itertuples(index=False, name=None)]
    paired["verdict"] = paired["verdict"].where(paired["verdict"] == EQUIVALENT, judged)
    table = level[LEVEL].merge(paired[PAIRED], how="left", on=PAIR)
    table.insert(0, "captions", table["variant"].map({arm: kind for kind, arm in arms.items()}))
    return table
