"""What the statistics of people's answers do in simulated studies: `python benchmarks/rating.py [--run RUN]`.

How often the interval of a preference holds the truth and how often its test errs, with raters who differ; whether
Bradley–Terry strengths come out as they were put in; and of a finished mini study, given by its file, what raters who
know its truth (the judge for words, the identity encoder for the person, with noise) would say, and how well every
metric agrees with them. None of it is the answer of a person.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from scipy.special import expit

from caplora.choosing import read_choice
from caplora.rating.clustered import two_way_interval
from caplora.rating.design import pairs_of
from caplora.rating.opinions import opinions_of
from caplora.rating.preferences import strengths
from caplora.rating.sentences import metric_sentences, people_sentences
from caplora.rating.simulated import SimulatedRater, truth_of
from caplora.sampling import read_samples
from caplora.statistics import read_scores
from caplora.study import BASELINE, read_study

SPREAD_OF_PROMPTS, SPREAD_OF_BOTH, UNDECIDED = 0.8, 0.3, 0.1  # logits, logits, chance
DESIGNS = ((1, 50, 1), (2, 50, 1), (3, 50, 1), (4, 50, 1), (6, 50, 1), (10, 50, 1), (3, 16, 3), (5, 16, 3))
# raters, prompts, seeds
STOPPED = (1.0, 1.0, 0.5, 0.2, 0.1)  # what raters answer of all, where they stop as it suits them
LEANINGS = (0.0, 0.2, 0.4, 0.6, 1.0)  # standard deviation of raters, logits


def studies(design: tuple[int, int, int], mean: float, leaning: float, count: int) -> Iterator[np.ndarray]:
    """The answers of studies, (raters, prompts, seeds) each: 1, 0, or 0.5 for no difference."""
    rng = np.random.default_rng([*design, round(100 * leaning), round(100 * mean)])
    raters, prompts, _ = design
    for _ in range(count):
        logit = mean + rng.normal(0, leaning, (raters, 1, 1)) + rng.normal(0, SPREAD_OF_PROMPTS, (1, prompts, 1))
        logit = logit + rng.normal(0, SPREAD_OF_BOTH, (raters, prompts, 1))
        values = (rng.random(design) < expit(logit)).astype(float)
        yield np.where(rng.random(design) < UNDECIDED, 0.5, values)


def truth(mean: float, leaning: float) -> float:
    """The preference that such studies estimate."""
    sd = np.sqrt(SPREAD_OF_PROMPTS**2 + SPREAD_OF_BOTH**2 + leaning**2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float(0.5 * UNDECIDED + (1 - UNDECIDED) * (weights * expit(mean + sd * nodes)).sum() / weights.sum())


def covered(
    design: tuple[int, int, int], mean: float, leaning: float, count: int, answered: Sequence[float]
) -> tuple[float, float, float]:
    """The shares of studies whose interval holds the truth and whose p is below 0.05, and the median width."""
    raters, prompts, _ = (index.ravel() for index in np.indices(design))
    each = np.arange(prompts.size // design[0])  # what a rater is asked, prompts in an order that says nothing
    kept = np.concatenate([each < share * len(each) for share in answered])
    found = [
        two_way_interval(v.ravel()[kept], prompts[kept], raters[kept]) for v in studies(design, mean, leaning, count)
    ]
    true = truth(mean, leaning)
    held = np.mean([f.low <= true <= f.high for f in found])
    return float(held), float(np.mean([f.p < 0.05 for f in found])), float(np.median([f.high - f.low for f in found]))


def interval_table(count: int) -> pd.DataFrame:
    """Coverage without a preference and with one of about 71 %, type-I error and median width of each design."""
    rows = []
    for design, answered in (*((design, (1.0,) * design[0]) for design in DESIGNS), ((5, 50, 1), STOPPED)):
        for leaning in LEANINGS if design[0] > 1 else LEANINGS[:1]:
            null, some = (covered(design, mean, leaning, count, answered) for mean in (0.0, 1.2))
            rows.append((*design, min(answered), leaning, null[1], null[0], some[0], null[2]))
            print(rows[-1], flush=True)
    columns = ["raters", "prompts", "seeds", "least answered", "sd of raters"]
    columns += ["type I", "covers 50 %", "covers 71 %", "median width"]
    return pd.DataFrame(rows, columns=columns)


def strength_errors(count: int, answers: int = 300) -> pd.DataFrame:
    """How far strengths of four arms are from those put in, in `count` studies of so many answers."""
    known, rng = np.array([0.0, 0.5, 1.0, 2.0]), np.random.default_rng(0)
    arms, found = [f"arm {i}" for i in range(4)], []
    for _ in range(count):
        both = np.array([rng.choice(4, 2, replace=False) for _ in range(answers)])
        won = rng.random(answers) < expit(known[both[:, 1]] - known[both[:, 0]])
        table = pd.DataFrame({"reference": both[:, 0], "arm": both[:, 1], "value": won.astype(float)})
        found.append(strengths(table.replace({"reference": dict(enumerate(arms)), "arm": dict(enumerate(arms))}), arms))
    return pd.DataFrame({"put in": known, "mean": np.mean(found, 0), "sd": np.std(found, 0)}, index=arms)


def of_a_run(path: str, raters: int = 3) -> str:
    """What raters who know the truth of a finished study would say of its chosen variant."""
    study = read_study(path)
    chosen = read_choice(study)
    arms = [BASELINE, *chosen.loc[chosen["chosen"].astype(bool), "variant"]]
    pairs = pairs_of({arm: read_samples(study.samples(arm)) for arm in arms})
    scores = read_scores(study.scores, arms)
    known = {"words": truth_of(scores, "judge"), "person": truth_of(scores, "identity")}
    leanings = np.random.default_rng(0).normal(0, 0.4, raters)
    own = [SimulatedRater(f"simulated {i}", known, 6.0, float(lean), seed=i) for i, lean in enumerate(leanings)]
    opinions = opinions_of(pd.DataFrame([asdict(a) for rater in own for a in rater.answers(pairs)]), scores)
    put_in = {q: np.mean([r.preference(pair, q) for r in own for pair in pairs]) for q in known}
    said = [*people_sentences(opinions), *metric_sentences(opinions), f"put in: {put_in}"]
    return "\n".join([*said, opinions.metrics.round(2).to_string()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--run", help="the file of a finished mini study")
    asked = parser.parse_args()
    if asked.run:
        print(of_a_run(asked.run))
        sys.exit()
    print(interval_table(asked.studies).round(3).to_string(index=False))
    print(strength_errors(asked.studies).round(3).to_string())


if __name__ == "__main__":
    main()
