"""What is put in comes out again: preferences and their intervals, strengths, agreement of raters and of metrics."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

import choix
import krippendorff
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from caplora.rating.agreement import agreement_table
from caplora.rating.clustered import NONE, left_out, two_way_interval
from caplora.rating.design import PAIRS, Pair, RatingError, pairs_of, plan
from caplora.rating.figure import people_figure
from caplora.rating.opinions import opinions_of, read_opinions
from caplora.rating.power import design_sentence, found_preference, power, precision
from caplora.rating.preferences import alpha_table, compared, preference_table, rater_table, strength_table, strengths
from caplora.rating.sentences import metric_sentences, people_sentences
from caplora.rating.simulated import SimulatedRater
from caplora.sampling.samples import Sample
from caplora.statistics.variance import crossed_interval
from tests.rating.small import small_study

ARMS = ("baseline", "r4_a8", "r8_a8")
PROMPTS = [f"prompt {i}" for i in range(24)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    """Pairs of two arms, 24 prompts with two seeds each."""
    folder = tmp_path_factory.mktemp("pictures")
    return pairs_of({arm: samples(folder, arm) for arm in ARMS[:2]})


def samples(folder: Path, arm: str, seeds: int = 2) -> list[Sample]:
    """Samples whose files are there, which is all that a plan needs of them."""
    found = []
    for prompt, seed in product(PROMPTS, range(seeds)):
        path = folder / f"{arm} {prompt} {seed}"
        path.write_text(path.name)
        found.append(Sample(arm, path, prompt, seed, "test"))
    return found


def truth(gain: float, rng: np.random.Generator, spread: float = 0.3) -> dict[tuple[str, str, int], float]:
    """How good pictures are: those of the arms gain so much over the baseline's, in the mean."""
    return {
        (arm, prompt, seed): place * gain + rng.normal(0, spread)
        for (place, arm), prompt, seed in product(enumerate(ARMS), PROMPTS, range(2))
    }


def table(raters: Sequence[SimulatedRater], pairs: Sequence[Pair]) -> pd.DataFrame:
    """The answers of simulated raters."""
    return pd.DataFrame([asdict(answer) for rater in raters for answer in rater.answers(pairs)])


def raters(found: dict[tuple[str, str, int], float], count: int = 4, **how: float) -> list[SimulatedRater]:
    return [SimulatedRater(f"rater {i}", {"words": found, "person": found}, seed=i, **how) for i in range(count)]


def scores_of(found: dict[tuple[str, str, int], float], metric: str, model: str, noise: float) -> pd.DataFrame:
    """Scores that follow the truth with so much noise."""
    rng = np.random.default_rng(5)
    rows = [(*cell, "test", metric, model, value + rng.normal(0, noise)) for cell, value in found.items()]
    return pd.DataFrame(rows, columns=["variant", "prompt", "seed", "split", "metric", "model", "value"])


# the design


def test_all_raters_see_the_same_pairs_each_prompt_as_often_and_each_arm_as_often_left(pairs: list[Pair]) -> None:
    shown = {name: [c for c in plan(pairs, name) if c.kind == "pair"] for name in ("a", "b")}
    cells = {name: {(c.prompt, c.left.seed) for c in own} for name, own in shown.items()}
    assert cells["a"] == cells["b"] and len(cells["a"]) == len(pairs) == 48 <= PAIRS
    assert [(c.prompt, c.left.variant) for c in shown["a"]] != [(c.prompt, c.left.variant) for c in shown["b"]]
    for own in shown.values():
        assert sum(c.left.variant == "baseline" for c in own) == len(own) // 2
        assert all({c.left.variant, c.right.variant} == {"baseline", "r4_a8"} for c in own)
        assert all((c.left.prompt, c.left.seed) == (c.right.prompt, c.right.seed) for c in own)


