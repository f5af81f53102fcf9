"""What a study can find, said before it is sampled: the smallest true difference, and the prompts a smaller one needs.

The spread it takes is that of an earlier study's development prompts; where there is none, differences are counted in
standard deviations of one sample's difference. Once this study's own development prompts are scored, they are a pilot:
they say what the test has to be like to find the smallest difference of interest.
"""

import pandas as pd
from scipy import stats

from caplora.statistics.effects import Row, ScoreError, primary_model, read_scores
from caplora.statistics.intervals import INNER, LEVEL, POWER, detectable_errors
from caplora.statistics.variance import STANDARD, Spread, study_spread
from caplora.study import Study, counted

LIKELY = 0.8  # of the interval of what a pilot says
SEEDS = (1, 2, 4)  # that designs are said for, beside the study's own
MOST = 100_000  # prompts; a study that needs more will not be made


def detectable_effect(prompts: int, seeds: int, spread: Spread = STANDARD) -> float:
    """The smallest true difference that 4 of 5 studies of P prompts × S seeds find, in the unit of √`spread`.

    (t(0.975) + t(0.80)) · √(σ²_prompt/P + σ²_rest/(P·S)), t of P − 1 degrees of freedom (Bloom 1995). It is for one
    test at 5 %, as the headline's; below four prompts it promises a little too much. Raises ValueError below two.
    """
    if prompts < 2 or seeds < 1:
        raise ValueError(f"a study needs 2 prompts and 1 seed at least, got {prompts} and {seeds}: see sampling.test")
    return detectable_errors(prompts) * spread.standard_error(prompts, seeds)


def provable_margin(prompts: int, seeds: int, spread: Spread = STANDARD) -> float:
    """The smallest margin within which 4 of 5 studies of equal arms show equivalence, in the unit of √`spread`.

    (t(0.95) + t(0.90)) standard errors, for both one-sided tests must reject (Chow and Liu 2009).
    """
    t = stats.t.ppf([(1 + INNER) / 2, (1 + POWER) / 2], prompts - 1)
    return float(t.sum()) * spread.standard_error(prompts, seeds)


def prompts_needed(effect: float, seeds: int, spread: Spread = STANDARD) -> int:
    """The fewest prompts with which a true difference of `effect` is found 4 times in 5; at least 2.

    Raises ValueError where that is no number of prompts that anybody could draw.
    """
    low, high = 1, 2  # low is too few
    while detectable_effect(high, seeds, spread) > abs(effect):
        low, high = high, 2 * high
        if low > MOST:
            raise ValueError(f"a difference of {effect:g} needs more than {MOST} prompts: ask for a larger one")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if detectable_effect(middle, seeds, spread) > abs(effect) else (low, middle)
    return high


def chance_of_finding(effect: float, prompts: int, seeds: int, spread: Spread) -> float:
    """How often such a study finds a true difference of `effect`, 0 … 1: the power of its t test at 5 %, two-sided.

    By the noncentral F of t², for scipy's noncentral t is not a number where the difference is ten errors large.
    """
    error = spread.standard_error(prompts, seeds)
    if error == 0:
        return 1.0
    limit = stats.t.ppf((1 + LEVEL) / 2, prompts - 1)
    return float(stats.ncf.sf(limit**2, 1, prompts - 1, max((effect / error) ** 2, 1e-9)))  # and wrong at 0 exactly


def chance_after(effect: Row, least: float) -> float:
    """How often a study that spreads as the prompts of this effect do finds a true difference of `least`, 0 … 1."""
    prompts = int(effect["n_prompts"])
    error = effect["detectable"] / detectable_errors(prompts)
    return chance_of_finding(least, prompts, 1, Spread(error**2 * prompts, 0.0))


def likely_needed(effect: float, seeds: int, spread: Spread, pilot: int) -> tuple[int, int]:
    """Within what the prompts needed lie, with a chance of 80 %, where the spread is known from `pilot` prompts.

    The variance of prompt means from P prompts is its true value × χ²(P − 1) / (P − 1).
    """
    tails = stats.chi2.ppf([(1 + LIKELY) / 2, (1 - LIKELY) / 2], pilot - 1)
    own = [Spread(spread.prompt * f, spread.rest * f) for f in (pilot - 1) / tails]
    least, most = (prompts_needed(effect, seeds, scaled) for scaled in own)
    return least, most


