"""notebooks/card.py: whose card it is, how a notebook shows it, and that nothing is sent unless somebody says where."""

import base64
import re
from pathlib import Path

import pytest

from caplora.notebooks.card import Card, answered, trained_variants
from caplora.publishing.folder import PublishError
from caplora.study.variants import BASELINE
from tests.publishing.small import OTHER, VARIANT, draw, findings, small_facts, small_study, train


def test_the_only_variant_trained_is_taken_and_of_several_one_must_be_named(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    assert Card.read(study).facts.variant == VARIANT
    train(study, OTHER)
    with pytest.raises(PublishError, match=r"no variant is chosen: notebook 03.*--variant \(there are r4_a8, r8_a8\)"):
        Card.read(study)
    assert Card.read(study, variant="r8_a8").facts.variant == OTHER
    with pytest.raises(PublishError, match=r"there is no variant r1_a1 of small; .*there are r4_a8, r8_a8"):
        Card.read(study, variant="r1_a1")


def test_a_study_that_trained_nothing_says_what_to_run(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    study.adapter(VARIANT).rename(study.adapter(VARIANT).with_name("r4_a8~1"))  # a training that was set aside
    assert trained_variants(study) == []
    with pytest.raises(PublishError, match="run 02_train_lora first"):
        Card.read(study)


def test_a_further_training_counts_where_its_recipe_was_chosen_to_be_trained_again(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    train(study, again := VARIANT.model_copy(update={"seed": 1, "retrained": True}))
    assert trained_variants(study) == [VARIANT]
    study.choice.write_text(f"variant,clip_score,difference,tested,chosen\n{again.name},1,0,True,True\n")
    assert trained_variants(study) == [VARIANT, again]


def test_samples_without_scores_and_scores_that_cannot_be_read_are_told_apart(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    draw(study, BASELINE, VARIANT.name)
    assert "notebook 04" in Card.read(study).facts.why
    study.scores.write_text("variant,prompt\nr4_a8,x\n")
    assert "must have the columns" in Card.read(study).facts.why


def test_a_notebook_shows_the_card_with_its_pictures_inside(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    draw(study, BASELINE, VARIANT.name)
    card = Card(small_facts(study, findings({VARIANT.name: 0.05})))
    card.write()
    page = card._repr_markdown_()
    shown = {base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([^)]+)\)", page)}
    assert shown == {path.read_bytes() for path in (study.run / "card" / "r4_a8" / "images").glob("*.png")}
    assert "](images/" not in page and page.lstrip().startswith("# small_r4_a8")


def test_a_notebook_goes_on_without_an_adapter_and_says_why_there_is_no_card(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    card = Card(small_facts(study))
    (study.adapter(VARIANT) / "pytorch_lora_weights.safetensors").unlink()
    assert card.written().startswith("no card: ") and "is not there: run 02_train_lora again" in card.written()
    assert card._repr_markdown_() == "No card was written."


def test_a_notebook_goes_on_where_the_card_cannot_be_written(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    (study.run / "card").write_text("a file where the folder would be")
    assert Card(small_facts(study)).written().startswith("no card: ")


def test_nothing_is_sent_where_nobody_says_where(tmp_path: Path) -> None:
    said = Card(small_facts(small_study(tmp_path))).push("")
    assert "not sent" in said and "python -m caplora publish small --variant r4_a8 --to owner/name" in said


@pytest.mark.parametrize(
    ("typed", "agreed"), [("yes", True), (" YES ", True), ("y", False), ("", False), ("no", False)]
)
def test_only_yes_is_a_yes(typed: str, agreed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda said: typed)
    assert answered("this") is agreed