def test_repeats_come_later_with_the_sides_changed_and_attention_has_a_right_answer(pairs: list[Pair]) -> None:
    for name in map(str, range(20)):
        shown = plan(pairs, name)
        for place, c in enumerate(shown):
            if c.kind == "repeat":
                first = next(
                    i for i, e in enumerate(shown) if e.kind == "pair" and (e.left, e.right) == (c.right, c.left)
                )
                assert first < place
            elif c.kind == "same":
                assert c.left == c.right and c.expected("words") == c.expected("person") == "equal"
            elif c.kind == "shuffled prompt":
                right = c.left if c.expected("words") == "left" else c.right
                assert right.prompt == c.prompt and c.left.variant == c.right.variant and not c.expected("person")
        kinds = [c.kind for c in shown]
        assert (kinds.count("repeat"), kinds.count("same"), kinds.count("shuffled prompt")) == (5, 2, 3)


def test_a_plan_is_a_function_of_the_pairs_and_the_name(pairs: list[Pair]) -> None:
    assert plan(pairs, "a") == plan(pairs, "a") != plan(pairs, "b")


def test_of_many_prompts_some_are_drawn_and_of_three_arms_each_pair_takes_its_turn(tmp_path: Path) -> None:
    own = {arm: samples(tmp_path, arm) for arm in ARMS}
    few = pairs_of(own, most=10)
    assert len(few) == len({a.prompt for a, _ in few}) == 10 and len({a.seed for a, _ in few}) == 2
    arms = pd.Series([(a.variant, b.variant) for a, b in pairs_of(own)]).value_counts()
    assert len(arms) == 3 and arms.max() - arms.min() <= 1


def test_one_arm_or_one_prompt_is_nothing_to_compare(tmp_path: Path) -> None:
    own = samples(tmp_path, "baseline")
    for arms in ({"baseline": own}, {"baseline": own[:1], "r4_a8": own[:1]}, {}):
        with pytest.raises(RatingError, match="needs 2 arms and 2 test prompts"):
            pairs_of(arms)


# preferences


def test_a_simulated_raters_preference_comes_out_within_its_interval(pairs: list[Pair]) -> None:
    found = truth(0.4, np.random.default_rng(1))
    own = raters(found, 5)
    answered = preference_table(table(own, pairs)).set_index("question")
    for question in ("words", "person"):
        expected = np.mean([rater.preference(pair, question) for rater in own for pair in pairs])
        row = answered.loc[question]
        assert row["low"] <= expected <= row["high"] and abs(row["preference"] - expected) < 0.07
        assert (row["n"], row["n_prompts"], row["n_raters"]) == (240, 24, 5)
        assert (row["reference"], row["arm"]) == ("baseline", "r4_a8") and row["p"] < 0.01


def test_balanced_interval_is_that_of_drawn_variance_components() -> None:
    """Of the mean squares of a two-way table, computed another way, and a million draws of what they may stand for."""
    values = np.random.default_rng(3).random((4, 10)) + np.linspace(0, 0.2, 10)
    values[0] -= 0.3
    raters, prompts = np.indices(values.shape)
    found = two_way_interval(values.ravel(), prompts.ravel(), raters.ravel())
    r, p = values.shape
    grand = values.mean()
    ms_p = r * ((values.mean(0) - grand) ** 2).sum() / (p - 1)
    ms_r = p * ((values.mean(1) - grand) ** 2).sum() / (r - 1)
    rest = values - values.mean(0) - values.mean(1, keepdims=True) + grand
    ms_e = (rest**2).sum() / ((p - 1) * (r - 1))
    rng, many = np.random.default_rng(0), 1_000_000
    ms_p, ms_r, ms_e = (
        ms * df / rng.chisquare(df, many) for ms, df in ((ms_p, p - 1), (ms_r, r - 1), (ms_e, (p - 1) * (r - 1)))
    )
    variance = (np.maximum(ms_p - ms_e, 0) + np.maximum(ms_r - ms_e, 0) + ms_e) / (p * r)
    away = np.abs(rng.normal(0, np.sqrt(variance)))
    assert found.mean == pytest.approx(grand)
    assert found.mean - found.low == pytest.approx(np.quantile(away, 0.95), rel=0.005)
    assert found.p == pytest.approx((away >= abs(grand - 0.5)).mean(), rel=0.01)


