"""ablation.py: each kind of captions is what it says, and arms are compared with the reviewed one, pair by pair."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from caplora.captions.ledger import LedgerError, Row
from caplora.choosing.ablation import ablation_arms, ablation_table
from caplora.statistics.effects import COLUMNS
from caplora.statistics.intervals import flip_test, sign_flips
from caplora.study.reading import PROJECT
from caplora.study.study import Study, read_study
from caplora.study.variants import Variant, candidates, image_arms, read_variants
from caplora.training.caption_kinds import captions_of_kind, other_captions, shuffled

ROWS = [Row(f"{i}.png", text=f"a face, number {i}", machine_text=f"a man, number {i}") for i in range(4)]
ARMS = ablation_arms(read_variants("captions"))
GAINS = {"none": -0.06, "subject": -0.02, "machine": -0.01, "reviewed": 0.0, "shuffled": -0.04}


def scores(prompts: int = 7, seeds: int = 2) -> pd.DataFrame:
    """Scores in which the captions are worth what `GAINS` says, but for noise; and of one more arm."""
    rng, found = np.random.default_rng(0), []
    levels = {arm: 0.7 + GAINS[kind] for kind, arm in ARMS.items()} | {"baseline": 0.5, "r4_a8": 0.6}
    for (metric, model), split, p, s in product(
        (("clip_score", "a"), ("identity", "eyes")), ("test", "development"), range(prompts), range(seeds)
    ):
        for arm in ("r4_a8", "baseline", *reversed(ARMS.values())):
            found.append((arm, f"{split} {p}", s, split, metric, model, levels[arm] + p / 10 + rng.normal(0, 0.02)))
    return pd.DataFrame(found, columns=list(COLUMNS))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    found = read_study("mini")
    found._root = tmp_path
    return found


def test_each_kind_is_made_of_the_ledger(study: Study) -> None:
    names = [row.file_name for row in ROWS]
    assert captions_of_kind(study, ROWS, "none") == dict.fromkeys(names, "")
    assert captions_of_kind(study, ROWS, "subject") == dict.fromkeys(names, "an ink drawing of a woman")
    assert captions_of_kind(study, ROWS, "machine") == {row.file_name: row.machine_text for row in ROWS}
    assert sorted(captions_of_kind(study, ROWS, "shuffled").values()) == [row.text for row in ROWS]


def test_only_the_kinds_that_variants_ask_for_are_made(study: Study) -> None:
    assert other_captions(study, [Row("0.png", text="a face")], read_variants("grid")) == {}
    asked = [Variant(rank=r, alpha=4, captions=kind) for r, kind in ((4, "subject"), (8, "subject"), (4, None))]
    assert list(other_captions(study, ROWS, asked)) == ["subject"]


@given(st.integers(2, 60), st.integers(0, 2**31))
def test_shuffled_captions_use_every_caption_and_leave_no_image_its_own(count: int, seed: int) -> None:
    captions = {f"{i}.png": f"caption {i}" for i in range(count)}
    dealt = shuffled(captions, seed)
    assert dealt.keys() == captions.keys() and sorted(dealt.values()) == sorted(captions.values())
    assert [name for name in captions if dealt[name] == captions[name]] == []
    assert dealt == shuffled(dict(reversed(captions.items())), seed)


def test_another_seed_deals_the_captions_otherwise() -> None:
    captions = {f"{i}.png": f"caption {i}" for i in range(40)}
    assert shuffled(captions, 0) != shuffled(captions, 1)


def test_machine_caption_that_is_missing_is_named_with_the_way_out(study: Study) -> None:
    with pytest.raises(LedgerError, match=r"datasets/mini/metadata\.csv: 9\.png has no machine_text.*run 01 again"):
        captions_of_kind(study, [*ROWS, Row("9.png", text="a face")], "machine")


def test_one_image_cannot_be_shuffled() -> None:
    with pytest.raises(LedgerError, match=r"two images or more.*0\.png"):
        shuffled({"0.png": "a face"}, 0)


def test_controls_are_no_candidates_beside_variants_on_the_ledgers_captions() -> None:
    both = read_variants("grid+captions")
    assert candidates(both) == list(read_variants("grid"))
    alone = [Variant(rank=r, alpha=8, captions="machine") for r in (4, 8)]
    assert candidates(alone) == alone


def test_arms_differ_in_captions_alone_and_come_in_the_order_of_the_figure() -> None:
    assert list(ARMS) == ["none", "subject", "machine", "reviewed", "shuffled"]
    assert ablation_arms(tuple(reversed(read_variants("grid+captions")))) == ARMS
    assert ablation_arms(read_variants("grid")) == {}
    strangers = [Variant(rank=4, alpha=8), Variant(rank=4, alpha=16, captions="none")]
    assert ablation_arms(strangers) == {} == ablation_arms(strangers[1:])


def test_each_variant_trained_on_fewer_images_too_is_a_group_of_its_own() -> None:
    pairs = [(4, None), (8, 10), (16, None), (8, None), (16, 50), (16, 10), (2, 10)]
    arms = image_arms([Variant(rank=r, alpha=4, images=n) for r, n in pairs])
    assert arms == [{10: "r16_a4_n10", 50: "r16_a4_n50", None: "r16_a4"}, {10: "r8_a4_n10", None: "r8_a4"}]


def test_table_pairs_every_arm_with_the_reviewed_one() -> None:
    table, test = ablation_table(scores(), ARMS), scores().query("split == 'test'")
    assert table[["metric", "captions"]].to_numpy().tolist() == [
        [m, k] for m in ("clip_score", "identity") for k in ARMS
    ]
    for row in table.to_dict("records"):
        wide = test[test["metric"] == row["metric"]].pivot_table(index="prompt", columns="variant", values="value")
        level = stats.ttest_1samp(wide[row["variant"]], 0).confidence_interval(0.95)
        assert (row["mean_low"], row["mean_high"]) == pytest.approx((level.low, level.high), rel=1e-9)
        assert row["baseline"] == pytest.approx(wide["baseline"].mean())
        if row["captions"] == "reviewed":
            assert np.isnan(row["difference"])
            continue
        paired = stats.ttest_rel(wide[row["variant"]], wide[ARMS["reviewed"]]).confidence_interval(0.95)
        assert (row["low"], row["high"]) == pytest.approx((paired.low, paired.high), rel=1e-9)


def test_correction_is_over_the_arms_of_the_ablation_and_the_verdict_goes_by_it() -> None:
    table = ablation_table(scores(), ARMS)
    rows = table[(table["metric"] == "clip_score") & (table["captions"] != "reviewed")]
    test = scores().query("split == 'test' and metric == 'clip_score'")
    wide = test.pivot_table(index="prompt", columns="variant", values="value")
    means = wide[rows["variant"]].sub(wide[ARMS["reviewed"]], axis=0).to_numpy().T
    p, corrected = flip_test(means, sign_flips(len(wide)))
    assert rows["p"].tolist() == pytest.approx(p.tolist())
    assert rows["p_corrected"].tolist() == pytest.approx(corrected.tolist())
    assert (rows["p_corrected"] >= rows["p"]).all()
    assert set(rows.loc[rows["p_corrected"] > 0.05, "verdict"]) <= {"cannot be told from"}
    assert rows.set_index("captions").loc["none", "verdict"] == "falls short of"


def test_arm_within_the_margin_of_the_reviewed_one_is_equivalent_to_it() -> None:
    table = ablation_table(scores(), ARMS, {"clip_score": 0.04}).query("metric == 'clip_score'").set_index("captions")
    assert table.loc["machine", "verdict"] == "is equivalent to"
    assert table.loc["none", "verdict"] == "falls short of"
    bare = ablation_table(scores(), ARMS)
    assert "is equivalent to" not in set(bare["verdict"])


def test_reviewed_mini_study_is_the_mini_study_under_another_name() -> None:
    """So that what differs between them is what the reviewer did, and the baseline of one is that of the other."""
    mini, reviewed = read_study("mini"), read_study("mini_reviewed")
    assert reviewed.model_copy(update={"name": mini.name, "question": mini.question}) == mini
    assert (PROJECT / "params" / "variants" / "captions.yaml").is_file()
