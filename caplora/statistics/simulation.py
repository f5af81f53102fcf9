"""What the study's tests do when nothing is true: how often each finds a difference that is not there.

Studies of the same design are drawn with the same spread and no effect. Beside the tests that caplora uses stands the
naive one, which takes the samples of a prompt for independent evidence.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from caplora.statistics.intervals import LEVEL, Array, flip_test, sign_flips, t_quantile
from caplora.statistics.variance import Spread

Shape = Literal["normal", "skewed", "heavy", "lopsided"]
DRAW: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {  # mean 0, variance 1
    "normal": lambda rng, size: rng.normal(size=size),
    "skewed": lambda rng, size: rng.exponential(size=size) - 1,  # skewness 2
    "heavy": lambda rng, size: rng.standard_t(3, size) / np.sqrt(3),  # no fourth moment
    "lopsided": lambda rng, size: (rng.gamma(0.5, size=size) - 0.5) / np.sqrt(0.5),  # of two arms: skewness 2
}
SIDE = {"normal": -1, "skewed": -1, "heavy": -1, "lopsided": 1}  # what the baseline's draw is multiplied by
TESTS = (
    "verdict",  # on one variant: interval and sign flips both show a difference
    "sign flips",
    "t interval",  # excludes the truth; 1 − this is what it covers
    "samples as if independent",  # a t interval of P·S samples
    "any variant, uncorrected",  # a verdict on at least one
    "any variant, corrected",  # max-T
)
CELLS = 300_000  # flips × variants × studies in memory at once: what fits a processor's cache


def simulated_errors(
    spread: Spread,
    prompts: int,
    seeds: int,
    variants: int = 1,
    shape: Shape = "normal",
    studies: int = 1000,
    key: int = 0,
) -> pd.DataFrame:
    """How often each test errs at 5 % in studies without an effect: `test`, `rate`, its 95 % Monte-Carlo interval.

    Variants share the baseline, so their differences correlate by 0.5. `shape` is that of the prompt effects of the
    arms: normal, skewed (exponential), or heavy-tailed (t with 3 degrees of freedom). Of these, differences are
    symmetric, as they are where adapter and baseline are exchangeable. Lopsided ones are not: few prompts gain much and
    many lose a little, and the mean is zero; no test here is exact for them.
    """
    parts = list(_judged(null_differences(spread, prompts, seeds, variants, shape, studies, key)))
    judged = {test: np.concatenate([part[test] for part in parts]) for test in TESTS}  # share of errors, by study
    rate = pd.Series({test: errors.mean() for test, errors in judged.items()})
    half = 1.96 * pd.Series({test: errors.std() / np.sqrt(studies) for test, errors in judged.items()})
    table = pd.DataFrame({"rate": rate, "low": (rate - half).clip(lower=0), "high": rate + half})
    return table.rename_axis("test").reset_index()


def null_differences(
    spread: Spread, prompts: int, seeds: int, variants: int, shape: Shape, studies: int, key: int = 0
) -> Array:
    """Differences from a shared baseline with this spread and mean zero, (studies, V, P, S)."""
    rng = np.random.default_rng(key)

    def drawn(variance: float, size: tuple[int, int], shape: str = "normal") -> Array:
        arms = DRAW[shape](rng, (studies, variants + 1, *size)) * np.sqrt(variance / 2)
        return arms[:, 1:] + SIDE[shape] * arms[:, :1]

    rest = drawn(spread.rest, (prompts, seeds))
    return drawn(spread.prompt, (prompts, 1), shape) + rest


def _judged(samples: Array) -> Iterator[dict[str, NDArray]]:
    """The share of variants for which each test errs, of each study, (studies,): some studies at a time."""
    flips = sign_flips(samples.shape[2])
    count = max(1, CELLS // (len(flips) * samples.shape[1]))
    for i in range(0, len(samples), count):
        chunk = samples[i : i + count]
        p, corrected = flip_test(chunk.mean(3), flips)
        flipped, excluded = p <= 1 - LEVEL, excludes_zero(chunk.mean(3))
        naive = excludes_zero(chunk.reshape(*chunk.shape[:2], -1))
        verdict = flipped & excluded
        yield {
            "verdict": verdict.mean(1), "sign flips": flipped.mean(1), "t interval": excluded.mean(1),
            "samples as if independent": naive.mean(1),
            "any variant, uncorrected": verdict.max(1), "any variant, corrected": (corrected <= 1 - LEVEL).max(1),
        }  # fmt: skip


def excludes_zero(draws: Array) -> NDArray[np.bool_]:
    """Whether the 95 % t interval over the last axis excludes zero."""
    n = draws.shape[-1]
    half = t_quantile(LEVEL, n - 1) * draws.std(-1, ddof=1) / np.sqrt(n)
    return np.abs(draws.mean(-1)) > half
