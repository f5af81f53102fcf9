"""How many answers give which precision, said before anybody has answered.

What the answers will spread like is not known then. Taken for it: of the variance of an answer, a tenth is the
prompt's and 3 in 100 are the rater's own leaning (raters who differ by about 9 points).
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from caplora.rating.design import REPEATS, SAME, SECONDS, SHUFFLED, Pair
from caplora.statistics import LEVEL
from caplora.study import counted

RATERS = 3  # one researcher and two colleagues
PROMPT, RATER = 0.10, 0.03  # shares of the variance of an answer
MORE = 6  # raters to ask where that is not enough
FOUND = 0.80  # of studies


def standard_error(prompts: int, each: int, raters: int, preference: float = 0.5) -> tuple[float, float]:
    """Of a preference rate of `raters` who answer `each` pairs of each prompt, and its degrees of freedom.

    √(σ²_prompt/P + σ²_rater/R + σ²_rest/N), with Satterthwaite's degrees of freedom, as `two_way_interval` estimates
    it. One rater's answers say nothing of other raters, and their variance is left out.
    """
    variance = preference * (1 - preference)
    rest = variance * (1 - PROMPT - RATER) / (prompts * each * raters)
    of_prompts, of_raters = variance * PROMPT / prompts, variance * RATER / raters if raters > 1 else 0.0
    whole = of_prompts + of_raters + rest
    parts = (of_prompts + rest) ** 2 / (prompts - 1)
    if raters > 1:
        parts += (of_raters + rest) ** 2 / (raters - 1) + rest**2 / ((prompts - 1) * (raters - 1))
    return float(np.sqrt(whole)), whole**2 / parts


def power(preference: float, prompts: int, each: int, raters: int) -> float:
    """How often such a study tells a true preference from 50 %, by the noncentral t distribution."""
    error, freedom = standard_error(prompts, each, raters, preference)
    t, shift = stats.t.ppf((1 + LEVEL) / 2, freedom), abs(preference - 0.5) / error
    return float(stats.nct.sf(t, freedom, shift) + stats.nct.cdf(-t, freedom, shift))


def found_preference(prompts: int, each: int, raters: int) -> float:
    """The smallest preference, in whole per cent as a share, that 4 of 5 such studies tell from 50 %; 1 if none."""
    shares = [p / 100 for p in range(51, 100)]
    return next((p for p in shares if power(p, prompts, each, raters) >= FOUND), 1.0)


def design_sentence(pairs: Sequence[Pair], questions: int = 2, raters: int = RATERS) -> str:
    """How many comparisons there are, how long they take, and what they can show."""
    prompts = len({pair[0].prompt for pair in pairs})
    each = len(pairs) // prompts
    shown = len(pairs) + min(REPEATS, len(pairs) // 2) + SAME + SHUFFLED
    minutes = max(1, round(shown * questions * SECONDS / 60))
    error, freedom = standard_error(prompts, each, raters)
    half = 100 * stats.t.ppf((1 + LEVEL) / 2, freedom) * error
    told = {r: found_preference(prompts, each, r) for r in (raters, MORE)}
    least = ", ".join(f"with {r} raters one of {100 * p:.0f} %" for r, p in told.items() if p < 1)
    return (
        f"{shown} comparisons, about {minutes} minutes. {len(pairs) * raters} answers by {counted(raters, 'rater')} to"
        f" {counted(len(pairs), 'pair')} of {prompts} prompts give a preference to about ± {half:.0f} points: a true"
        f" preference of 60 % is told from 50 % {100 * power(0.6, prompts, each, raters):.0f} times in 100;"
        f" four times in five {least}."
    )
