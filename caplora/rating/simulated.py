"""A rater who is no person: knows the truth of each picture, and answers by it with a stated noise.

It proves in tests and simulations that what is put in comes out again. Its answers say that they are simulated, and
`read_answers` leaves them out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit

from caplora.rating.answers import Answer, answer_to, now
from caplora.rating.design import ITSELF, QUESTIONS, Comparison, Pair, plan, plan_id
from caplora.sampling import Sample
from caplora.study import BASELINE

Truth = Mapping[tuple[str, str, int], float]  # (arm, prompt, seed) → how good the picture is


@dataclass(frozen=True)
class SimulatedRater:
    """Prefers the right picture with a chance of 1 / (1 + e^−(sharpness · (truth right − left) + leaning)).

    `leaning` is towards the arm that is not the reference, so that raters can differ; `undecided` is the chance of
    seeing no difference, `lapse` of answering by a coin.
    """

    name: str
    truth: Mapping[str, Truth]  # question → truth
    sharpness: float = 4.0
    leaning: float = 0.0
    undecided: float = 0.1
    lapse: float = 0.02
    reference: str = BASELINE
    seed: int = 0
    _rng: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rng", np.random.default_rng([self.seed, *self.name.encode()]))

    def answers(self, pairs: Sequence[Pair]) -> list[Answer]:
        """What it answers to its plan of these pairs."""
        shown = plan(pairs, self.name)
        own = plan_id(shown)
        return [
            answer_to(comparison, {
                "rater": self.name, "time": now(), "plan": own, "order": order, "question": question, "seconds": 1.0,
                "answer": self.answer(comparison, question),
            }, simulated=True)
            for order, comparison in enumerate(shown)
            for question in QUESTIONS
        ]  # fmt: skip

    def answer(self, comparison: Comparison, question: str) -> str:
        """Left, right or equal."""
        if comparison.kind == ITSELF or self._rng.random() < self.undecided:
            return "equal"
        if self._rng.random() < self.lapse:
            return "right" if self._rng.random() < 0.5 else "left"
        return "right" if self._rng.random() < self.chance(comparison, question) else "left"

    def chance(self, comparison: Comparison, question: str) -> float:
        """Of preferring the right picture, before it is undecided or lapses."""
        left, right = comparison.left, comparison.right
        gain = self.worth(right, comparison, question) - self.worth(left, comparison, question)
        leans = (right.variant != self.reference) - int(left.variant != self.reference)
        return float(expit(self.sharpness * gain + self.leaning * leans))

    def worth(self, sample: Sample, comparison: Comparison, question: str) -> float:
        """How good a picture is for a question; one that was drawn for other words fits none of these."""
        if question == "words" and sample.prompt != comparison.prompt:
            return -1.0
        return self.truth[question][sample.variant, sample.prompt, sample.seed]

    def preference(self, pair: Pair, question: str) -> float:
        """The mean of its answers to a pair: 1 for the arm, 0 for the reference, 0.5 for no difference."""
        reference, arm = pair
        chance = self.chance(Comparison("pair", reference, arm, reference.prompt), question)
        return 0.5 * self.undecided + (1 - self.undecided) * (0.5 * self.lapse + (1 - self.lapse) * chance)


def truth_of(scores: pd.DataFrame, metric: str) -> Truth:
    """The truth of pictures by a metric of a table of scores: of the mini world, `judge` and `identity`."""
    rows = scores[scores["metric"] == metric]
    places = zip(rows["variant"], rows["prompt"], rows["seed"], strict=True)
    return dict(zip(places, rows["value"].astype(float), strict=True))
