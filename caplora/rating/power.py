"""How many answers give which precision, said before anybody has answered.

What the answers will spread like is not known then. Taken for it: of the variance of an answer, a tenth is the
prompt's and 3 in 100 are the rater's own leaning (raters who differ by about 9 points).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from caplora.rating.clustered import NONE, Part, half_width
from caplora.rating.design import REPEATS, SAME, SECONDS, SHUFFLED, Pair
from caplora.statistics import LEVEL
from caplora.study import counted

RATERS = 3  # one researcher and two colleagues
PROMPT, RATER = 0.10, 0.03  # shares of the variance of an answer
MORE = 6  # raters to ask where that is not enough
FOUND = 0.80  # of studies


@lru_cache
def precision(prompts: int, each: int, raters: int) -> tuple[float, float, float]:
    """Of a preference rate of `raters` who answer `each` pairs of each prompt, for answers of variance 1.

    Its standard error √(σ²_prompt/P + σ²_rater/R + σ²_rest/N), half of the interval of `two_way_interval` where mean
    squares are as expected, and the degrees of freedom of the t that is as wide. One rater's answers say nothing of
    other raters, whose variance is left out.
    """
    rest = (1 - PROMPT - RATER) / (prompts * each * raters)
    of_prompts, of_raters, both = Part(PROMPT / prompts + rest, prompts - 1), NONE, NONE
    if raters > 1:
        of_raters, both = Part(RATER / raters + rest, raters - 1), Part(rest, (prompts - 1) * (raters - 1))
    error = float(np.sqrt(of_prompts.variance + of_raters.variance - both.variance))
    half = half_width(of_prompts, of_raters, both)
    freedom = brentq(lambda df: stats.t.ppf((1 + LEVEL) / 2, df) - half / error, 0.1, 1e4)
    return error, half, float(freedom)


def power(preference: float, prompts: int, each: int, raters: int) -> float:
    """How often such a study tells a true preference from 50 %, by the noncentral t distribution."""
    error, half, freedom = precision(prompts, each, raters)
    shift = abs(preference - 0.5) / np.sqrt(preference * (1 - preference)) / error
    t = half / error
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
    half = min(100 * precision(prompts, each, raters)[1] * np.sqrt(0.25), 50)
    told = {r: found_preference(prompts, each, r) for r in (raters, MORE)}
    least = ", ".join(f"with {counted(r, 'rater')} one of {100 * p:.0f} %" for r, p in told.items() if p < 1)
    return (
        f"{shown} comparisons, about {minutes} minutes. {len(pairs) * raters} answers by {counted(raters, 'rater')} to"
        f" {counted(len(pairs), 'pair')} of {prompts} prompts give a preference to about ± {half:.0f} points: a true"
        f" preference of 60 % is told from 50 % {100 * power(0.6, prompts, each, raters):.0f} times in 100;"
        f" four times in five {least or 'none is, not even one of 99 %: draw more prompts'}."
    )
