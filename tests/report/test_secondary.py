"""What metrics beside the headline say: the table, the words, the judge that agrees or does not."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from caplora.report.secondary import (
    agreement_sentence,
    arm_sentence,
    cost_sentence,
    few_prompts,
    memorised_sentence,
    read_closest,
    read_table,
    scale_rows,
    secondary_columns,
    secondary_rows,
    secondary_sentences,
    suite_sentences,
    tracking_sentence,
)
from caplora.statistics.agreement import tracking_table
from caplora.statistics.effects import effect_table
from caplora.study.files import write_text
from caplora.study.study import read_study
from caplora.study.variants import BASELINE

from .test_report import scores

NONE = pd.DataFrame()


def arm(metric: str, variant: str, value: float, baseline: float, p: float) -> dict[str, Any]:
    return {
        "variant": variant, "metric": metric, "model": "eyes", "n": 16, "n_real": 5, "value": value,
        "baseline": baseline, "difference": value - baseline, "p": p, "p_corrected": min(1.0, 2 * p),
    }  # fmt: skip


def judged(clip: float, judge: float) -> pd.DataFrame:
    """Effects of one variant that gains so much in CLIPScore and so much by the judge."""
    table = scores({"r4_a8": 0.0}, kinds=(("clip_score", "clip_a"), ("judge", "judge")))
    own = table["variant"] == "r4_a8"
    table.loc[own & (table["metric"] == "clip_score"), "value"] += clip
    table.loc[own & (table["metric"] == "judge"), "value"] += judge
    return effect_table(table)


def test_agreement_is_over_the_variants_that_differ() -> None:
    assert "go the same way for the one variant that differs in CLIPScore." in agreement_sentence(
        judged(0.1, 0.1), "clip_a"
    )
    assert "r4_a8 (CLIPScore +0.1" in (said := agreement_sentence(judged(0.1, -0.1), "clip_a")) and "DISAGREE" in said
    assert "no difference of any variant" in agreement_sentence(judged(0.0, 0.3), "clip_a")


def test_what_an_adapter_costs_is_said_and_a_null_costs_nothing() -> None:
    def unrelated(gain: float) -> pd.DataFrame:
        return effect_table(scores({"r4_a8": gain}).replace({"split": {"test": "unrelated"}}))

    said = cost_sentence(unrelated(-0.2), "r4_a8", "clip_a")
    assert said.startswith("Where nobody asked for the subject, r4_a8 falls short of the baseline: CLIPScore ")
    assert cost_sentence(unrelated(0.0), "r4_a8", "clip_a") == cost_sentence(unrelated(0.2), "r4_a8", "clip_a") == ""
    assert cost_sentence(effect_table(scores({"r4_a8": -0.2})), "r4_a8", "clip_a") == ""


def test_loss_that_the_judge_sees_too_is_agreement() -> None:
    assert "DISAGREE" not in agreement_sentence(judged(-0.1, -0.1), "clip_a")


def test_arm_says_which_way_is_better_and_its_two_p() -> None:
    said = arm_sentence(arm("kid", "r4_a8", 1.0, 3.0, 0.002))
    assert (
        "is lower than the baseline’s, which is better" in said and "permutation p = 0.002, corrected p = 0.004" in said
    )
    assert "is higher than the baseline’s, which is worse" in arm_sentence(arm("memorised", "r4_a8", 0.4, 0.0, 0.001))
    null = arm_sentence(arm("cmmd", "r4_a8", 1.0, 3.0, 0.2))
    assert "cannot be told from" in null and "better" not in null


def test_arm_that_does_not_differ_at_all_cannot_be_told_from_the_baseline() -> None:
    assert "cannot be told from" in arm_sentence(arm("memorised", "r4_a8", 0.0, 0.0, 1.0))


def test_table_has_the_baseline_first_and_what_is_known_of_each() -> None:
    kinds = (("identity", "eyes"), ("drift", "clip_b"))
    effects = effect_table(scores({"r4_a8": 0.1}, kinds=kinds, splits=("test", "unrelated")), ("identity", "drift"))
    arms = pd.DataFrame([arm("kid", "r4_a8", 1.0, 3.0, 0.002)])
    assert secondary_columns(effects, arms) == ["identity", "drift", "kid"]
    baseline, own = secondary_rows(effects, arms, ["r4_a8"])
    assert baseline["arm"] == BASELINE and baseline["kid"][0] == 3.0 and own["kid"] == (1.0, 0.004)
    assert own["drift"][1] != own["drift"][1]  # nan: a distance is not tested


def test_sentences_leave_out_the_headline_and_stand_by_what_they_are_about() -> None:
    kinds = (("clip_score", "clip_a"), ("clip_score", "clip_b"), ("memorisation", "eyes"))
    effects = effect_table(scores({"r4_a8": 0.1}, kinds=kinds), ("clip_score", "memorisation"))
    said = secondary_sentences(effects, NONE, "r4_a8", "clip_a")
    assert list(said) == ["Alignment with the prompt", "Memorisation"]
    assert [s.split(",")[1] for s in said["Alignment with the prompt"]] == [" by clip_b"]
    assert "which is worse" in said["Memorisation"][0]


def test_suite_that_was_not_drawn_says_nothing() -> None:
    effects = effect_table(scores({"r4_a8": 0.1}, splits=("test", "edits")))
    assert suite_sentences(effects, "r4_a8", "clip_a", "unrelated") == []
    assert "r4_a8 beats the baseline" in suite_sentences(effects, "r4_a8", "clip_a", "edits")[0]


def test_prompts_too_few_to_show_anything_are_said_to_be() -> None:
    assert few_prompts([16, 6]) == [] and few_prompts([]) == []
    assert "With 5 prompts the sign-flip test cannot fall below p = 0.0625" in few_prompts([16, 5])[0]


def test_tracking_that_includes_nothing_is_said_to() -> None:
    found = tracking_table(scores({"r4_a8": 0.1}, kinds=(("clip_score", "clip_a"), ("judge", "judge"))))
    row = found.iloc[0].to_dict()
    assert "variants" not in tracking_sentence(row)  # one variant has no order
    assert "(cannot be told from none)" in tracking_sentence(row | {"samples_low": -0.1, "samples_high": 0.2})
    assert "one side does not vary" in tracking_sentence(row | {"samples": float("nan")})


def test_closest_sample_is_beside_the_limit() -> None:
    closest = pd.DataFrame({"variant": ["r4_a8", "r8_a8"], "portrait": ["a.png", "b.png"], "similarity": [0.7, 0.99]})
    said = memorised_sentence(closest.assign(limit=0.9))
    assert "one of r8_a8, with a cosine of 0.990 to b.png; 1 of the 2 closest pairs is above 0.900" in said
    assert "none of the 2 closest pairs is above" in memorised_sentence(closest.assign(limit=1.0))
    assert memorised_sentence(NONE) == ""


def test_the_closest_are_ten_of_those_that_are_reported_however_near_others_come(tmp_path: Path) -> None:
    study = read_study("mini")
    study._root = tmp_path
    assert len(read_closest(study, ["r4_a8"])) == 0  # 04 has left no table
    rows = [
        ("r4_a8_step10", 0.9),
        *(("r4_a8", 0.1 * i) for i in range(8)),
        *(("r8_a8", 0.05 + 0.1 * i) for i in range(8)),
    ]
    write_text(study.closest, pd.DataFrame(rows, columns=["variant", "similarity"]).to_csv(index=False))
    one, two = (read_closest(study, names) for names in (["r4_a8"], ["r4_a8", "r8_a8"]))
    assert one["variant"].tolist() == ["r4_a8"] * 8
    assert two["similarity"].tolist() == pytest.approx([0.75 - 0.05 * i for i in range(10)])


def test_scales_are_means_of_the_chosen_variant_on_development_prompts() -> None:
    table = pd.concat([scores({"r4_a8": gain}).assign(scale=scale) for scale, gain in ((0.5, 0.1), (1.0, 0.2))])
    own = table[(table["variant"] == "r4_a8") & (table["split"] == "development")]
    rows = scale_rows(table, "r4_a8", "clip_a")
    assert [row["scale"] for row in rows] == [0.5, 1.0]
    mean = own[(own["metric"] == "clip_score") & (own["model"] == "clip_a") & (own["scale"] == 0.5)]["value"].mean()
    assert abs(rows[0]["clip_score"] - mean) < 1e-12
    assert scale_rows(NONE, "r4_a8", "clip_a") == []


def test_table_that_is_not_there_has_no_rows_and_others_are_cut_to_the_variants(tmp_path: Any) -> None:
    assert len(read_table(tmp_path / "arms.csv", ["r4_a8"])) == 0
    rows = [arm("kid", v, 1.0, 3.0, 0.002) for v in ("r4_a8", "r8_a8")]
    pd.DataFrame(rows).to_csv(tmp_path / "arms.csv", index=False)
    assert read_table(tmp_path / "arms.csv", ["r8_a8"])["variant"].tolist() == ["r8_a8"]
