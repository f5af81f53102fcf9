"""again.py: what further trainings of the best recipes take, and whether the study's limit allows it."""

from typing import Any

import pytest

from benchmarks.shapes import base_configs
from caplora.planning.again import pictures_again
from caplora.planning.cards import CARDS
from caplora.planning.plan import forecast_of
from caplora.study.study import Study, read_study
from caplora.study.variants import read_variants

STUDY, GRID = read_study("sd15"), read_variants("grid")


def with_training(**training: Any) -> Study:
    return STUDY.model_copy(update={"training": STUDY.training.model_copy(update=training)})


def test_each_training_draws_development_and_those_of_a_finalist_the_rest_too() -> None:
    suites, seeds = {name: len(suite) for name, suite in STUDY.sampling.suites.items()}, len(STUDY.sampling.seeds)
    rest = suites["test"] + suites["edits"] + suites["unrelated"]
    assert pictures_again(STUDY, 2) == seeds * (2 * 3 * suites["development"] + (3 - 1) * rest)
    early = suites["development"] + suites["unrelated"]  # of a kept step, with one seed
    kept = with_training(keep=(100, 200))
    assert pictures_again(kept, 2) - pictures_again(STUDY, 2) == 2 * 3 * (2 * early + suites["unrelated"])


def test_six_trainings_of_the_largest_rank_take_as_long_as_the_steps_of_a_grid_of_six() -> None:
    found = forecast_of(STUDY, GRID, base_configs("sd15"), CARDS["T4"])
    assert found.again.training == pytest.approx(found.minutes.training, rel=0.05)  # which encodes the images too
    drawn = sum(found.drawn.values())
    assert found.again.drawing / found.minutes.sampling == pytest.approx(pictures_again(STUDY, 2) / drawn)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({}, "Then 03 trains the best 2 again from 3 other seeds, about 27 minutes"),
        ({"finalist_minutes": 20}, "Not the best 2 again from 3 other seeds: that takes 46 minutes"),
        ({"finalist_seeds": 0}, ""),
    ],
)
def test_plan_says_whether_the_limit_allows_it(training: dict[str, int], said: str) -> None:
    found = forecast_of(with_training(**training), GRID, base_configs("sd15"), CARDS["T4"])
    assert found.again.said().startswith(said) and bool(found.again.said()) == bool(said)
    assert found.again.said() in found.said()
