"""Answers → whose pictures people prefer, how good each rater is, and how far raters agree."""

from collections.abc import Sequence

import choix
import krippendorff
import numpy as np
import pandas as pd

from caplora.rating.clustered import half_width, jackknife, two_way_interval
from caplora.rating.design import OTHER_PROMPT, PAIR, QUESTIONS, REPEAT, arms_in_order

FEWEST = 3  # pictures of shuffled prompts from which a rater is judged by them
CARELESS = 2 / 3  # a rater who finds fewer of them is left out
RESAMPLES = 400
REGULARISED = 0.01  # so that an arm that always wins has a strength too
CELL = ["split", "prompt", "seed"]
PREFERENCE = (
    "question", "reference", "arm", "n", "n_prompts", "n_raters", "preference", "low", "high", "p", "equal",
)  # fmt: skip
RATER = (
    "rater", "answers", "seconds", "left", "equal", "repeats", "repeated", "attention", "attentive", "shuffled",
    "found", "counts",
)  # fmt: skip


def chosen_arm(answers: pd.DataFrame) -> pd.Series:
    """The arm that each answer prefers; empty where there is no difference."""
    arms = {"left": answers["left"], "right": answers["right"]}
    chosen = pd.Series("", index=answers.index, dtype=object)
    for side, arm in arms.items():
        chosen = chosen.mask(answers["answer"] == side, arm)
    return chosen


def compared(answers: pd.DataFrame) -> pd.DataFrame:
    """The answers about pairs of arms that somebody gave: `reference` and `arm` in order, `value` 1 for the arm.

    0 is for the reference, 0.5 for no difference. Repeats, attention and what was skipped are not among them; of a
    pair that a rater met in two plans, the last answer counts.
    """
    rows = answers[(answers["kind"] == PAIR) & (answers["answer"] != "skipped")]
    place = {arm: i for i, arm in enumerate(arms_in_order([*rows["left"], *rows["right"]]))}
    turned = rows["left"].map(place) > rows["right"].map(place)
    reference, arm = rows["left"].mask(turned, rows["right"]), rows["right"].mask(turned, rows["left"])
    chosen = chosen_arm(rows)
    value = (chosen == arm).astype(float) + 0.5 * (chosen == "")
    table = rows.assign(reference=reference, arm=arm, value=value)
    return table.drop_duplicates(["rater", "question", *CELL, "reference", "arm"], keep="last")


def preference_table(answers: pd.DataFrame) -> pd.DataFrame:
    """How often each arm was preferred to another, by question: `PREFERENCE`; no difference counts as half of each.

    The 95 % interval and the p of 50 % count prompts and raters. A pair of arms with a single prompt has no row.
    """
    rows = []
    for (question, reference, arm), own in compared(answers).groupby(["question", "reference", "arm"], sort=False):
        prompts, raters = (pd.factorize(own[name])[0] for name in ("prompt", "rater"))
        if prompts.max() > 0:
            found = two_way_interval(own["value"].to_numpy(), prompts, raters)
            sizes = (len(own), prompts.max() + 1, raters.max() + 1)
            rows.append((question, reference, arm, *sizes, *found, float((own["value"] == 0.5).mean())))
    table = pd.DataFrame(rows, columns=list(PREFERENCE))
    return table.sort_values("question", key=lambda q: q.map(list(QUESTIONS).index), kind="stable", ignore_index=True)


