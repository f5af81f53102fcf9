"""Samples → what is known only of a whole arm: KID, CMMD, what it memorised, how diverse it still is.

Of the test prompts, each variant beside the baseline. p comes from letting the arms change places, all pairs of a
prompt together, since samples of one prompt resemble each other; p_corrected is over the variants (max-T). Every number
is read from embeddings; `scoring.py` has what a single sample gets.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from caplora.distances import cmmd, cmmd_weights, kid, kid_weights
from caplora.embeddings import Embeddings
from caplora.samples import Sample
from caplora.scoring import diversity_table, paths_of
from caplora.similarities import nearest
from caplora.statistics import flip_test, sign_flips
from caplora.study import BASELINE

COLUMNS = (
    "variant", "split", "metric", "model", "n", "n_real", "value", "baseline", "difference", "p", "p_corrected",
    "weights", "versions",
)  # fmt: skip
PAIRS = ("variant", "prompt", "seed", "sample", "portrait", "similarity", "limit")
PERCENTILE = 95  # of the null: how like the training images a picture is that nobody trained on
DISTANCES = {"kid": (kid, kid_weights), "cmmd": (cmmd, cmmd_weights)}

Array = NDArray[np.floating]


def paired_arms(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Arm → its samples of the test prompts, the baseline first, every arm's in the baseline's order.

    A variant that lacks one of the baseline's is left out: 05 names it. So are those at other scales than 1.
    """
    arms: dict[str, dict[tuple[str, int], Sample]] = {BASELINE: {}}
    for sample in (s for s in samples if s.split == "test"):
        arms.setdefault(sample.variant, {})[sample.prompt, sample.seed] = sample
    wanted = arms[BASELINE]
    return {arm: [found[key] for key in wanted] for arm, found in arms.items() if wanted.keys() <= found.keys()}


def arm_table(
    pictures: Embeddings, identity: Embeddings, samples: Sequence[Sample], trained: Sequence[Path], real: Sequence[Path]
) -> pd.DataFrame:
    """A row per variant and metric, `value` beside the `baseline`'s: `COLUMNS`.

    kid (by `identity`) and cmmd (by `pictures`, a CLIP) are distances of its samples to the `real`, held-out portraits;
    memorised is the share of its samples above `memorisation_limit`, diversity their mean pairwise distance over the
    baseline's. Fewer than two portraits have no KID, a study of one seed no diversity.
    """
    tables = [
        memorised_rows(identity, samples, trained, real),
        distance_rows("cmmd", pictures, samples, real),
        diversity_rows(pictures, samples),
    ]
    if len(real) > 1:
        tables.insert(1, distance_rows("kid", identity, samples, real))
    found = [table for table in tables if len(table)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(COLUMNS))


def distance_rows(metric: str, views: Embeddings, samples: Sequence[Sample], real: Sequence[Path]) -> pd.DataFrame:
    """The rows of kid or cmmd: how far each arm's samples are from the real portraits."""
    distance, weights = DISTANCES[metric]
    portraits, arms = views.images(real).double(), paired_arms(samples)
    found = {arm: views.images(paths_of(own)).double() for arm, own in arms.items()}
    values = {arm: distance(own, portraits) for arm, own in found.items()}
    swaps = [weights(own, found[BASELINE], portraits).numpy() for arm, own in found.items() if arm != BASELINE]
    return _rows(metric, views, arms, values, swaps, len(real))


def memorised_rows(
    views: Embeddings, samples: Sequence[Sample], trained: Sequence[Path], real: Sequence[Path]
) -> pd.DataFrame:
    """The rows of the share of samples that are more like a training image than 95 % of held-out portraits are."""
    limit, arms, portraits = memorisation_limit(views, trained, real), paired_arms(samples), views.images(trained)
    above = {arm: (nearest(views.images(paths_of(own)), portraits)[0] > limit) for arm, own in arms.items()}
    shares = {arm: own.double().numpy() for arm, own in above.items()}
    swaps = [(own - shares[BASELINE]) / len(own) for arm, own in shares.items() if arm != BASELINE]
    return _rows("memorised", views, arms, {arm: float(own.mean()) for arm, own in shares.items()}, swaps, len(real))


def diversity_rows(views: Embeddings, samples: Sequence[Sample]) -> pd.DataFrame:
    """The rows of the mean pairwise distance within a prompt over the baseline's; no rows where each has one seed."""
    arms = paired_arms(samples)
    spread = {arm: diversity_table(views, own)["value"].to_numpy(float) for arm, own in arms.items()}
    base = spread[BASELINE].mean() if len(spread[BASELINE]) else 0.0
    if base == 0 or any(len(spread[arm]) != len(own) for arm, own in arms.items()):
        return pd.DataFrame(columns=list(COLUMNS))
    swaps = [(own - spread[BASELINE]) / base / len(own) for arm, own in spread.items() if arm != BASELINE]
    return _rows("diversity", views, arms, {arm: float(own.mean() / base) for arm, own in spread.items()}, swaps, 0)


def _rows(
    metric: str,
    views: Embeddings,
    arms: dict[str, list[Sample]],
    values: dict[str, float],
    swaps: list[Array],
    real: int,
) -> pd.DataFrame:
    """A row per variant; `swaps` holds what each of its pairs adds to its difference from the baseline."""
    variants = [arm for arm in arms if arm != BASELINE]
    if not variants:
        return pd.DataFrame(columns=list(COLUMNS))
    prompts = [sample.prompt for sample in arms[BASELINE]]
    sums = np.stack([pd.Series(own).groupby(prompts, sort=False).sum().to_numpy(float) for own in swaps])
    p, corrected = flip_test(sums, sign_flips(sums.shape[1]))
    model, weights, versions = views.encoder.label, views.encoder.weights, views.encoder.versions
    rows = [
        (arm, "test", metric, model, len(prompts), real, values[arm], values[BASELINE], values[arm] - values[BASELINE],
         p[i], corrected[i], weights, versions)
        for i, arm in enumerate(variants)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def memorisation_limit(views: Embeddings, trained: Sequence[Path], real: Sequence[Path]) -> float:
    """The cosine to the nearest training image that 95 % of held-out portraits stay below, −1 … 1."""
    values, _ = nearest(views.images(real), views.images(trained))
    return float(np.percentile(values.numpy(), PERCENTILE))


def closest_pairs(
    views: Embeddings, samples: Sequence[Sample], trained: Sequence[Path], real: Sequence[Path], count: int = 10
) -> pd.DataFrame:
    """The samples of adapters most like a training image: variant, prompt, seed, sample, portrait, similarity, limit.

    `sample` and `portrait` are file names, in the folder of the arm's samples and in the dataset; `limit` is
    `memorisation_limit`.
    """
    own, columns = [s for s in samples if s.variant != BASELINE], list(PAIRS)
    if not own:
        return pd.DataFrame(columns=columns)
    values, places = nearest(views.images(paths_of(own)), views.images(trained))
    limit = memorisation_limit(views, trained, real)
    order = torch.argsort(values, descending=True, stable=True)[:count].tolist()
    rows = [
        (s.variant, s.prompt, s.seed, s.path.name, trained[int(places[i])].name, float(values[i]), limit)
        for i, s in ((i, own[i]) for i in order)
    ]
    return pd.DataFrame(rows, columns=columns)
