"""steps.py: one step of a training stands for it, by its rule, and what was chosen on development is judged on test."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray
from scipy import stats

from caplora.choosing.choice import Choice
from caplora.choosing.steps import chosen_steps
from caplora.statistics.effects import COLUMNS
from caplora.study.reading import StudyError
from caplora.study.study import Study, read_study
from caplora.study.training_settings import Training
from caplora.study.variants import BASELINE, Variant, read_variants

TRAINING = Training(steps=400, keep=(100, 200, 400, 900))
ASKED = TRAINING.with_steps([Variant(rank=4, alpha=4), Variant(rank=8, alpha=8)])
RISE = dict(zip((v.name for v in ASKED), (0.1, 0.4, 0.3, 0.2, 0.1, 0.1), strict=True))


def scored(gains: dict[str, float], noise: float = 0.0, seeds: tuple[int, ...] = (0,)) -> pd.DataFrame:
    """CLIPScores on four development prompts: of an arm its gain, and noise that differs by prompt."""
    rng, rows = np.random.default_rng(0), []
    for p, s in product(range(4), seeds):
        for arm, gain in {BASELINE: 0.0, **gains}.items():
            rows.append((arm, f"prompt {p}", s, "development", "clip_score", "a", 1 + gain + noise * rng.normal()))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_the_steps_of_a_training_are_variants_before_its_last() -> None:
    assert list(RISE) == ["r4_a4_step100", "r4_a4_step200", "r4_a4", "r8_a8_step100", "r8_a8_step200", "r8_a8"]
    every, both = Training(steps=10, keep_every=3), Training(steps=9, keep_every=3, keep=(2, 3))
    assert (every.kept_steps, both.kept_steps, Training().kept_steps) == ((3, 6, 9), (2, 3, 6), ())
    arms = [Variant(rank=4, alpha=4, captions="none"), Variant(rank=4, alpha=4, images=9)]
    assert TRAINING.with_steps([*arms, Variant(rank=4, alpha=4)])[:2] == tuple(arms)
    assert len(TRAINING.with_steps(arms[1:])) == 3  # nothing else is a candidate
    with pytest.raises(StudyError, match="step is not for a file of variants"):
        read_variants([{"rank": 4, "alpha": 4, "step": 100}])


@pytest.mark.parametrize("steps", [(100, 200), ()])
def test_a_training_without_any_step_to_compare_fails_once_and_one_that_lacks_some_does_not(
    study: Study, steps: tuple[int, ...]
) -> None:
    """The second training diverged, and left what it had kept before; its last adapter drew black."""
    there = {"r8_a8_step100": 0.2, "r8_a8_step200": 0.1} if steps else {}
    gains = {name: RISE[name] for name in list(RISE)[:3]} | there
    choice = Choice(study, ASKED, scored(gains), {"r8_a8": "drew black"})
    assert list(choice.failed) == ([] if steps else ["r8_a8"])
    assert [v.name for v in choice.reported] == ["r4_a4_step200", "r8_a8_step100" if steps else "r8_a8"]
    none = Choice(study, ASKED, scored({}), dict.fromkeys(RISE, "drew black"))
    assert list(none.failed) == ["r4_a4", "r8_a8"] and none.sentence().startswith("0 of the 2 variants asked for")


@pytest.mark.parametrize("rule", ["maximum", "one_standard_error"])
def test_a_difference_that_is_the_same_on_every_prompt_decides(rule: str) -> None:
    assert [v.name for v in chosen_steps(ASKED, scored(RISE), rule)] == ["r4_a4_step200", "r8_a8_step100"]


def test_the_earliest_step_within_a_standard_error_of_the_best_stands_for_a_training() -> None:
    scores = scored(dict.fromkeys(RISE, 0.0) | {"r4_a4": 0.02}, noise=0.5)
    wide = scores.pivot(index="prompt", columns="variant", values="value")
    expected = []
    for steps in (list(RISE)[:3], list(RISE)[3:]):
        best = max(steps, key=lambda name: wide[name].mean())
        behind = {name: wide[best] - wide[name] for name in steps}
        expected.append(next(n for n in steps if n == best or behind[n].mean() <= stats.sem(behind[n])))
    assert [v.name for v in chosen_steps(ASKED, scores, "one_standard_error")] == expected
    assert expected != [v.name for v in chosen_steps(ASKED, scores, "maximum")]


def test_trainings_that_differ_in_their_seed_alone_have_one_step() -> None:
    asked = TRAINING.with_steps([Variant(rank=4, alpha=4), Variant(rank=4, alpha=4, seed=1)])
    gains = dict.fromkeys((v.name for v in asked), 0.0) | {"r4_a4_step100": 0.3, "r4_a4_s1_step200": 0.4}
    assert [v.name for v in chosen_steps(asked, scored(gains), "maximum")] == ["r4_a4_step200", "r4_a4_s1_step200"]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    sampling = {"development": ["x"], "test": ["a", "b"], "finalists": 1, "step_rule": "maximum", "seeds": [0, 1]}
    content = {"name": "faces", "images": {"folder": "faces"}, "sampling": sampling}
    (tmp_path / "faces.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return read_study(tmp_path / "faces.yaml")


def test_the_best_variant_at_its_step_is_drawn_and_all_others_are_spared(study: Study) -> None:
    scores = scored(RISE, seeds=(0, 1))
    early = scores["variant"].str.contains("step") & (scores["seed"] == 1)  # they draw the first seed alone
    choice = Choice(study, ASKED, scores[~early])
    assert (choice.best, choice.tested) == ("r4_a4_step200", ["r4_a4_step200"])
    assert [v.name for v in choice.compared] == ["r4_a4_step200", "r8_a8_step100"]
    assert {v.name for v in choice.spared} == {*RISE} - {"r4_a4_step200"} and choice.failed == {}


def test_what_one_sample_cannot_have_does_not_make_a_step_incomparable(study: Study) -> None:
    scores = scored(RISE, seeds=(0, 1))
    spread = scores.assign(metric="diversity")
    early = scores["variant"].str.contains("step")
    both = pd.concat([scores[~(early & (scores["seed"] == 1))], spread[~early]])  # diversity needs two seeds
    before, after = Choice(study, ASKED, scores[scores["seed"] == 0]), Choice(study, ASKED, both)
    assert before.best == after.best == "r4_a4_step200" and before.compared == after.compared
    assert "2 variants were compared on the development prompts, each at one of its steps, and" in after.sentence()
    assert "the best of them alone (r4_a4_step200)" in after.sentence()


def test_the_last_step_is_drawn_too_where_an_experiment_needs_it(study: Study) -> None:
    every = study.model_copy(update={"sampling": study.sampling.model_copy(update={"finalists": None})})
    asked = TRAINING.with_steps(
        [Variant(rank=4, alpha=4), Variant(rank=4, alpha=4, images=9), Variant(rank=8, alpha=8)]
    )
    choice = Choice(every, asked, scored(RISE | {"r4_a4_n9": 0.0}))
    assert choice.tested == ["r4_a4_step200", "r4_a4", "r4_a4_n9", "r8_a8_step100"]
    assert [v.name for v in choice.reported] == ["r4_a4_step200", "r8_a8_step100"]


def test_a_step_that_one_training_of_a_recipe_lacks_stands_for_none() -> None:
    asked = TRAINING.with_steps([Variant(rank=4, alpha=4), Variant(rank=4, alpha=4, seed=1)])
    there = [v for v in asked if v.name not in ("r4_a4_s1_step200", "r4_a4_s1")]  # it diverged
    gains = dict.fromkeys((v.name for v in there), 0.0) | {"r4_a4_step200": 0.9}
    assert [v.name for v in chosen_steps(there, scored(gains), "maximum")] == ["r4_a4_step100", "r4_a4_s1_step100"]


@pytest.mark.parametrize("effect", [0.0, 0.5])
def test_choosing_variant_and_step_on_development_and_judging_on_test_errs_one_time_in_twenty(effect: float) -> None:
    """4,000 studies of 6 variants × 4 steps: the test prompts cover the truth of what was chosen. Error 0.35 %."""
    rng = np.random.default_rng(0)
    studies, arms, development, test = 4000, 24, 6, 16
    truth = effect * rng.normal(size=(studies, arms))
    shared = rng.normal(size=(studies, 1, development + test))

    def drawn(prompts: slice, arm: NDArray[np.integer]) -> NDArray[np.floating]:
        """Prompt means of one arm of each study, (studies, prompts)."""
        own = values[np.arange(studies), arm]
        return own[:, prompts]

    values = truth[..., None] + 0.7 * shared + 0.7 * rng.normal(size=(studies, arms, development + test))
    chosen = values[..., :development].mean(-1).argmax(1)
    judged = drawn(slice(development, None), chosen)
    half = stats.t.ppf(0.975, test - 1) * judged.std(1, ddof=1) / np.sqrt(test)
    covered = np.abs(judged.mean(1) - truth[np.arange(studies), chosen]) <= half
    assert covered.mean() == pytest.approx(0.95, abs=0.015)
    if effect == 0:
        assert (np.abs(judged.mean(1)) > half).mean() <= 0.055
        best = drawn(slice(0, development), chosen)  # what was chosen by looks better than it is
        assert best.mean() > 0.4
