"""What a study can find, said before it is sampled: the smallest true difference, and the prompts a smaller one needs.

The spread it takes is that of an earlier study's development prompts; where there is none, differences are counted in
standard deviations of one sample's difference.
"""

from scipy import stats

from caplora.statistics.effects import ScoreError, primary_model, read_scores
from caplora.statistics.intervals import INNER, POWER, detectable_errors
from caplora.statistics.variance import STANDARD, Spread, study_spread
from caplora.study import Study

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


def expected_spread(study: Study) -> tuple[Spread, str]:
    """The spread to expect of CLIPScore differences, and where it is from: this study's earlier scores, or standard."""
    try:
        scores = read_scores(study.scores)
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
