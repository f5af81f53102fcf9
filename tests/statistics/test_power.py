"""What a design is said to find, simulated studies of that design find as often."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from caplora.statistics.effects import COLUMNS, effect_table
from caplora.statistics.intervals import INNER, detectable_difference, equivalent, interval
from caplora.statistics.power import (
    chance_after,
    chance_of_finding,
    design_sentence,
    detectable_effect,
    expected_spread,
    likely_needed,
    pilot_sentence,
    prompts_needed,
    provable_margin,
)
from caplora.statistics.simulation import excludes_zero, null_differences
from caplora.statistics.variance import STANDARD, Spread, spread_of, study_spread
from caplora.study.study import Study, read_study
from caplora.study.variants import BASELINE


@pytest.fixture
def study(tmp_path: Path) -> Study:
    content = {
        "name": "faces", "images": {"folder": "faces"}, "claims": {"margin": {"clip_score": 0.5}},
        "sampling": {"development": list("abcdef"), "test": [f"test {i}" for i in range(16)]},
    }  # fmt: skip
    (tmp_path / "faces.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return read_study(tmp_path / "faces.yaml")


def write_scores(study: Study, sd: float) -> pd.DataFrame:
    """Scores of an earlier run of the study, whose differences spread by `sd`."""
    rng = np.random.default_rng(0)
    rows = [
        (arm, prompt, seed, "development", "clip_score", "a", 0.6 + (arm != BASELINE) * rng.normal(0, sd))
        for prompt in study.sampling.development for seed in range(4) for arm in (BASELINE, "r4_a8", "r8_a8")
    ]  # fmt: skip
    study.run.mkdir(parents=True)
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    found.to_csv(study.scores, index=False)
    return found


@pytest.mark.parametrize(("prompts", "seeds"), [(4, 1), (8, 4), (16, 4), (50, 2)])
def test_detectable_effect_is_found_four_times_in_five(prompts: int, seeds: int) -> None:
    spread = Spread(prompt=2.0, rest=1.0)
    studies = null_differences(spread, prompts, seeds, 1, "normal", 6000)[:, 0].mean(2)
    found = excludes_zero(studies + detectable_effect(prompts, seeds, spread)).mean()
    assert found == pytest.approx(0.8, abs=0.02 + 0.02 * (prompts < 5))


def test_detectable_effect_before_a_study_is_that_after_it_where_it_spreads_as_expected() -> None:
    samples = null_differences(Spread(2.0, 1.0), 4000, 4, 1, "normal", 1)[0, 0]
    after = detectable_difference(samples.mean(1))
    assert detectable_effect(4000, 4, Spread(2.0, 1.0)) == pytest.approx(after, rel=0.05)


def test_more_prompts_beat_more_seeds() -> None:
    table = [[detectable_effect(prompts, seeds) for seeds in (1, 2, 4, 8)] for prompts in (8, 16, 25, 50, 100, 200)]
    assert (np.diff(table, axis=0) < 0).all() and (np.diff(table, axis=1) < 0).all()
    assert detectable_effect(32, 4) < detectable_effect(16, 8)


def test_detectable_effect_scales_with_the_spread() -> None:
    assert detectable_effect(16, 4, Spread(0.5 * 9, 0.5 * 9)) == pytest.approx(3 * detectable_effect(16, 4, STANDARD))


@pytest.mark.parametrize("effect", [0.05, 0.2, -0.2, 0.9, 3.0, 100.0])
def test_prompts_needed_are_enough_and_one_fewer_are_not(effect: float) -> None:
    needed = prompts_needed(effect, 4)
    assert detectable_effect(needed, 4) <= abs(effect)
    assert needed == 2 or detectable_effect(needed - 1, 4) > abs(effect)


def test_difference_that_nobody_could_find_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a difference of 0 needs more than 100000 prompts"):
        prompts_needed(0.0, 4)


@pytest.mark.parametrize(("prompts", "seeds"), [(1, 4), (16, 0)])
def test_design_without_spread_is_refused(prompts: int, seeds: int) -> None:
    with pytest.raises(ValueError, match=rf"2 prompts and 1 seed at least, got {prompts} and {seeds}"):
        detectable_effect(prompts, seeds)


@pytest.mark.parametrize("prompts", [8, 16, 50])
def test_equal_arms_are_shown_to_be_equivalent_four_times_in_five(prompts: int) -> None:
    studies = null_differences(STANDARD, prompts, 4, 1, "normal", 2500)[:, 0].mean(2)
    margin = provable_margin(prompts, 4, STANDARD)
    shown = np.mean([equivalent(*interval(means, INNER)[1:], margin) for means in studies])
    assert shown == pytest.approx(0.8, abs=0.03)


def test_study_without_scores_is_planned_in_standard_deviations(study: Study) -> None:
    assert expected_spread(study) == (STANDARD, "no earlier scores")
    said = design_sentence(study)
    assert f"16 test prompts × 4 seeds find a true difference of {detectable_effect(16, 4):.2g} standard dev" in said
    assert "Equivalence" not in said  # the margin is in CLIPScore, the spread is not


def test_study_with_scores_is_planned_from_its_development_prompts(study: Study) -> None:
    spread = study_spread(write_scores(study, 0.1), "clip_score", "a")
    assert expected_spread(study) == (spread, "earlier scores on the development prompts")
    found, said = detectable_effect(16, 4, spread), design_sentence(study)
    assert f"a true difference of {found:.2g} of CLIPScore in 4 of 5" in said
    assert f"half of it takes {prompts_needed(found / 2, 4, spread)} prompts" in said
    assert "Equivalence within ±0.5 can be shown." in said


def test_margin_that_the_study_is_too_small_for_is_said_to_be(study: Study) -> None:
    spread = study_spread(write_scores(study, 2.0), "clip_score", "a")
    assert f"cannot be counted on: that takes ±{provable_margin(16, 4, spread):.2g}." in design_sentence(study)


def test_differences_that_do_not_spread_are_no_division_by_zero(study: Study) -> None:
    write_scores(study, 0.0)
    assert "it would find any" in design_sentence(study)


@pytest.mark.parametrize("effect", [0.0, 0.3, 0.8])
@pytest.mark.parametrize(("prompts", "seeds"), [(6, 4), (16, 4), (50, 2)])
def test_chance_of_finding_is_how_often_simulated_studies_find_it(effect: float, prompts: int, seeds: int) -> None:
    spread = Spread(prompt=0.6, rest=1.2)
    studies = null_differences(spread, prompts, seeds, 1, "normal", 6000)[:, 0].mean(2)
    found = excludes_zero(studies + effect).mean()
    assert chance_of_finding(effect, prompts, seeds, spread) == pytest.approx(found, abs=0.02)
    assert chance_of_finding(-effect, prompts, seeds, spread) == chance_of_finding(effect, prompts, seeds, spread)


@pytest.mark.parametrize(("prompts", "seeds"), [(8, 1), (16, 4), (50, 2)])
def test_a_detectable_effect_has_the_power_it_is_called_by(prompts: int, seeds: int) -> None:
    least = detectable_effect(prompts, seeds)
    assert chance_of_finding(least, prompts, seeds, STANDARD) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("prompts", [2, 6, 16, 100])
def test_chance_grows_with_the_effect_up_to_one_however_large_that_is(prompts: int) -> None:
    chances = [chance_of_finding(effect, prompts, 1, STANDARD) for effect in (0.0, 0.1, 0.5, 1, 2, 5, 10, 50, 500)]
    assert chances[0] == pytest.approx(0.05) and (np.diff(chances) >= 0).all() and chances[-1] == pytest.approx(1)


def test_what_does_not_spread_is_found_always() -> None:
    assert chance_of_finding(0.01, 4, 1, Spread(0.0, 0.0)) == 1


def test_the_prompts_that_a_pilot_says_are_likely_hold_the_true_number_four_times_in_five() -> None:
    spread, pilot, effect = Spread(prompt=1.0, rest=1.0), 6, 0.5
    true = prompts_needed(effect, 4, spread)
    pilots = null_differences(spread, pilot, 4, 1, "normal", 1000)[:, 0]
    held = []
    for samples in pilots:
        least, most = likely_needed(effect, 4, spread_of(samples), pilot)
        held.append(least <= true <= most)
    assert np.mean(held) == pytest.approx(0.8, abs=0.04)


def with_interest(study: Study, least: float, margin: float = 0.01) -> Study:
    claims = study.claims.model_copy(update={"interest": {"clip_score": least}, "margin": {"clip_score": margin}})
    return study.model_copy(update={"claims": claims})


def test_pilot_says_the_power_of_the_study_and_what_each_design_costs(study: Study) -> None:
    scores = write_scores(study, 0.1)
    spread = study_spread(scores, "clip_score", "a")
    for least, enough in ((0.02, "too few for 80"), (0.2, "enough for 80")):
        said = pilot_sentence(with_interest(study, least), scores, arms=2, seconds=3.0)
        chance = 100 * chance_of_finding(least, 16, 4, spread)
        assert (
            f"16 test prompts × 4 seeds find a difference of {least:g}, the smallest of interest, in {chance:.0f}"
            in said
        )
        assert enough in said and "6 development prompts" in said
        for seeds in (1, 2, 4):
            size = prompts_needed(least, seeds, spread)
            cost = f"({2 * size * seeds} pictures, {2 * size * seeds * 3.0 / 60:.1f} minutes)"
            assert f"{size} prompts × {seeds} seed{'s' if seeds > 1 else ''} {cost}" in said
        assert "one seed each" not in said
        low, high = likely_needed(least, 4, spread, 6)
        assert f"with 4 seeds it may take {low} to {high} test prompts (80 % interval)" in said


def test_pilot_without_an_interest_takes_the_margin_and_without_either_says_so(study: Study) -> None:
    scores = write_scores(study, 0.1)
    assert "find a difference of 0.5, the smallest of interest" in pilot_sentence(study, scores, 2, 3.0)
    nothing = study.model_copy(update={"claims": study.claims.model_copy(update={"margin": {}})})
    assert "claims.interest does not say" in pilot_sentence(nothing, scores, 2, 3.0)


def test_pilot_of_one_seed_says_that_it_cannot_tell_noise_from_prompts(study: Study) -> None:
    scores = write_scores(study, 0.1)
    said = pilot_sentence(with_interest(study, 0.05), scores[scores["seed"] == 0], 2, 3.0)
    assert "6 development prompts, one seed each" in said


def test_pilot_that_knows_no_spread_says_why(study: Study) -> None:
    scores = write_scores(study, 0.1)
    one = scores[scores["prompt"] == "a"]
    assert "is not known: one development prompt has no spread" in pilot_sentence(study, one, 2, 3.0)
    assert "needs more than 100000 prompts" in pilot_sentence(with_interest(study, 1e-9, 1e-10), scores, 2, 3.0)


def test_the_power_a_study_had_is_that_of_the_spread_its_prompts_had(study: Study) -> None:
    scores = write_scores(study, 0.1)
    row = effect_table(scores, ("clip_score",)).iloc[0]
    means = scores[scores["variant"] != BASELINE].query("variant == 'r4_a8'").groupby("prompt")["value"].mean()
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert 0.5 < chance_after(row, 0.05) < 1
    assert chance_after(row, 0.1) == pytest.approx(chance_of_finding(0.1, 6, 1, Spread(6 * error**2, 0.0)))
    assert chance_after(row, float(row["detectable"])) == pytest.approx(0.8, abs=0.02)
