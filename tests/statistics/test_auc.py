"""auc: which picture of a pair is preferred, told by a number; the interval knows that prompts cluster."""

import numpy as np
import pytest
from scipy import stats

from caplora.statistics.agreement import auc

PROMPTS = [f"p{i}" for i in range(16) for _ in range(4)]


def drawn(shift: float, seed: int, prompts: int = 16, seeds: int = 4) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Differences of pairs whose sides are a coin's toss: a prompt's part, a sample's part, and so much agreement."""
    rng = np.random.default_rng(seed)
    agreeing = shift + rng.normal(0, 0.7, (prompts, 1)) + rng.normal(0, 0.7, (prompts, seeds))
    sides = rng.choice([-1.0, 1.0], agreeing.size)
    return agreeing.ravel() * sides, sides, [f"p{i}" for i in range(prompts) for _ in range(seeds)]


def test_it_is_mann_whitneys_u_with_each_pair_in_both_orders() -> None:
    differences, preferred, prompts = drawn(0.4, 0)
    differences = differences.round(1)  # ties
    both, labels = np.concatenate([differences, -differences]), np.concatenate([preferred, -preferred])
    u = stats.mannwhitneyu(both[labels > 0], both[labels < 0]).statistic
    found = auc(differences, preferred, prompts)
    assert found.value == pytest.approx(u / len(differences) ** 2)
    assert (found.n, found.n_prompts) == (64, 16) and found.low < found.value < found.high


def test_which_picture_is_called_first_changes_nothing() -> None:
    differences, preferred, prompts = drawn(0.4, 1)
    swapped = np.random.default_rng(5).choice([-1.0, 1.0], len(differences))
    assert auc(differences * swapped, preferred * swapped, prompts) == pytest.approx(
        auc(differences, preferred, prompts)
    )


def test_only_the_sign_of_what_is_preferred_counts_and_neither_is_left_out() -> None:
    differences, preferred, prompts = drawn(0.4, 2)
    strong = auc(differences, 7 * preferred, prompts)
    more = auc(np.append(differences, [9.0, -3.0]), np.append(preferred, [0, 0]), [*prompts, "new", "p1"])
    assert strong == more == auc(differences, preferred, prompts)


def test_the_truth_itself_is_1_its_opposite_0_and_a_constant_half() -> None:
    _, preferred, prompts = drawn(0.0, 3)
    least = 0.025 ** (1 / 16)  # what 16 prompts of 16 say of a share, by Clopper and Pearson
    assert least == pytest.approx(stats.binomtest(16, 16).proportion_ci(0.95, "exact").low)
    assert auc(preferred, preferred, prompts)[:3] == pytest.approx((1, least, 1))
    assert auc(-preferred, preferred, prompts)[:3] == pytest.approx((0, 0, 1 - least))
    assert auc(0 * preferred, preferred, prompts)[:3] == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize(("shift", "prompts"), [(0.0, 16), (0.5, 16), (0.5, 6)])
def test_the_interval_holds_the_true_value_about_19_times_in_20(shift: float, prompts: int) -> None:
    true = stats.norm.cdf(2 * shift / np.sqrt(2 * (0.7**2 + 0.7**2)))  # of aᵢ + aⱼ > 0
    found = [auc(*drawn(shift, key, prompts)) for key in range(400)]
    assert 0.92 <= np.mean([f.low <= true <= f.high for f in found]) <= 0.99


def test_more_samples_of_the_same_prompts_are_not_more_evidence() -> None:
    few, many = ([auc(*drawn(0.5, key, 16, seeds)) for key in range(20)] for seeds in (4, 64))
    narrower = np.mean([f.high - f.low for f in many]) / np.mean([f.high - f.low for f in few])
    assert narrower > 0.7  # 0.25 if samples were independent


def test_nothing_preferred_says_nothing_and_one_prompt_has_no_interval() -> None:
    differences, preferred, _ = drawn(0.4, 4)
    none = auc(differences, 0 * preferred, PROMPTS)
    assert np.isnan(none[:3]).all() and none[3:] == (0, 0)
    one = auc(differences, preferred, ["same"] * 64)
    assert np.isfinite(one.value) and np.isnan([one.low, one.high]).all()


def test_ties_count_half_within_prompts_and_between_them() -> None:
    rng = np.random.default_rng(5)
    differences, preferred = rng.integers(-2, 3, 40).astype(float), rng.choice([-1.0, 1.0], 40)
    agreeing = differences * preferred
    sums = agreeing[:, None] + agreeing
    expected = ((sums > 0) + 0.5 * (sums == 0)).mean()  # every ordered pair of pairs, one with itself among them
    assert auc(differences, preferred, [f"p{i % 7}" for i in range(40)]).value == pytest.approx(expected, abs=1e-15)