def rater_table(answers: pd.DataFrame) -> pd.DataFrame:
    """How each rater answered: `RATER`, a row each. It needs nobody to know what is better.

    `repeated` of `repeats` were answered as before, `attentive` of `attention` rightly, `found` of those that were
    pictures of `shuffled` prompts. A rater `counts` who found two thirds of these, or was asked fewer than three.
    """
    rows = []
    for rater, own in answers.groupby("rater", sort=False):
        said = own[own["answer"] != "skipped"]
        pairs, attention = said[said["kind"].isin([PAIR, REPEAT])], said[said["expected"] != ""]
        right, shuffled = attention["answer"] == attention["expected"], attention["kind"] == OTHER_PROMPT
        repeats, repeated = _repeats(said)
        asked, found = int(shuffled.sum()), int(right[shuffled].sum())
        rows.append((
            rater, len(own), float(own["seconds"].median()), float((pairs["answer"] == "left").mean()),
            float((pairs["answer"] == "equal").mean()), repeats, repeated, len(attention), int(right.sum()), asked,
            found, asked < FEWEST or found >= CARELESS * asked,
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(RATER))


def _repeats(said: pd.DataFrame) -> tuple[int, int]:
    """How many pairs were answered twice, and how many of them for the same picture."""
    key = ["plan", *CELL, "question"]
    both = said.assign(chosen=chosen_arm(said))
    first, again = (both[both["kind"] == kind].set_index(key)["chosen"] for kind in (PAIR, REPEAT))
    there = again.index.intersection(first.index)
    return len(there), int((first[there] == again[there]).sum())


def counted_answers(answers: pd.DataFrame) -> pd.DataFrame:
    """The answers of raters who count."""
    table = rater_table(answers)
    return answers[answers["rater"].isin(table.loc[table["counts"].astype(bool), "rater"])]


def alpha_table(answers: pd.DataFrame) -> pd.DataFrame:
    """Krippendorff's ordinal alpha between raters, by question, with its 95 % bootstrap interval over prompts.

    1 is agreement, 0 what chance gives. `question`, `alpha`, `low`, `high`, `n` pairs by two raters or more; no row
    where there is none.
    """
    rows = []
    for question, own in compared(answers).groupby("question", sort=False):
        wide = own.pivot_table(index=[*CELL, "reference", "arm"], columns="rater", values="value")
        wide = wide[wide.notna().sum(axis=1) > 1]
        if len(wide):
            labels = pd.factorize(wide.index.get_level_values("prompt"))[0]
            groups = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
            rows.append((question, _alpha(wide.to_numpy()), *_resampled(wide.to_numpy(), groups), len(wide)))
    return pd.DataFrame(rows, columns=["question", "alpha", "low", "high", "n"])


def _alpha(units: np.ndarray) -> float:
    """Of (units, raters), nan where nobody answered or all answers are one."""
    if len(np.unique(units[np.isfinite(units)])) < 2:
        return np.nan
    return float(krippendorff.alpha(units.T, level_of_measurement="ordinal"))


def _resampled(units: np.ndarray, groups: Sequence[np.ndarray]) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(groups), (RESAMPLES, len(groups)))
    found = [_alpha(units[np.concatenate([groups[i] for i in row])]) for row in drawn]
    low, high = np.nanquantile(found, [0.025, 0.975]) if np.isfinite(found).any() else (np.nan, np.nan)
    return float(low), float(high)


def strength_table(answers: pd.DataFrame) -> pd.DataFrame:
    """The Bradley–Terry strength of each arm by question, where more than two were compared: a row each.

    Strengths are logits over the first arm's, which is 0: of two arms the stronger is preferred with a chance of
    1 / (1 + e^−difference). No difference counts as half a win of each. `low` and `high` are the 95 % interval for
    other prompts and raters by how strengths move when one is left out; what both hold counts twice, so that it is
    rather too wide than too narrow.
    """
    rows = []
    for question, own in compared(answers).groupby("question", sort=False):
        arms = arms_in_order([*own["reference"], *own["arm"]])
        if len(arms) > 2 and own["prompt"].nunique() > 1:
            estimate, halves = strengths(own, arms), _halves(own, arms)
            rows += [(question, *row) for row in zip(arms, estimate, estimate - halves, estimate + halves, strict=True)]
    return pd.DataFrame(rows, columns=["question", "arm", "strength", "low", "high"])


def strengths(pairs: pd.DataFrame, arms: Sequence[str]) -> np.ndarray:
    """The strengths of `arms` from rows of `compared`, by choix, the first arm's being 0."""
    place = {arm: i for i, arm in enumerate(arms)}
    first, second = pairs["reference"].map(place).to_numpy(), pairs["arm"].map(place).to_numpy()
    wins = np.zeros((len(arms), len(arms)))
    np.add.at(wins, (second, first), pairs["value"].to_numpy())
    np.add.at(wins, (first, second), 1 - pairs["value"].to_numpy())
    found = choix.ilsr_pairwise_dense(wins, alpha=REGULARISED, max_iter=1000)
    return found - found[0]


def _halves(pairs: pd.DataFrame, arms: Sequence[str]) -> list[float]:
    """Half of the interval of each arm's strength."""
    whole, parts = strengths(pairs, arms), []
    for name in ("prompt", "rater"):
        sizes = pairs[name].value_counts()
        without = np.array([strengths(pairs[pairs[name] != one], arms) for one in sizes.index])  # (clusters, arms)
        parts.append([jackknife(own, of, sizes.to_numpy()) for own, of in zip(without.T, whole, strict=True)])
    return [half_width(*both) for both in zip(*parts, strict=True)]
