"""drift.py: drift is paired with what chance does on the same prompts, by a formula anyone can check."""

import numpy as np
import pandas as pd
import pytest

from caplora.scoring.sample_metrics import mean_distances
from caplora.statistics.drift import NOISE, NOTHING, drift_nulls
from caplora.statistics.effects import COLUMNS
from caplora.statistics.intervals import interval
from caplora.study.variants import BASELINE

PROMPTS, SEEDS = 12, 3
NONE = pd.DataFrame()


def rows(arm: str, metric: str, values: np.ndarray, model: str = "clip_b", split: str = "unrelated") -> pd.DataFrame:
    """A table of scores from values, (P, S)."""
    found = [
        (arm, f"prompt {p}", seed, split, metric, model, value)
        for p, own in enumerate(values) for seed, value in enumerate(own)
    ]  # fmt: skip
    return pd.DataFrame(found, columns=list(COLUMNS))


def study(drift: float, noise: float = 0.3, prompts: int = PROMPTS, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Scores with a drift about so large and noises about so far apart, and the difference of the two, (P, S)."""
    rng = np.random.default_rng(seed)
    apart, moved = (rng.normal(mean, 0.02, (prompts, SEEDS)) for mean in (noise, drift))
    tables = [
        rows(BASELINE, "drift", 0 * moved), rows("r4_a8", "drift", moved), rows("r8_a8", "drift", 2 * moved),
        rows(BASELINE, "diversity", apart), rows("r4_a8", "diversity", apart / 2),
        rows(BASELINE, "diversity", apart + 9, "clip_a"), rows(BASELINE, "diversity", apart + 9, split="test"),
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True), moved - apart


@pytest.mark.parametrize(("drift", "verdict"), [(0.1, "falls short of"), (0.3, "cannot be told from"), (0.6, "beats")])
def test_drift_is_paired_prompt_by_prompt_with_what_another_noise_does(drift: float, verdict: str) -> None:
    scores, difference = study(drift)
    found = drift_nulls(scores, NONE, "r4_a8")
    [row] = found.to_dict("records")
    mean, low, high = interval(difference.mean(1))
    assert (row["difference"], row["low"], row["high"]) == pytest.approx((mean, low, high))
    assert (row["against"], row["verdict"], row["n_prompts"], row["n_seeds"]) == (NOISE, verdict, PROMPTS, SEEDS)
    assert row["p"] == pytest.approx(2.0 ** (1 - PROMPTS)) or verdict == "cannot be told from"


def test_the_null_of_another_noise_is_the_mean_distance_between_the_noises_of_a_prompt() -> None:
    import torch
    from torch.nn.functional import cosine_similarity

    views = torch.randn(SEEDS, 8, generator=torch.Generator().manual_seed(0))
    pairs = [1 - float(cosine_similarity(views[i], views[j], 0)) for i in range(SEEDS) for j in range(i)]
    values = np.tile(mean_distances(views).numpy(), (PROMPTS, 1))
    scores = pd.concat([rows("r4_a8", "drift", 0 * values + 0.5), rows(BASELINE, "diversity", values)])
    [row] = drift_nulls(scores, NONE, "r4_a8").to_dict("records")
    assert row["baseline"] == pytest.approx(np.mean(pairs), abs=1e-6)


def test_next_to_nothing_of_the_adapter_is_paired_with_the_whole_of_it_on_its_one_seed() -> None:
    scores, _ = study(0.1)
    moved = scores[(scores["variant"] == "r4_a8") & (scores["metric"] == "drift") & (scores["seed"] == 0)]
    tiny = moved.assign(variant="r4_a8@0.01", value=0.002)
    other = tiny.assign(variant="r8_a8@0.01", value=9.0)
    found = drift_nulls(scores, pd.concat([tiny, other]), "r4_a8").set_index("against")
    row = found.loc[NOTHING]
    assert (row["baseline"], row["n_prompts"], row["n_seeds"]) == (pytest.approx(0.002), PROMPTS, 1)
    assert row["adapter"] == pytest.approx(moved["value"].mean()) and row["verdict"] == "beats"
    assert list(found.index) == [NOISE, NOTHING] and found.loc[NOISE, "n_seeds"] == SEEDS


def test_an_adapter_that_moves_nothing_more_than_next_to_nothing_of_it_is_within_chance() -> None:
    scores, _ = study(0.1)
    moved = scores[(scores["variant"] == "r4_a8") & (scores["metric"] == "drift") & (scores["seed"] == 0)]
    tiny = moved.assign(variant="r4_a8@0.01", value=moved["value"].to_numpy()[::-1])
    assert drift_nulls(scores, tiny, "r4_a8").iloc[-1]["verdict"] == "cannot be told from"


def test_equal_distances_are_taken_for_drift_in_at_most_one_study_of_twenty() -> None:
    """Of 400 studies in which an adapter changes a picture as much as another noise does, either way."""
    found = [drift_nulls(study(0.3, seed=s)[0], NONE, "r4_a8")["verdict"].iloc[0] for s in range(400)]
    assert np.mean([verdict != "cannot be told from" for verdict in found]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_what_is_not_there_has_no_row() -> None:
    scores, _ = study(0.1)
    assert len(drift_nulls(scores[scores["metric"] != "drift"], NONE, "r4_a8")) == 0
    assert len(drift_nulls(scores[scores["metric"] != "diversity"], NONE, "r4_a8")) == 0
    assert len(drift_nulls(scores, NONE, "r16_a16")) == 0
    one = scores[scores["prompt"] == "prompt 0"]
    assert len(drift_nulls(one, NONE, "r4_a8")) == 0  # one prompt has no spread


def test_prompts_that_only_one_side_has_are_left_out() -> None:
    scores, _ = study(0.1)
    lost = (scores["metric"] == "diversity") & (scores["prompt"] == "prompt 3")
    assert drift_nulls(scores[~lost], NONE, "r4_a8")["n_prompts"].tolist() == [PROMPTS - 1]
