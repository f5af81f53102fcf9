"""Scores of arms that differ in one number (images, scale) → each metric over it, and from where no more helps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from caplora.statistics.effects import EQUIVALENT, Effect, cells, effects, prompt_means, verdict
from caplora.statistics.intervals import flip_test, interval, sign_flips
from caplora.statistics.replication import COPIES
from caplora.statistics.tradeoff import fidelity_metrics, model_of
from caplora.study import BASELINE

COLUMNS = ("metric", "model", "split", "at", "mean", "low", "high", "n_prompts", "n_seeds")


def axis_kinds(scores: pd.DataFrame, split: str) -> list[tuple[str, str]]:
    """Each metric and the split that it is drawn of, of those there: alignment, likeness, drift, memorisation.

    Memorisation is of both kinds of captions, of training images and of held-out ones.
    """
    metrics = ["clip_score", *fidelity_metrics(scores)[:1]]
    wanted = [(metric, split) for metric in metrics]
    there = set(zip(scores["metric"], scores["split"], strict=True))
    return [kind for kind in [*wanted, ("drift", "unrelated"), *COPIES] if kind in there]


def axis_table(
    scores: pd.DataFrame, arms: Mapping[float, str], kinds: Sequence[tuple[str, str]], reference: str = BASELINE
) -> pd.DataFrame:
    """Each metric of each arm, told by its place `at` on the axis: `COLUMNS`, a row each.

    The mean difference from `reference` with its 95 % t interval, clustered by prompt, nan for one prompt. `kinds` are
    pairs of metric and split. Raises ScoreError as `cells` does.
    """
    rows = []
    for metric, split in kinds:
        own = scores[scores["variant"].isin([reference, *arms.values()])]
        model = model_of(own, metric)
        values = cells(own, metric, model, split, reference)
        means = prompt_means(values.sub(values[reference], axis=0))
        for at, arm in arms.items():
            found = means[arm].to_numpy()
            mean, low, high = interval(found) if len(found) > 1 else (found.mean(), np.nan, np.nan)
            rows.append((metric, model, split, at, mean, low, high, len(means), len(values) // len(means)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


@dataclass(frozen=True)
class Enough:
    """From which place on an axis no difference from the last place can be shown, and how the others compare with it.

    `effects` are of every place but the last, paired with the last; `verdicts` go by their corrected p.
    `enough` is the first place from which on none falls short of the last, or None where the last but one does.
    """

    last: float
    effects: dict[float, Effect]
    verdicts: dict[float, str]

    @property
    def differs(self) -> bool:
        """Whether any place can be told from the last one, or is shown to be equivalent."""
        return any(said != "cannot be told from" for said in self.verdicts.values())

    @property
    def short(self) -> list[float]:
        """The places that fall short of the last one."""
        return [at for at, said in self.verdicts.items() if said == "falls short of"]

    @property
    def enough(self) -> float | None:
        """The first place behind all that fall short; None where all do."""
        after = [at for at in self.verdicts if at > max(self.short, default=-np.inf)]
        return min(after, default=None)


def enough_of(
    scores: pd.DataFrame, axes: Mapping[str, Mapping[float, str]], metric: str, model: str, margin: float | None = None
) -> dict[str, Enough]:
    """Axis → how its arms compare with its last one on the test prompts; p is corrected over the arms of all axes.

    Raises ScoreError as `cells` does.
    """
    lasts = {name: arms[max(arms)] for name, arms in axes.items()}
    before = {arm: lasts[name] for name, arms in axes.items() for at, arm in sorted(arms.items()) if at != max(arms)}
    own = scores[scores["variant"].isin([*before, *before.values()])]
    means = prompt_means(cells(own, metric, model, "test", next(iter(lasts.values()))))
    paired = np.array([means[arm] - means[last] for arm, last in before.items()])
    corrected = dict(zip(before, flip_test(paired, sign_flips(len(means)))[1].tolist(), strict=True))

    def compared(arms: Mapping[float, str], last: str) -> Enough:
        found = effects(own[own["variant"].isin(arms.values())], metric, model, "test", last, margin)
        known = {e.variant: replace(e, p_corrected=corrected[e.variant], n_variants=len(before)) for e in found}
        return enough_from(max(arms), {at: known[arm] for at, arm in sorted(arms.items()) if arm != last})

    return {name: compared(arms, lasts[name]) for name, arms in axes.items()}


def enough_from(last: float, by: Mapping[float, Effect]) -> Enough:
    """What may be said of the places before the last one, by their corrected p."""
    said = {
        at: EQUIVALENT if e.verdict == EQUIVALENT else verdict(e.low, e.high, e.p_corrected) for at, e in by.items()
    }
    return Enough(last, dict(by), said)


def likeness_after(scores: pd.DataFrame, arm: str, last: str, split: str = "development") -> Effect | None:
    """How likeness to held-out portraits changes from an arm to the last; None for one arm, or where one prompt is."""
    own = scores[scores["variant"].isin([arm, last])]
    metrics = fidelity_metrics(own)
    if not metrics or arm == last or own[own["split"] == split]["prompt"].nunique() < 2:
        return None
    return effects(own, metrics[0], model_of(own, metrics[0]), split, arm)[0]