def pilot_sentence(study: Study, scores: pd.DataFrame, arms: int, seconds: float) -> str:
    """What the development scores of all arms say of the test that is to come, in lines.

    How often the study as it is set finds the smallest difference of interest, and which prompts × seeds find it 4
    times in 5, drawn by `arms` arms at `seconds` a picture.
    """
    effect, suites, own = study.claims.smallest("clip_score"), study.sampling, len(study.sampling.seeds)
    if effect is None:
        return "claims.interest does not say which difference is worth finding, so nothing is said of the test’s size"
    try:
        spread = study_spread(scores, "clip_score", primary_model(scores))
        chance = chance_of_finding(effect, len(suites.test), own, spread)
        sizes = {seeds: prompts_needed(effect, seeds, spread) for seeds in sorted({own, *SEEDS})}
        likely = likely_needed(effect, own, spread, len(suites.development))
    except ValueError as error:  # a single prompt, or a difference that nobody could find
        return f"what it takes to find a difference of {effect:g} is not known: {error}"
    enough = "enough" if chance >= POWER else "too few"
    once = "" if scores["seed"].nunique() > 1 else ", one seed each, so that seeds may do more than is said"
    designs = [
        f"{counted(size, 'prompt')} × {counted(seeds, 'seed')} ({arms * size * seeds} pictures,"
        f" {arms * size * seeds * seconds / 60:.1f} minutes)"
        for seeds, size in sizes.items()
    ]
    return (
        f"{counted(len(suites.test), 'test prompt')} × {counted(own, 'seed')} find a difference of {effect:g}, the"
        f" smallest of interest, in {100 * chance:.0f} of 100 studies, by the spread on"
        f" {counted(len(suites.development), 'development prompt')}{once}: {enough} for {100 * POWER:.0f}\n"
        f"what finds it {100 * POWER:.0f} times in 100: {'; '.join(designs)}\n"
        f"so few prompts tell a spread roughly: with {counted(own, 'seed')} it may take {likely[0]} to {likely[1]} test"
        f" prompts ({100 * LIKELY:.0f} % interval)"
    )


def expected_spread(study: Study) -> tuple[Spread, str]:
    """The spread to expect of CLIPScore differences, and where it is from: this study's earlier scores, or standard."""
    try:
        scores = read_scores(study.scores, whole=False)
        return study_spread(scores, "clip_score", primary_model(scores)), "earlier scores on the development prompts"
    except ScoreError:
        return STANDARD, "no earlier scores"


def design_sentence(study: Study) -> str:
    """What the study as it is set can find, to be read before anything is sampled."""
    spread, source = expected_spread(study)
    prompts, seeds = len(study.sampling.test), len(study.sampling.seeds)
    found = detectable_effect(prompts, seeds, spread)
    if found == 0:
        return f"Differences of study {study.name} did not spread in its {source}: it would find any."
    unit = "standard deviations of a pair’s difference" if spread == STANDARD else "of CLIPScore"
    return (
        f"{prompts} test prompts × {seeds} seeds find a true difference of {found:.2g} {unit} in 4 of 5 studies "
        f"(spread: {source}); to find half of it takes {prompts_needed(found / 2, seeds, spread)} prompts."
    ) + _margin_sentence(study, spread)


def _margin_sentence(study: Study, spread: Spread) -> str:
    """Whether equal arms would be shown to be equivalent; empty without a margin, or without a known spread."""
    margin = study.claims.margin.get("clip_score")
    if margin is None or spread == STANDARD:
        return ""
    least = provable_margin(len(study.sampling.test), len(study.sampling.seeds), spread)
    can = "can be shown" if margin >= least else f"cannot be counted on: that takes ±{least:.2g}"
    return f" Equivalence within ±{margin:g} {can}."
