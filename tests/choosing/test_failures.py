"""A variant that failed is named with its reason, and changes nothing for the others."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from caplora.choosing.failures import MOST, failed_variants, failure_sentence, without
from caplora.sampling.samples import save_sample, wanted_samples, write_table
from caplora.statistics.effects import COLUMNS, ScoreError, effect_table, read_scores
from caplora.study.study import Study, read_study
from caplora.study.variants import BASELINE, Variant

ASKED = [Variant(rank=4, alpha=4), Variant(rank=4, alpha=8), Variant(rank=8, alpha=8)]
NAMES = [v.name for v in ASKED]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    content = {
        "name": "faces", "images": {"folder": "faces"}, "sampling": {"development": ["x"], "test": ["a", "b"]},
    }  # fmt: skip
    (tmp_path / "faces.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return read_study(tmp_path / "faces.yaml")


def scored(*variants: str) -> pd.DataFrame:
    """Scores of the baseline and these variants by two metrics, the same for a variant whoever else is there."""
    rows = []
    for arm, metric, split in product((BASELINE, *variants), ("clip_score", "identity"), ("test", "development")):
        values = np.random.default_rng([len(arm), *arm.encode(), *metric.encode()]).normal(size=(6, 2))
        rows += [(arm, f"{split} {p}", s, split, metric, "a", value) for (p, s), value in np.ndenumerate(values)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_nothing_fails_where_every_cell_is_there(study: Study) -> None:
    assert failed_variants(study, ASKED, scored(*NAMES)) == {}


@pytest.mark.fault(34)
def test_missing_variant_is_named_with_the_step_that_left_nothing(study: Study) -> None:
    def why() -> str:
        return failed_variants(study, ASKED, scored(*NAMES[:2]))["r8_a8"]

    adapter, samples = study.adapter(ASKED[2]), study.samples("r8_a8")
    assert "was not trained" in why() and str(adapter / "settings.json") in why() and "02_train_lora" in why()
    adapter.mkdir(parents=True)
    (adapter / "settings.json").write_text(json.dumps({"stopped": "loss nan at step 7"}), encoding="utf-8")
    assert "its training stopped early: loss nan at step 7" in why()
    (adapter / "settings.json").write_text(json.dumps({"stopped": None}), encoding="utf-8")
    assert "was not sampled" in why() and "03_inference" in why()
    samples.mkdir(parents=True)
    (samples / "metadata.csv").write_text("file_name,text,seed,split\n", encoding="utf-8")
    assert why() == "was not scored: run 04_clipscore with it"


def test_variant_that_drew_what_cannot_be_scored_says_so_before_it_says_what_it_lacks(study: Study) -> None:
    wanted = [w for w in wanted_samples(study.sampling) if w.split == "test"]
    made = {"sampling": {"num_inference_steps": 1, "guidance_scale": 1.0}, "model": "", "adapter": None}
    for w in wanted:
        save_sample(Image.new("RGB", (8, 8)), "black" if w.seed == 2 else "", study.samples("r4_a8"), w, made)
    write_table(study.samples("r4_a8"), wanted)
    scores = scored(*NAMES)
    lacking = scores.drop(scores.index[scores["variant"] == "r4_a8"][0])
    found = failed_variants(study, ASKED, lacking)
    assert list(found) == ["r4_a8"] and "drew 2 of 8 samples that cannot be scored" in found["r4_a8"]
    assert f"{next(w.file_name for w in wanted if w.seed == 2)}, which is black" in found["r4_a8"]
    assert failed_variants(study, ASKED, scores) == {}


@pytest.mark.parametrize("value", [None, np.nan, np.inf])
def test_variant_that_lacks_one_cell_is_named_with_that_cell(study: Study, value: float | None) -> None:
    table = scored(*NAMES)
    hit = (table["variant"] == "r4_a8") & (table["metric"] == "identity") & (table["prompt"] == "test 3")
    hit &= table["seed"] == 1
    table = table[~hit] if value is None else table.assign(value=table["value"].mask(hit, value))
    found = failed_variants(study, ASKED, table)
    assert list(found) == ["r4_a8"]
    assert "lacks 1 of 48 scores" in found["r4_a8"] and "identity by a for prompt 'test 3', seed 1" in found["r4_a8"]
    with pytest.raises(ScoreError, match="r4_a8"):
        effect_table(table)


def test_value_that_the_file_leaves_empty_is_a_failure_too(study: Study) -> None:
    table = scored(*NAMES)
    table.loc[table.index[-1], "value"] = np.nan
    study.run.mkdir(parents=True)
    table.to_csv(study.scores, index=False)
    assert list(failed_variants(study, ASKED, read_scores(study.scores))) == ["r8_a8"]


@pytest.mark.fault(34)
@pytest.mark.parametrize("cut", ["everything", "one metric", "one cell"])
def test_effects_of_the_others_are_those_of_a_study_that_never_asked_for_the_failed_one(study: Study, cut: str) -> None:
    table = scored(*NAMES)
    own = table["variant"] == "r4_a8"
    gone = {
        "everything": own,
        "one metric": own & (table["metric"] == "identity"),
        "one cell": own & ~own.shift(fill_value=False),
    }
    broken = table[~gone[cut]]
    failed = failed_variants(study, ASKED, broken)
    assert list(failed) == ["r4_a8"]
    found = effect_table(without(broken, failed))
    pd.testing.assert_frame_equal(found, effect_table(scored("r4_a4", "r8_a8")))
    assert (found["n_variants"] == 2).all()


def test_hole_of_the_baseline_is_no_failure_of_a_variant(study: Study) -> None:
    table = scored(*NAMES)
    holed = table.drop(table.index[(table["variant"] == BASELINE)][0])
    assert failed_variants(study, ASKED, holed) == {}
    with pytest.raises(ScoreError, match=r"of baseline for prompt 'test 0', seed 0 is missing"):
        effect_table(holed)


def test_sentence_counts_those_asked_and_gives_every_reason() -> None:
    said = failure_sentence(ASKED, {"r4_a8": "was not trained: no memory"})
    assert said == (
        "2 of the 3 variants asked for were judged, and p is corrected over those. r4_a8 was not trained: no memory."
    )
    assert "All 3 variants" in failure_sentence(ASKED, {})
    assert failure_sentence(ASKED[:1], {}) == ""


def test_each_variant_lacks_what_it_lacks_alone_or_beside_others(study: Study) -> None:
    table = scored(*NAMES)
    broken = table.drop(table.index[table["variant"] == "r4_a4"][2]).drop(table.index[table["variant"] == "r8_a8"][:5])
    alone = {
        name: failed_variants(study, [v], broken[broken["variant"].isin([BASELINE, name])])
        for name, v in zip(NAMES, ASKED, strict=True)
    }
    assert failed_variants(study, ASKED, broken) == {
        name: why for found in alone.values() for name, why in found.items()
    }
    assert "lacks 1 of 48" in alone["r4_a4"]["r4_a4"] and "lacks 5 of 48" in alone["r8_a8"]["r8_a8"]


def test_what_the_baseline_has_not_is_lacked_by_nobody_and_a_cell_that_stands_twice_counts_once(study: Study) -> None:
    table = scored(*NAMES)
    twice = pd.concat(
        [table.drop(table.index[table["variant"] == "r4_a4"][0]), table[table["variant"] == "r4_a4"][1:2]]
    )
    assert list(failed_variants(study, ASKED, twice)) == ["r4_a4"]
    more = table.loc[table["variant"] == "r4_a8"].assign(split="edits")
    assert failed_variants(study, ASKED, pd.concat([table, more])) == {}


def test_very_many_failures_are_counted_and_the_first_of_them_told() -> None:
    failed = {f"r{i}_a8": "was not trained" for i in range(MOST + 1480)}
    said = failure_sentence([Variant(rank=i + 1, alpha=8) for i in range(2000)], failed)
    assert said.startswith("500 of the 2000 variants asked for were judged") and said.count("was not trained") == MOST
    assert said.endswith("Nor can 1,480 more be judged.")
