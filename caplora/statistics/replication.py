"""Cosines of samples to the images of their captions → what an arm copies: training images beside held-out ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from scipy.stats import ttest_ind

from caplora.statistics.effects import Effect
from caplora.statistics.intervals import LEVEL
from caplora.study import BASELINE

COPIES = (("replication", "train"), ("replication", "held_out"))  # metric and split: memorisation and its null


@dataclass(frozen=True)
class Copied:
    """How much more an arm gains on captions of training images than on those of held-out images.

    What it gains is the cosine of a sample to the image of its caption, less that of the reference's sample from the
    same noise.
    """

    n_train: int  # captions, each asked once
    n_held_out: int
    difference: float  # of both mean gains
    low: float  # 95 % interval of Welch's t, a caption being the unit
    high: float
    p: float  # two-sided


def copied(scores: pd.DataFrame, arm: str, reference: str = BASELINE) -> Copied | None:
    """What an arm copies that `reference` does not, of the table of 04; None with fewer than two captions of a kind."""
    own = scores[scores["variant"].isin([arm, reference])]
    wide = own.pivot(index=["split", "prompt", "seed"], columns="variant", values="value").dropna()
    if arm == reference or {arm, reference} - set(wide):
        return None
    gains = wide[arm] - wide[reference]
    train, held_out = (gains[gains.index.get_level_values("split") == split].to_numpy() for _, split in COPIES)
    if min(len(train), len(held_out)) < 2:
        return None
    test = ttest_ind(train, held_out, equal_var=False)
    low, high = test.confidence_interval(LEVEL)
    difference = float(train.mean() - held_out.mean())
    return Copied(len(train), len(held_out), difference, float(low), float(high), float(test.pvalue))


def overfits_from(copies: Mapping[float, Copied], likeness: Mapping[float, Mapping[float, Effect]]) -> float | None:
    """The first step from which on training copies more while likeness to held-out portraits is not shown to rise.

    `copies` is step → what changes from there to the last step, its p corrected here over the steps (Bonferroni);
    `likeness` is step → later step → what changes from the one to the other. None where there is no such step.
    """
    more = [at for at, c in copies.items() if c.difference > 0 and c.p * len(copies) <= 1 - LEVEL]
    rests = [at for at, later in likeness.items() if later and all(e.low <= 0 for e in later.values())]
    return min((at for at in more if at in rests), default=None)
