"""retraining.py and what Choice makes of it: trainings that had no say in what was trained again are those judged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from caplora.choosing.choice import Choice
from caplora.choosing.retraining import read_asked, read_retrained
from caplora.statistics.variance import crossed_interval
from caplora.study.reading import StudyError
from caplora.study.retraining import recipes_again, why_once
from caplora.study.study import Study, read_study
from caplora.study.variants import Variant, read_variants
from tests.choosing.test_choice import SPLITS, names, scored

ASKED = [Variant(rank=4, alpha=4), Variant(rank=4, alpha=8), Variant(rank=8, alpha=8)]
GAINS = {"r4_a4": 0.1, "r4_a8": 0.3, "r8_a8": 0.2}
Laid = Callable[..., Study]


@pytest.fixture
def laid(tmp_path: Path) -> Laid:
    def lay(finalists: int | None = 1, **training: Any) -> Study:
        sampling = {"development": ["x"], "test": ["a", "b"], "finalists": finalists}
        content = {"name": "faces", "images": {"folder": "faces"}, "sampling": sampling, "training": training}
        (tmp_path / "faces.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return read_study(tmp_path / "faces.yaml")

    return lay


def second(study: Study, gains: dict[str, float], *splits: str) -> Choice:
    """The choice once the two best were trained again, these trainings with gains of their own."""
    again = Choice(study, ASKED, scored(GAINS, "development")).to_retrain
    return Choice(study, [*ASKED, *again], scored(GAINS | gains, *splits))


def test_the_best_two_recipes_are_trained_again_from_three_seeds_after_the_studys(laid: Laid) -> None:
    again = Choice(laid(), ASKED, scored(GAINS, "development")).to_retrain
    assert names([*again]) == [f"{recipe}_s{seed}" for recipe in ("r4_a8", "r8_a8") for seed in (1, 2, 3)]
    assert {v.seed for v in Choice(laid(seed=7), ASKED, scored(GAINS, "development")).to_retrain} == {8, 9, 10}


@pytest.mark.parametrize(
    ("finalists", "training", "variants", "why"),
    [
        (None, {}, ASKED, "all variants draw the test prompts"),
        (1, {"finalist_seeds": 0}, ASKED, "asks for no other seeds"),
        (1, {}, [*ASKED, Variant(rank=4, alpha=4, seed=5)], "name their training seeds themselves"),
    ],
)
def test_nothing_is_trained_again_where_the_study_says_otherwise(
    laid: Laid, finalists: int | None, training: dict[str, int], variants: list[Variant], why: str
) -> None:
    study, gains = laid(finalists, **training), {v.name: 0.1 for v in variants}
    assert Choice(study, variants, scored(gains, "development")).to_retrain == ()
    assert why in why_once(study, variants) and recipes_again(study, variants) == 0


def test_arms_of_an_experiment_are_not_trained_again(laid: Laid) -> None:
    asked = [*ASKED[1:], Variant(rank=4, alpha=8, images=9), Variant(rank=4, alpha=8, captions="none")]
    gains = {v.name: 0.1 * i for i, v in enumerate(asked)}
    again = Choice(laid(3), asked, scored(gains, "development")).to_retrain
    assert {v.model_copy(update={"seed": None, "retrained": None}) for v in again} == {*ASKED[1:]}


def test_the_second_choice_is_by_the_further_trainings_alone(laid: Laid) -> None:
    better = {f"r4_a8_s{s}": 0.05 for s in (1, 2, 3)} | {f"r8_a8_s{s}": 0.15 for s in (1, 2, 3)}
    choice = second(laid(), better, *SPLITS)
    assert choice.best == "r8_a8_s1" and choice.tested == ["r8_a8_s1", "r8_a8_s2", "r8_a8_s3"]
    assert choice.known == {"r8_a8": {1: "r8_a8_s1", 2: "r8_a8_s2", 3: "r8_a8_s3"}} and choice.failed == {}
    assert {*GAINS, "r4_a8_s2"} < {v.name for v in choice.spared}
    assert choice.sentence() == (
        "3 variants were compared on the development prompts. From 3 other seeds the best 2 were trained again"
        " (r4_a8, r8_a8), and compared there by these trainings. The test prompts were spent on the trainings of r8_a8"
        " (r8_a8_s1, r8_a8_s2, r8_a8_s3), which had no say in what was trained again: the recipe’s p needs no"
        " correction."
    )


def test_a_further_training_that_failed_is_named_and_the_others_are_judged(laid: Laid) -> None:
    gains = {f"{r}_s{s}": 0.2 for r in ("r4_a8", "r8_a8") for s in (1, 2, 3)} | {"r4_a8_s1": 0.9, "r4_a8_s2": np.nan}
    choice = second(laid(), gains, *SPLITS)
    assert choice.known == {"r4_a8": {1: "r4_a8_s1", 3: "r4_a8_s3"}}
    assert list(choice.failed) == ["r4_a8_s2"] and "r4_a8_s2" in choice.sentence()
    assert choice.table().set_index("variant")["clip_score"].isna()["r4_a8_s2"]


def test_04_and_05_speak_of_all_trainings_of_the_recipes_that_03_trained_again(laid: Laid) -> None:
    study = laid()
    assert read_retrained(study, ASKED) == ()
    gains = {f"{r}_s{s}": 0.2 for r in ("r4_a8", "r8_a8") for s in (1, 2, 3)} | {"r4_a8_s2": np.nan}
    study.run.mkdir(parents=True)
    second(study, gains, *SPLITS).table().to_csv(study.choice, index=False)
    assert names([*read_asked(study, ASKED)]) == [*GAINS, *gains]
    assert read_asked(laid(finalist_seeds=0), ASKED) == tuple(ASKED)


def test_further_trainings_of_a_recipe_that_leads_no_more_are_not_judged(laid: Laid) -> None:
    study = laid()
    stale = study.training.retrained(ASKED[:1])  # as an earlier choice has them, of other variants
    choice = Choice(study, [*ASKED, *stale], scored(GAINS | {v.name: 0.9 for v in stale}, *SPLITS))
    assert choice.best == "r4_a8" and choice.tested == ["r4_a8"] and choice.retrained == []


def test_further_trainings_that_were_made_otherwise_are_not_taken_for_the_same_recipe(laid: Laid) -> None:
    study, first = laid(finalist_seeds=1), ASKED[1]
    [again] = study.training.retrained([first])
    study.run.mkdir(parents=True)
    second(study, {"r4_a8_s1": 0.2, "r8_a8_s1": 0.1}, *SPLITS).table().to_csv(study.choice, index=False)
    for variant, seed in ((first, 0), (again, 1)):
        study.adapter(variant).mkdir(parents=True)
        made = {"training": {"steps": 9, "seed": seed}, "images": {}}
        (study.adapter(variant) / "training.json").write_text(json.dumps(made), encoding="utf-8")
    assert again in read_retrained(study, ASKED)
    (study.adapter(first) / "training.json").write_text(json.dumps(made | {"training": {"steps": 10, "seed": 0}}))
    assert names([*read_retrained(study, ASKED)]) == ["r8_a8_s1"]


def test_a_further_training_has_its_steps_and_one_of_them_stands_for_it(laid: Laid) -> None:
    study = laid(steps=400, keep=[100])
    asked = study.training.with_steps(ASKED)
    early = {v.name: GAINS[v.model_copy(update={"step": None}).name] + 0.5 * bool(v.step) for v in asked}
    again = study.training.with_steps(Choice(study, asked, scored(early, "development")).to_retrain)
    assert {v.step for v in again} == {100, None} and len(again) == 12
    late = {v.name: 0.1 + 0.5 * (v.step is None) for v in again}
    choice = Choice(study, [*asked, *again], scored(early | late, *SPLITS))
    assert choice.best == "r4_a8_s1" and "r4_a8_step100" in names(choice.compared)


def test_no_file_of_variants_says_that_one_was_retrained() -> None:
    with pytest.raises(StudyError, match=r"retrained is not for a file of variants: training.finalist_seeds"):
        read_variants([{"rank": 4, "alpha": 4, "retrained": True}])


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.8])
def test_trainings_that_had_no_say_err_one_time_in_twenty_and_those_that_had_more(spread: float) -> None:
    """2,000 studies of six recipes that are worth nothing, spread over training seeds. Error 0.5 %."""
    rng, prompts, early = np.random.default_rng(1), 16, 6
    fresh, first = [], []
    for _ in range(2000):
        training = spread * rng.normal(size=(4, 6, 1))
        shared = 0.5 * rng.normal(size=early + prompts) + 0.35 * rng.normal(size=(6, early + prompts))
        drawn = training + shared + 0.5 * rng.normal(size=(4, 6, early + prompts))
        chosen_by = drawn[..., :early].mean(2)
        two = np.argsort(-chosen_by[0])[:2]
        best = two[chosen_by[1:, two].mean(0).argmax()]
        lucky = two[chosen_by[:3, two].mean(0).argmax()]
        fresh.append(crossed_interval(drawn[1:, best, early:, None]))
        first.append(crossed_interval(drawn[:3, lucky, early:, None]))
    errs = np.mean([found.p <= 0.05 for found in fresh])
    assert errs <= 0.05 and np.mean([found.low <= 0 <= found.high for found in fresh]) == pytest.approx(1 - errs)
    if spread == 0.8:  # where the training that was chosen judges too, its luck counts
        assert np.mean([found.p <= 0.05 for found in first]) > 0.06
        assert np.mean([found.mean for found in first]) > 1.5 * np.mean([found.mean for found in fresh])