def test_parts_of_unlike_clusters_are_those_of_a_jackknife() -> None:
    """By leaving each out with numpy; who gave few answers counts for less than one of many."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3], [50, 50, 10, 5])
    values = rng.random(len(labels)) + 0.1 * labels
    without = [values[labels != one].mean() for one in range(4)]
    part = left_out(values, labels)
    assert part.variance == pytest.approx(3 / 4 * ((np.array(without) - values.mean()) ** 2).sum())
    assert part.freedom == pytest.approx(115**2 / (50**2 + 50**2 + 10**2 + 5**2) - 1)
    assert left_out(values, labels * 0) == NONE
    assert left_out(values[:100], labels[:100]).freedom == 1


def test_by_one_rater_the_interval_is_a_t_interval_over_prompts() -> None:
    values = np.random.default_rng(3).random(12)
    found = two_way_interval(values, np.arange(12), np.zeros(12, int))
    low, high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert found[1:3] == pytest.approx((low, high))
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0.5).pvalue)
    crossed = crossed_interval(values[None, :, None] - 0.5)
    assert (found.low - 0.5, found.p) == pytest.approx((crossed.low, crossed.p))


def test_where_all_agree_the_interval_is_that_of_as_many_prompts() -> None:
    found = two_way_interval(np.ones(30), np.arange(30) % 10, np.arange(30) // 10)
    low = stats.binomtest(10, 10).proportion_ci(0.95).low
    assert found[:3] == pytest.approx((1.0, low, 1.0)) and found.p == pytest.approx(2 * 0.5**10)
    assert two_way_interval(np.zeros(30), np.arange(30) % 10, np.arange(30) // 10).high == pytest.approx(1 - low)
    undecided = two_way_interval(np.full(30, 0.5), np.arange(30) % 10, np.arange(30) // 10)
    assert undecided == pytest.approx((0.5, 0.5 * low, 1 - 0.5 * low, 1.0))


def test_few_answers_that_cancel_out_are_not_certain() -> None:
    """Two raters who disagree about two prompts: no prompt and no rater moves the mean, and yet nothing is known."""
    prompts, raters = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    for values in ([1.0, 0.0, 0.0, 1.0], [1.0, 0.5, 0.5, 1.0]):
        found = two_way_interval(np.array(values), prompts, raters)
        assert found.p > 0.2 and found.high - found.low > 0.5


def test_raters_who_stopped_in_the_middle_count_as_far_as_they_came(pairs: list[Pair]) -> None:
    answers = table(raters(truth(0.4, np.random.default_rng(1)), 3), pairs)
    part = answers[(answers["rater"] != "rater 2") | (answers["order"] < 20)]
    rows = preference_table(part)
    assert (rows["n"] < 144).all() and (rows["n_raters"] == 3).all() and rows["low"].between(0, 1).all()


@pytest.mark.parametrize(("mean", "lean", "raters"), [(0.0, 0.4, 4), (1.0, 0.4, 4), (0.0, 1.0, 3), (0.0, 1.0, 2)])
def test_interval_covers_with_clustered_raters(mean: float, lean: float, raters: int) -> None:
    """A smoke test of what benchmarks/rating.py simulates 4,000 times."""
    assert coverage(mean, lean, raters, prompts=24, seeds=2, studies=400) > 0.925  # ± 2.2 % is two standard errors


def coverage(mean: float, lean: float, raters: int, prompts: int, seeds: int, studies: int) -> float:
    rng, hits = np.random.default_rng(0), 0
    labels = [index.ravel() for index in np.indices((raters, prompts, seeds))]
    grid = np.random.default_rng(9).normal(mean, np.hypot(0.8, lean), 1_000_000)
    true = (1 / (1 + np.exp(-grid))).mean()
    for _ in range(studies):
        logit = mean + rng.normal(0, lean, (raters, 1, 1)) + rng.normal(0, 0.8, (1, prompts, 1))
        values = (rng.random((raters, prompts, seeds)) < 1 / (1 + np.exp(-logit))).astype(float)
        found = two_way_interval(values.ravel(), labels[1], labels[0])
        hits += found.low <= true <= found.high
    return hits / studies


# strengths


def test_bradley_terry_recovers_known_strengths() -> None:
    known = np.array([0.0, 0.7, 1.5, 2.0])
    rng = np.random.default_rng(0)
    rows = []
    for i in range(6000):
        a, b = rng.choice(4, 2, replace=False)
        won = rng.random() < 1 / (1 + np.exp(known[a] - known[b]))
        rows.append((f"r{i % 10}", f"p{i % 60}", f"arm{a}", f"arm{b}", float(won)))
    pairs = pd.DataFrame(rows, columns=["rater", "prompt", "reference", "arm", "value"])
    found = strengths(pairs, [f"arm{i}" for i in range(4)])
    assert np.abs(found - known).max() < 0.12
    wins = [
        (int(b[3]), int(a[3])) if v else (int(a[3]), int(b[3])) for a, b, v in pairs.iloc[:, 2:].itertuples(index=False)
    ]
    theirs = choix.ilsr_pairwise(4, wins)
    assert found == pytest.approx(theirs - theirs[0], abs=2e-3)


def test_strengths_of_three_arms_are_in_order_and_within_their_intervals(tmp_path: Path) -> None:
    own = pairs_of({arm: samples(tmp_path, arm) for arm in ARMS}, most=48)
    found = {(arm, p, s): 0.25 * i for (i, arm), p, s in product(enumerate(ARMS), PROMPTS, range(2))}
    answers = table(raters(found, 6, undecided=0.0, lapse=0.0), own)
    rows = strength_table(answers).query("question == 'words'").set_index("arm")
    assert rows["strength"].is_monotonic_increasing and list(rows.index) == list(ARMS)
    for arm, expected in zip(ARMS, (0.0, 1.0, 2.0), strict=True):  # sharpness 4 · 0.25 an arm
        assert rows.loc[arm, "low"] - 1e-9 <= expected <= rows.loc[arm, "high"] + 1e-9


def test_two_arms_have_no_strengths(pairs: list[Pair]) -> None:
    assert strength_table(table(raters(truth(0.4, np.random.default_rng(1)), 2), pairs)).empty


# raters


def test_careful_raters_count_and_one_who_answers_by_a_coin_does_not(pairs: list[Pair]) -> None:
    found = truth(0.4, np.random.default_rng(1), spread=1.0)
    careful = SimulatedRater("careful", {"words": found, "person": found}, 50.0, undecided=0.0, lapse=0.0)
    answers = pd.concat([table([careful], pairs), by_habit(pairs, "left")])
    rows = rater_table(answers).set_index("rater")
    assert rows.loc["careful", ["repeats", "repeated"]].tolist() == [10, 10]
    assert rows.loc["careful", ["attention", "attentive"]].tolist() == [7, 7] and rows.loc["careful", "counts"]
    assert rows.loc["habit", "left"] == 1 and rows.loc["habit", "repeated"] == 0 and not rows.loc["habit", "counts"]
    opinions = opinions_of(answers, pd.DataFrame())
    assert (opinions.preferences["n_raters"] == 1).all()
    said = " ".join(people_sentences(opinions))
    assert "habit was left out" in said and "what one rater prefers" in said


def by_habit(pairs: Sequence[Pair], side: str) -> pd.DataFrame:
    """The answers of somebody who always says one side, where the shuffled prompts are always on the other."""
    answers = table(raters(truth(0.0, np.random.default_rng(1)), 1), pairs)
    answers = answers.assign(rater="habit", answer=side)
    return answers.assign(expected=answers["expected"].replace({side: "right"}))


def test_alpha_is_one_for_raters_who_agree_and_that_of_krippendorff_else(pairs: list[Pair]) -> None:
    found = truth(0.0, np.random.default_rng(1), spread=1.0)
    alike = table(raters(found, 3, sharpness=500.0, undecided=0.0, lapse=0.0), pairs)
    assert alpha_table(alike)["alpha"].tolist() == pytest.approx([1.0, 1.0])
    unlike = table(raters(found, 3, sharpness=1.0), pairs)
    rows = alpha_table(unlike).set_index("question")
    words = compared(unlike).query("question == 'words'").pivot_table("value", ["prompt", "seed"], "rater")
    theirs = krippendorff.alpha(words.to_numpy().T, level_of_measurement="ordinal")
    assert rows.loc["words", "alpha"] == pytest.approx(theirs)
    assert rows.loc["words", "low"] < theirs < rows.loc["words", "high"] and rows.loc["words", "n"] == 48


# metrics


def test_a_metric_that_is_the_truth_agrees_and_one_of_noise_does_not(pairs: list[Pair]) -> None:
    found = truth(0.0, np.random.default_rng(1), spread=1.0)
    answers = table(raters(found, 4), pairs)
    known = pd.concat([scores_of(found, "clip_score", "true", 0.0), scores_of(found, "clip_score", "noise", 50.0)])
    rows = agreement_table(answers, known).set_index(["question", "model"])
    for question in ("words", "person"):
        true, noise = rows.loc[question, "true"], rows.loc[question, "noise"]
        assert true["auc"] > 0.9 and true["low"] > 0.8 and true["within"] > 0.8
        assert noise["low"] < 0.5 < noise["high"]
    assert agreement_table(answers, scores_of(found, "memorisation", "true", 0.0))["auc"].max() < 0.1  # less is better


def test_a_metric_that_knows_the_arm_alone_agrees_but_not_within_it(pairs: list[Pair]) -> None:
    """The quirk that `within` is for: a constant gain of the arm follows people wherever they prefer the arm."""
    found = truth(0.6, np.random.default_rng(1), spread=0.3)
    quirk = scores_of({cell: float(cell[0] != "baseline") for cell in found}, "clip_score", "quirk", 0.01)
    row = agreement_table(table(raters(found, 4), pairs), quirk).query("question == 'words'").iloc[0]
    assert row["low"] > 0.7 and row["within_low"] < 0.5 < row["within_high"]


def test_auc_is_that_of_every_two_answers() -> None:
    """By brute force on a table of a few answers."""
    gains, won = [0.3, -0.1, 0.2, 0.0, 0.5], [1, 0, 1, 1, 0]
    answers = pd.DataFrame([
        {"rater": "a", "question": "words", "kind": "pair", "split": "test", "prompt": f"p{i}", "seed": 0,
         "left": "baseline", "right": "r4_a8", "answer": "right" if w else "left"}
        for i, w in enumerate(won)
    ])  # fmt: skip
    cells = {("r4_a8", f"p{i}", 0): gain for i, gain in enumerate(gains)}
    known = scores_of(cells | {("baseline", f"p{i}", 0): 0.0 for i in range(5)}, "identity", "eyes", 0.0)
    row = agreement_table(answers, known).iloc[0]
    towards = [g if w else -g for g, w in zip(gains, won, strict=True)]
    auc = np.mean([(a + b > 0) + 0.5 * (a + b == 0) for a, b in product(towards, towards)])
    within = np.mean([gains[i] > gains[j] for i, j in product((0, 2, 3), (1, 4))])
    assert (row["auc"], row["within"]) == pytest.approx((auc, within))


# sentences and design


def test_a_null_reads_as_a_null(pairs: list[Pair]) -> None:
    found = truth(0.0, np.random.default_rng(2))
    opinions = opinions_of(table(raters(found, 4), pairs), scores_of(found, "clip_score", "noise", 50.0))
    said = people_sentences(opinions)
    assert said[0].startswith("Asked what fits the words better, people cannot tell r4_a8 from the baseline: ")
    assert "preferred" not in said[0]
    assert metric_sentences(opinions)[0].startswith("Asked what fits the words better, no metric of 1 is shown to go")


def test_a_worse_arm_is_said_to_be_worse(pairs: list[Pair]) -> None:
    opinions = opinions_of(table(raters(truth(-1.5, np.random.default_rng(2)), 6), pairs), pd.DataFrame())
    assert "people thought r4_a8 worse than the baseline" in people_sentences(opinions)[0]


def test_the_figure_counts_the_answers_about_all_arms(tmp_path: Path) -> None:
    own = pairs_of({arm: samples(tmp_path, arm) for arm in ARMS}, most=48)
    answers = table(raters(truth(0.3, np.random.default_rng(0)), 3), own)
    part = answers[(answers["question"] == "words") | (answers["order"] > 10)]
    counts = part[part["kind"] == "pair"]["question"].value_counts()
    said = " ".join(text.get_text() for text in people_figure(opinions_of(part, pd.DataFrame())).texts)
    assert f"Answers: {counts['words']} (words) and {counts['person']} (person), by 3 raters" in said.replace("\n", " ")


def test_answers_about_pictures_that_are_no_more_are_not_counted(tmp_path: Path) -> None:
    from tests.rating.test_answers import sit

    study = small_study(tmp_path)
    seat = sit(study)
    for at in range(len(seat.steps)):
        seat.answer(at, "left", 1.0)
    everything = read_opinions(study, pd.DataFrame())
    assert everything.stale == 0 and everything.raters["answers"].sum() == len(seat.steps)
    gone = seat.comparisons[0].left.path
    gone.write_bytes(gone.read_bytes() + b"x")
    later = read_opinions(study, pd.DataFrame())
    assert later.stale > 0 and later.raters["answers"].sum() == len(seat.steps) - later.stale
    (tmp_path / "other").mkdir()
    assert not read_opinions(small_study(tmp_path / "other"), pd.DataFrame())


def test_power_is_that_of_simulated_studies() -> None:
    """Of studies that spread as `power` takes them to: the formula against 600 of them."""
    prompts, each, count, true = 24, 2, 4, 0.72
    rng, found = np.random.default_rng(0), 0
    labels = [index.ravel() for index in np.indices((count, prompts, each))]
    variance = true * (1 - true)
    for _ in range(600):
        rate = true + rng.normal(0, np.sqrt(0.03 * variance), (count, 1, 1))
        rate = np.clip(rate + rng.normal(0, np.sqrt(0.10 * variance), (1, prompts, 1)), 0, 1)
        values = (rng.random((count, prompts, each)) < rate).astype(float).ravel()
        found += two_way_interval(values, labels[1], labels[0]).p < 0.05
    assert abs(found / 600 - power(true, prompts, each, count)) < 0.08


def test_more_raters_and_prompts_tell_smaller_preferences() -> None:
    assert found_preference(50, 1, 10) < found_preference(50, 1, 5) < found_preference(50, 1, 3)
    assert found_preference(50, 1, 5) < found_preference(16, 1, 5)
    assert precision(50, 1, 3)[:2] < precision(16, 1, 3)[:2]


def test_a_design_that_finds_no_preference_says_so(pairs: list[Pair]) -> None:
    said = design_sentence(list({pair[0].prompt: pair for pair in pairs}.values())[:2])
    assert "± 50 points" in said and said.endswith(
        "four times in five none is, not even one of 99 %: draw more prompts."
    )


def test_a_rater_of_two_plans_is_measured_by_both(pairs: list[Pair], tmp_path: Path) -> None:
    """The widget and the page have plans of their own, and so have other arms: the same cell is met again."""
    found = truth(0.4, np.random.default_rng(1))
    [rater] = raters(found, 1, undecided=0.0)
    first = table([rater], pairs)
    second = first.assign(plan="another", answer=first["answer"].replace({"left": "right", "right": "left"}))
    both = rater_table(pd.concat([first, second], ignore_index=True)).iloc[0]
    once = rater_table(first).iloc[0]
    assert (both["repeats"], both["repeated"]) == (2 * once["repeats"], 2 * once["repeated"])
    assert both["answers"] == 2 * once["answers"]


def test_answers_that_say_nothing_yet_are_no_opinion(pairs: list[Pair]) -> None:
    found = truth(0.4, np.random.default_rng(1))
    answers, known = table(raters(found, 1), pairs), scores_of(found, "clip_score", "true", 0.0)
    assert not opinions_of(answers.assign(answer="skipped"), known)
    assert not opinions_of(answers[answers["kind"] == "pair"].head(1), known)
    assert not opinions_of(answers.head(0), known)


def test_what_is_put_in_comes_out_without_bias(pairs: list[Pair]) -> None:
    """Over many raters, so that chance is small: repeats, trick pairs and sides leave no trace in the rate."""
    found = truth(0.3, np.random.default_rng(4))
    own = raters(found, 40, leaning=0.3)
    rates = preference_table(table(own, pairs)).set_index("question")["preference"]
    for question in ("words", "person"):
        expected = np.mean([rater.preference(pair, question) for rater in own for pair in pairs])
        assert rates[question] == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(40 * len(pairs)))
