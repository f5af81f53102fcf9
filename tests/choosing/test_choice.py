"""choice.py: the development prompts choose who draws the test prompts and who is reported, and nothing else does."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from caplora.choosing.choice import Choice, read_choice
from caplora.choosing.failures import failed_variants
from caplora.statistics.effects import COLUMNS, ScoreError
from caplora.study.study import Study, read_study
from caplora.study.variants import BASELINE, Variant

ASKED = [Variant(rank=4, alpha=4), Variant(rank=4, alpha=8), Variant(rank=8, alpha=8)]
GAINS = {"r4_a4": 0.1, "r4_a8": 0.3, "r8_a8": 0.2}
SPLITS = ("development", "test")


def study_with(folder: Path, finalists: int | None) -> Study:
    sampling = {"development": ["x"], "test": ["a", "b"], "finalists": finalists}
    content = {"name": "faces", "images": {"folder": "faces"}, "sampling": sampling}
    (folder / "faces.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return read_study(folder / "faces.yaml")


def scored(gains: Mapping[str, float], *splits: str, seed: int = 0) -> pd.DataFrame:
    """CLIPScores in which every variant gains the same on every development prompt, and anything on test."""
    rng, rows = np.random.default_rng(seed), []
    for split, p, s in product(splits, range(4), range(2)):
        for arm, gain in {BASELINE: 0.0, **gains}.items():
            value = 1 + p / 10 + (gain if split == "development" else rng.normal())
            rows.append((arm, f"{split} {p}", s, split, "clip_score", "a", value))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def names(variants: list[Variant]) -> list[str]:
    return [v.name for v in variants]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("finalists", [None, 1, 2, 3])
def test_what_is_chosen_before_the_test_is_chosen_after_it(tmp_path: Path, finalists: int | None, seed: int) -> None:
    study = study_with(tmp_path, finalists)
    before = Choice(study, ASKED, scored(GAINS, "development"))
    whole = scored(GAINS, *SPLITS, seed=seed)
    drawn = whole[(whole["split"] == "development") | whole["variant"].isin([BASELINE, *before.tested])]
    for scores in (drawn, whole):  # as 03 draws now, and with what an older run drew of the others
        after = Choice(study, ASKED, scores)
        assert after.best == before.best == "r4_a8" and after.failed == {}
        assert names(after.scored) == before.tested


def test_finalists_are_the_best_of_the_development_prompts_in_the_order_asked(tmp_path: Path) -> None:
    scores = scored(GAINS, "development")
    found = {n: names(Choice(study_with(tmp_path, n), ASKED, scores).finalists) for n in (None, 1, 2, 3, 9)}
    assert found == {None: list(GAINS), 1: ["r4_a8"], 2: ["r4_a8", "r8_a8"], 3: list(GAINS), 9: list(GAINS)}


def test_without_finalists_who_fails_is_who_lacks_any_score(tmp_path: Path) -> None:
    study, whole = study_with(tmp_path, None), scored(GAINS, *SPLITS)
    for hole in whole.index[whole["variant"] == "r4_a8"]:
        broken = whole.drop(hole)
        choice = Choice(study, ASKED, broken)
        assert choice.failed == failed_variants(study, ASKED, broken) and list(choice.failed) == ["r4_a8"]
        assert (choice.best, choice.spared, choice.sentence().startswith("2 of the 3")) == ("r8_a8", [], True)


def test_recipe_is_a_finalist_with_all_its_trainings(tmp_path: Path) -> None:
    asked = [*ASKED, Variant(rank=8, alpha=8, seed=1)]
    choice = Choice(study_with(tmp_path, 1), asked, scored(GAINS | {"r8_a8_s1": 0.9}, "development"))
    assert choice.tested == ["r8_a8", "r8_a8_s1"] and choice.best == "r8_a8"


def test_arms_of_a_caption_ablation_draw_the_test_prompts_and_are_no_finalists(tmp_path: Path) -> None:
    asked = [*ASKED, Variant(rank=4, alpha=4, captions="shuffled")]
    choice = Choice(study_with(tmp_path, 1), asked, scored(GAINS | {"r4_a4_shuffled": 0.9}, "development"))
    assert choice.tested == ["r4_a4", "r4_a8", "r4_a4_shuffled"] and names(choice.finalists) == ["r4_a8"]


def test_finalist_that_lacks_a_test_score_is_named_and_none_takes_its_place_but_a_finalist(tmp_path: Path) -> None:
    whole = scored(GAINS, *SPLITS)
    broken = whole.drop(whole.index[(whole["variant"] == "r4_a8") & (whole["split"] == "test")][0])
    two = Choice(study_with(tmp_path, 2), ASKED, broken)
    assert two.best == "r8_a8" and list(two.failed) == ["r4_a8"] and "lacks 1 of 16 scores" in two.failed["r4_a8"]
    assert "the best 2 of them alone (r4_a8, r8_a8): p needs no correction. r4_a8 lacks" in two.sentence()
    with pytest.raises(ScoreError, match=r"no variant can be judged: r4_a8 lacks 1 .*raise sampling\.finalists"):
        _ = Choice(study_with(tmp_path, 1), ASKED, broken).best


def test_variant_that_cannot_be_compared_is_no_finalist_and_says_what_it_lacks_there(tmp_path: Path) -> None:
    whole = scored(GAINS, *SPLITS)
    broken = whole.drop(whole.index[(whole["variant"] == "r4_a8") & (whole["split"] == "development")][0])
    choice = Choice(study_with(tmp_path, 1), ASKED, broken)
    assert (choice.best, names(choice.spared)) == ("r8_a8", ["r4_a4"])
    assert list(choice.failed) == ["r4_a8"] and "lacks 1 of 8 scores" in choice.failed["r4_a8"]


def test_variant_known_to_have_failed_on_the_test_prompts_is_not_chosen(tmp_path: Path) -> None:
    flagged = {"r4_a8": "drew black"}
    assert Choice(study_with(tmp_path, None), ASKED, scored(GAINS, "development"), flagged).best == "r8_a8"
    choice = Choice(study_with(tmp_path, 2), ASKED, scored(GAINS, "development"), flagged)
    assert choice.best == "r8_a8" and "r4_a8" in choice.tested  # which it had drawn when it failed


def test_sentence_says_on_whom_the_test_prompts_were_spent(tmp_path: Path) -> None:
    whole = scored(GAINS, *SPLITS)
    assert Choice(study_with(tmp_path, None), ASKED, whole).sentence().startswith("All 3 variants")
    assert Choice(study_with(tmp_path, 3), ASKED, whole).sentence().startswith("All 3 variants")
    said = "3 variants were compared on the development prompts, and the test prompts were spent on the best"
    assert Choice(study_with(tmp_path, 1), ASKED, whole).sentence() == (
        f"{said} of them alone (r4_a8): p needs no correction."
    )
    assert Choice(study_with(tmp_path, 2), ASKED, whole).sentence() == (
        f"{said} 2 of them alone (r4_a8, r8_a8): p is corrected over those."
    )


def test_table_has_the_means_and_is_read_as_it_was_written(tmp_path: Path) -> None:
    study = study_with(tmp_path, 1)
    choice = Choice(study, ASKED, scored(GAINS, *SPLITS))
    table = choice.table()
    assert table["variant"].tolist() == [BASELINE, *GAINS]
    assert table["difference"].tolist() == pytest.approx([0, *GAINS.values()])
    assert table["clip_score"].tolist() == pytest.approx([1.15 + gain for gain in (0, *GAINS.values())])
    assert table["tested"].tolist() == [True, False, True, False]
    assert table["chosen"].tolist() == [False, False, True, False]
    assert read_choice(study).empty
    study.run.mkdir(parents=True)
    table.to_csv(study.choice, index=False)
    pd.testing.assert_frame_equal(read_choice(study), table)


def test_it_is_said_where_03_chose_another(tmp_path: Path) -> None:
    study = study_with(tmp_path, None)
    choice = Choice(study, ASKED, scored(GAINS, *SPLITS))
    assert choice.announced() == "chosen: r4_a8, shown by r4_a8"
    study.run.mkdir(parents=True)
    choice.table().to_csv(study.choice, index=False)
    assert choice.announced() == "chosen: r4_a8, shown by r4_a8"
    other = Choice(study, ASKED, scored(GAINS | {"r8_a8": 0.9}, *SPLITS))
    assert "But 03_inference chose r4_a8" in other.announced() and other.announced().startswith("chosen: r8_a8")


def test_study_without_a_variant_says_why_there_is_nothing_to_choose(tmp_path: Path) -> None:
    choice = Choice(study_with(tmp_path, None), [], scored({}, "development"))
    assert choice.table()["variant"].tolist() == [BASELINE] and choice.tested == []
    with pytest.raises(ScoreError, match="none was trained and scored"):
        _ = choice.recipe
