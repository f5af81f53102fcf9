"""The values that only a whole arm has, on the test prompts: KID, CMMD, the memorised share, diversity."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from caplora.sampling import Sample
from caplora.scoring.embeddings import Embeddings, Encoder
from caplora.scoring.sample_metrics import nearest
from caplora.scoring.scores import diversity_table, paths_of
from caplora.scoring.set_metrics import cmmd, cmmd_weights, kid, kid_weights
from caplora.study import BASELINE

PAIRS = ("variant", "prompt", "seed", "sample", "portrait", "similarity", "limit")
PERCENTILE = 95  # of the null: how like the training images a picture is that nobody trained on
DISTANCES = {"kid": (kid, kid_weights), "cmmd": (cmmd, cmmd_weights)}

Array = NDArray[np.floating]
Arms = dict[str, list[Sample]]  # arm → its samples of the test prompts, paired


def paired_arms(samples: Sequence[Sample]) -> Arms:
    """Arm → its samples of the test prompts, the baseline first, every arm's in the baseline's order.

    A variant that lacks one of the baseline's is left out: 05 names it. So are those at other scales than 1.
    """
    arms: dict[str, dict[tuple[str, int], Sample]] = {BASELINE: {}}
    for sample in (s for s in samples if s.split == "test"):
        arms.setdefault(sample.variant, {})[sample.prompt, sample.seed] = sample
    wanted = arms[BASELINE]
    return {arm: [found[key] for key in wanted] for arm, found in arms.items() if wanted.keys() <= found.keys()}


@dataclass(frozen=True)
class ArmValues:
    """One metric of whole arms, and what tests it: let the arms of a pair change places, and see what becomes of it."""

    metric: str
    encoder: Encoder
    prompts: list[str]  # of each pair of samples, (n,)
    values: dict[str, float]  # arm → value, the baseline's among them
    swaps: dict[str, Array]  # variant → what each pair adds to (its value − the baseline's), (n,)
    n_real: int  # held-out portraits that it was measured against


def arm_values(
    pictures: Embeddings, identity: Embeddings, samples: Sequence[Sample], trained: Sequence[Path], real: Sequence[Path]
) -> list[ArmValues]:
    """What is known of whole arms: memorised, kid, cmmd and diversity, as far as the study has what they need.

    kid (by `identity`) and cmmd (by `pictures`, a CLIP) are distances of an arm's samples to the `real`, held-out
    portraits; memorised is the share of its samples above `memorisation_limit`, diversity their mean pairwise distance
    over the baseline's. Fewer than two portraits have no KID, a study of one seed no diversity.
    """
    arms = paired_arms(samples)
    found = [
        memorised(identity, arms, trained, real),
        distances("kid", identity, arms, real) if len(real) > 1 else None,
        distances("cmmd", pictures, arms, real),
        diversity(pictures, arms),
    ]
    return [values for values in found if values is not None]


def distances(metric: str, views: Embeddings, arms: Arms, real: Sequence[Path]) -> ArmValues:
    """kid or cmmd: how far each arm's samples are from the real portraits."""
    distance, weights = DISTANCES[metric]
    portraits = views.images(real).double()
    found = {arm: views.images(paths_of(own)).double() for arm, own in arms.items()}
    swaps = {arm: weights(own, found[BASELINE], portraits).numpy() for arm, own in found.items() if arm != BASELINE}
    values = {arm: distance(own, portraits) for arm, own in found.items()}
    return ArmValues(metric, views.encoder, prompts_of(arms), values, swaps, len(real))


def memorised(views: Embeddings, arms: Arms, trained: Sequence[Path], real: Sequence[Path]) -> ArmValues:
    """The share of samples that are more like a training image than 95 % of held-out portraits are."""
    limit, portraits = memorisation_limit(views, trained, real), views.images(trained)
    above = {arm: (nearest(views.images(paths_of(own)), portraits)[0] > limit) for arm, own in arms.items()}
    shares = {arm: own.double().numpy() for arm, own in above.items()}
    swaps = {arm: (own - shares[BASELINE]) / len(own) for arm, own in shares.items() if arm != BASELINE}
    values = {arm: float(own.mean()) for arm, own in shares.items()}
    return ArmValues("memorised", views.encoder, prompts_of(arms), values, swaps, len(real))


def diversity(views: Embeddings, arms: Arms) -> ArmValues | None:
    """The mean pairwise distance within a prompt over the baseline's; None where each prompt has one seed."""
    spread = {arm: diversity_table(views, own)["value"].to_numpy(float) for arm, own in arms.items()}
    base = spread[BASELINE].mean() if len(spread[BASELINE]) else 0.0
    if base == 0 or any(len(spread[arm]) != len(own) for arm, own in arms.items()):
        return None
    swaps = {arm: (own - spread[BASELINE]) / base / len(own) for arm, own in spread.items() if arm != BASELINE}
    values = {arm: float(own.mean() / base) for arm, own in spread.items()}
    return ArmValues("diversity", views.encoder, prompts_of(arms), values, swaps, 0)


def prompts_of(arms: Arms) -> list[str]:
    """The prompt of each pair of samples."""
    return [sample.prompt for sample in arms[BASELINE]]


def memorisation_limit(views: Embeddings, trained: Sequence[Path], real: Sequence[Path]) -> float:
    """The cosine to the nearest training image that 95 % of held-out portraits stay below, −1 … 1."""
    values, _ = nearest(views.images(real), views.images(trained))
    return float(np.percentile(values.numpy(), PERCENTILE))


def closest_pairs(
    views: Embeddings, samples: Sequence[Sample], trained: Sequence[Path], real: Sequence[Path], count: int = 10
) -> pd.DataFrame:
    """The samples most like a training image, `count` of each adapter, the most alike first: `PAIRS`.

    `sample` and `portrait` are file names, in the folder of the arm's samples and in the dataset; `limit` is
    `memorisation_limit`.
    """
    own, columns = [s for s in samples if s.variant != BASELINE], list(PAIRS)
    if not own:
        return pd.DataFrame(columns=columns)
    values, places = nearest(views.images(paths_of(own)), views.images(trained))
    limit = memorisation_limit(views, trained, real)
    order = torch.argsort(values, descending=True, stable=True).tolist()
    rows = [
        (s.variant, s.prompt, s.seed, s.path.name, trained[int(places[i])].name, float(values[i]), limit)
        for i, s in ((i, own[i]) for i in order)
    ]
    # of each adapter, because who of them is reported is chosen later
    return pd.DataFrame(rows, columns=columns).groupby("variant", sort=False).head(count).reset_index(drop=True)
