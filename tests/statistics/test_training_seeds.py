"""What is said of a recipe is true of trainings that were not tried; one training says nothing of them."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from caplora.statistics.effects import COLUMNS, ScoreError, effects
from caplora.statistics.training_seeds import (
    ONE,
    holm,
    ranked_recipes,
    recipe_effects,
    recipe_split,
    recipes,
    shown,
    training_sentence,
    trainings_of,
)
from caplora.statistics.variance import crossed_interval, variance_split
from caplora.study.training_settings import Training
from caplora.study.variants import Variant

TRAINED = Training(seed=0)


def trained(*seeds: int | None, rank: int = 16) -> list[Variant]:
    return [Variant(rank=rank, alpha=32, seed=seed) for seed in seeds]


def scores_of(samples: dict[str, np.ndarray]) -> pd.DataFrame:
    """Scores whose differences from a baseline that varies are these, variant → (P, S)."""
    rng, rows = np.random.default_rng(0), []
    first = next(iter(samples.values()))
    base = rng.normal(0.6, 0.1, first.shape)
    for p, s in product(*map(range, first.shape)):
        cell = (f"test {p}", s, "test", "clip_score", "a")
        rows += [("baseline", *cell, base[p, s])]
        rows += [(name, *cell, base[p, s] + found[p, s]) for name, found in samples.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def drawn(
    rng: np.random.Generator, training: float, effect: float = 0.0, shape: tuple[int, int, int] = (3, 12, 4)
) -> np.ndarray:
    t, p, s = shape
    sd = rng.normal(0, training, (t, 1, 1)) + rng.normal(0, 0.7, (1, p, 1))
    return effect + sd + rng.normal(0, 0.7, (t, p, s))


def test_recipe_is_a_variant_without_its_training_seed() -> None:
    variants = [*trained(None, 1, 2), Variant(rank=4, alpha=8), Variant(rank=16, alpha=32, seed=1, captions="none")]
    assert recipes(variants, TRAINED) == {
        "r16_a32": {0: "r16_a32", 1: "r16_a32_s1", 2: "r16_a32_s2"},
        "r4_a8": {0: "r4_a8"},
        "r16_a32_none": {1: "r16_a32_s1_none"},
    }


def test_same_training_twice_is_no_second_draw() -> None:
    with pytest.raises(ScoreError, match=r"r16_a32 and r16_a32_s7 are one training: both have the seed 7"):
        recipes(trained(None, 7), Training(seed=7))


def test_effect_of_a_recipe_is_the_mean_of_its_adapters_with_the_crossed_interval() -> None:
    samples = drawn(np.random.default_rng(1), 0.5, 1.0)
    known = recipes(trained(None, 1, 2), TRAINED)
    scores = scores_of(dict(zip(known["r16_a32"].values(), samples, strict=True)))
    found = recipe_effects(scores, "clip_score", "a", "test", known).iloc[0]
    whole = crossed_interval(samples)
    assert found[["difference", "low", "high", "p"]].tolist() == pytest.approx(
        [whole.mean, whole.low, whole.high, whole.p]
    )
    adapters = effects(scores, "clip_score", "a", "test")
    assert found["difference"] == pytest.approx(np.mean([e.difference for e in adapters]))
    assert found[["n_trainings", "n_prompts", "n_seeds", "about"]].tolist() == [3, 12, 4, "the recipe"]
    known_split = variance_split(samples)
    split = recipe_split(scores, "clip_score", "a", "test", known["r16_a32"])
    pd.testing.assert_frame_equal(split, known_split)


def test_one_training_is_about_this_adapter_only() -> None:
    samples = drawn(np.random.default_rng(2), 0.5, shape=(1, 12, 1))[0]
    found = recipe_effects(
        scores_of({"r16_a32": samples}), "clip_score", "a", "test", {"r16_a32": {0: "r16_a32"}}
    ).iloc[0]
    known = stats.ttest_1samp(samples[:, 0], 0)
    assert (found["about"], found["n_trainings"]) == (ONE, 1)
    assert found["p"] == found["p_corrected"] == pytest.approx(known.pvalue)
    assert found["low"] == pytest.approx(known.confidence_interval(0.95).low)


def test_recipes_that_do_nothing_are_found_one_time_in_twenty_where_their_adapters_are_found_often() -> None:
    """600 studies of a recipe that is worth nothing, whose trainings differ: one adapter is another story."""
    rng, known, names = np.random.default_rng(3), {"r16_a32": {0: "a", 1: "b", 2: "c"}}, ("a", "b", "c")
    recipe, adapter = [], []
    for _ in range(600):
        samples = drawn(rng, 0.5)
        recipe.append(crossed_interval(samples).p <= 0.05)
        adapter.append(stats.ttest_1samp(samples[0].mean(1), 0).pvalue <= 0.05)
    assert np.mean(recipe) <= 0.055
    assert np.mean(adapter) > 0.3
    scores = scores_of(dict(zip(names, drawn(rng, 0.1, effect=5.0), strict=True)))
    assert recipe_effects(scores, "clip_score", "a", "test", known)["verdict"].tolist() == ["beats"]


def test_correction_is_over_recipes_and_the_verdict_goes_by_it() -> None:
    rng = np.random.default_rng(5)
    samples = {f"v{i}": drawn(rng, 0, 0.45, (1, 12, 4))[0] for i in range(6)}
    found = recipe_effects(scores_of(samples), "clip_score", "a", "test", {name: {0: name} for name in samples})
    assert found["p_corrected"].tolist() == pytest.approx(holm(found["p"].to_numpy()).tolist())
    assert set(found.loc[found["p_corrected"] > 0.05, "verdict"]) == {"cannot be told from"}
    assert (found["p"] <= 0.05).sum() > (found["verdict"] == "beats").sum()


def test_holm_is_what_his_paper_says() -> None:
    """Steps by hand: 0.01 · 4, 0.015 · 3, 0.04 · 2, then never less than the step before."""
    assert holm(np.array([0.04, 0.01, 0.06, 0.015])) == pytest.approx([0.08, 0.04, 0.08, 0.045])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])


def test_missing_training_is_named() -> None:
    scores = scores_of({"r16_a32": np.ones((4, 2)), "r16_a32_s1": np.ones((4, 2))})
    cut = scores[(scores["variant"] != "r16_a32_s1") | (scores["prompt"] != "test 2")]
    with pytest.raises(ScoreError, match=r"r16_a32_s1 for prompt 'test 2'.*is missing"):
        recipe_effects(cut, "clip_score", "a", "test", {"r16_a32": {0: "r16_a32", 1: "r16_a32_s1"}})


def test_sentence_says_whether_the_training_was_drawn_more_than_once() -> None:
    assert f"trained once (seed 0): the result is about {ONE}" in training_sentence({"r4_a8": {0: "r4_a8"}}, "r4_a8")
    known = recipes([*trained(None, 1, 2), *trained(None, 1, rank=8)], TRAINED)
    assert training_sentence(known, "r16_a32_s1") == (
        "r16_a32 was trained 3 times (seeds 0, 1, 2), and its interval counts the training too."
    )
    assert "2 times (seeds 0, 1)" in (two := training_sentence(known, "r8_a32")) and "3 trainings or more" in two


def on(scores: pd.DataFrame, split: str) -> pd.DataFrame:
    return scores.assign(split=split, prompt=scores["prompt"].str.replace("test", split))


def gains(**by_variant: float) -> pd.DataFrame:
    return scores_of({name: np.full((4, 2), gain) for name, gain in by_variant.items()})


def test_recipe_is_chosen_by_the_mean_of_its_trainings_and_its_first_stands_for_it() -> None:
    known = {"r4_a8": {0: "r4_a8", 1: "r4_a8_s1"}, "r8_a8": {0: "r8_a8", 1: "r8_a8_s1"}}
    scores = on(gains(r4_a8=0.9, r4_a8_s1=0.0, r8_a8=0.5, r8_a8_s1=0.6), "development")
    assert ranked_recipes(scores, "clip_score", "a", known) == [
        "r8_a8",
        "r4_a8",
    ]  # though the best adapter is of the other
    assert shown(known["r8_a8"]) == "r8_a8" and trainings_of(known, "r4_a8_s1") == known["r4_a8"]


def test_choice_never_looks_at_test_prompts() -> None:
    known = {"r4_a8": {0: "r4_a8"}, "r8_a8": {0: "r8_a8"}}
    development = on(gains(r4_a8=0.2, r8_a8=0.1), "development")
    for test in (gains(r4_a8=0.0, r8_a8=9.0), gains(r4_a8=np.nan, r8_a8=np.nan)):
        both = pd.concat([development, test], ignore_index=True)
        assert ranked_recipes(both, "clip_score", "a", known) == ["r4_a8", "r8_a8"]


def test_one_recipe_needs_no_development_prompts() -> None:
    known = {"r4_a8": {0: "r4_a8", 1: "r4_a8_s1"}}
    assert ranked_recipes(gains(r4_a8=0.0, r4_a8_s1=0.0), "clip_score", "a", known) == ["r4_a8"]


def test_several_recipes_cannot_be_chosen_from_without_development_prompts() -> None:
    known = {"r4_a8": {0: "r4_a8"}, "r8_a8": {0: "r8_a8"}}
    with pytest.raises(ScoreError, match="no clip_score by a on development prompts"):
        ranked_recipes(gains(r4_a8=0.1, r8_a8=0.2), "clip_score", "a", known)
