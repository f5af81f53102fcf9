"""Variants that are no candidates but arms of an experiment: on other captions, or on fewer images.

Which variants belong to it, and of a caption ablation what each kind of captions is worth beside the ledger's.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from caplora.statistics import EQUIVALENT, effect_table, verdict
from caplora.study import BASELINE, Variant, image_arms

REVIEWED = "reviewed"  # the ledger's own captions, what `captions: null` of a variant means
KINDS = ("none", "subject", "machine", REVIEWED, "shuffled")  # of captions, in the order of figures
PAIR = ["variant", "metric", "model"]
REACHED = [*PAIR, "n_prompts", "n_seeds", "baseline", "mean", "mean_low", "mean_high"]
PAIRED = [*PAIR, "difference", "low", "high", "p", "p_corrected", "positive", "detectable", "verdict"]


def experimental_arms(variants: Sequence[Variant]) -> list[str]:
    """The variants of both experiments, which draw every prompt."""
    return [*ablation_arms(variants).values(), *(name for arms in image_arms(variants) for name in arms.values())]


def ablation_arms(variants: Sequence[Variant]) -> dict[str, str]:
    """Kind of captions → the name of the variant trained on it, in the order of `KINDS`; empty without an ablation.

    All are one variant, the captions aside, and that on the ledger's is among them. Of several such groups, the
    largest.
    """
    groups: dict[Variant, dict[str, str]] = {v: {} for v in variants if v.captions is None}
    for v in variants:
        groups.get(v.model_copy(update={"captions": None}), {})[v.captions or REVIEWED] = v.name
    arms = max(groups.values(), key=len, default={})
    return {kind: arms[kind] for kind in KINDS if kind in arms} if len(arms) > 1 else {}


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
    table = level[REACHED].merge(paired[PAIRED], how="left", on=PAIR)
    table.insert(0, "captions", table["variant"].map({arm: kind for kind, arm in arms.items()}))
    return table
