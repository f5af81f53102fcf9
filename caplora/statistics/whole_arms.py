"""The table of whole arms (`arms.csv`): each variant's value beside the baseline's, and a permutation test.

p comes from letting the arms change places, all pairs of a prompt together, since samples of one prompt resemble each
other; p_corrected is over the variants (max-T).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from caplora.scoring import ArmValues
from caplora.statistics.intervals import flip_test, sign_flips
from caplora.study import BASELINE

COLUMNS = (
    "variant", "split", "metric", "model", "n", "n_real", "value", "baseline", "difference", "p", "p_corrected",
    "weights", "versions",
)  # fmt: skip


def arm_table(found: Sequence[ArmValues]) -> pd.DataFrame:
    """A row per metric and variant, `value` beside the `baseline`'s: `COLUMNS`."""
    tables = [_rows(values) for values in found if values.swaps]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def _rows(found: ArmValues) -> pd.DataFrame:
    sums = [pd.Series(own).groupby(found.prompts, sort=False).sum().to_numpy(float) for own in found.swaps.values()]
    means = np.stack(sums)
    p, corrected = flip_test(means, sign_flips(means.shape[1]))
    by, base = found.encoder, found.values[BASELINE]
    rows = [
        (arm, "test", found.metric, by.label, len(found.prompts), found.n_real, found.values[arm], base,
         found.values[arm] - base, p[i], corrected[i], by.weights, by.versions)
        for i, arm in enumerate(found.swaps)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
