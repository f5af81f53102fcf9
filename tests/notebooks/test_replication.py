"""Captions ask adapters for their training images back, from notebook 02 to the figures of 05."""

import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
import yaml

from caplora.choosing.replication import captions_known, captions_to_ask
from caplora.choosing.retraining import read_asked
from caplora.notebooks.adapters import Adapters
from caplora.notebooks.results import Results
from caplora.notebooks.samples import Samples
from caplora.notebooks.scores import Scores
from caplora.sampling.samples import CAPTIONED, read_samples
from caplora.study.reading import PROJECT
from caplora.study.study import Study, read_study
from caplora.study.variants import BASELINE, Variant, asked_with_captions
from caplora.training.records import trained_on

BEGUN = PROJECT / "tests/training/v0.4.0"  # a study of six images
WHOLE = Variant(rank=1, alpha=1)
VARIANTS = (WHOLE, WHOLE.model_copy(update={"images": 2}), Variant(rank=2, alpha=2))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of four training images and two held-out ones, kept at two steps, as 02 to 04 leave it."""
    root = tmp_path_factory.mktemp("project")
    (root / "caplora").symlink_to(PROJECT / "caplora")
    shutil.copytree(BEGUN / "datasets", root / "datasets")
    ledger = root / "datasets/begun/metadata.csv"
    rows = pd.read_csv(ledger, keep_default_na=False, encoding="utf-8-sig")
    rows.loc[2, "split"] = "held_out"
    rows.to_csv(ledger, index=False)
    content = yaml.safe_load((BEGUN / "begun.yaml").read_text(encoding="utf-8"))
    content["sampling"] |= {
        "development": ["an ink drawing of a woman with long red hair", "an ink drawing of a woman"],
        "num_inference_steps": 2, "seeds": [3], "scales": [], "finalists": 1,
    }  # fmt: skip
    content["training"] |= {"steps": 4, "keep": [2], "finalist_seeds": 0}
    (root / "params/studies").mkdir(parents=True)
    (root / "params/studies/begun.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    own = read_study(root / "params/studies/begun.yaml")
    adapters = Adapters(own, VARIANTS)
    adapters.encode(adapters.captions)
    adapters.encode_held_out(adapters.kept_back)
    adapters.prepare()
    for _ in adapters.train():
        pass
    drawn(own)
    scores = Scores(own, read_asked(own, VARIANTS))
    for _ in scores.embed():
        pass
    scores.alignment(), scores.likeness(), scores.side_effects(), scores.replication(), scores.write()
    return own


def drawn(study: Study) -> Samples:
    """Notebook 03 from top to bottom."""
    samples = Samples(study, study.training.with_steps(VARIANTS))
    for _ in samples.draw_development():
        pass
    samples.choose()
    for _ in samples.draw():
        pass
    return samples


def captioned(study: Study) -> dict[str, list[tuple[str, str]]]:
    """Arm → split and prompt of its samples of captions."""
    folders = study.samples(BASELINE).parent.glob(f"*{CAPTIONED}")
    return {f.name.removesuffix(CAPTIONED): [(s.split, s.prompt) for s in read_samples(f)] for f in sorted(folders)}


def names(groups: list[list[Variant]]) -> list[set[str]]:
    return [{v.name for v in group} for group in groups]


def groups_of(study: Study) -> list[list[Variant]]:
    """Who is asked in a study, as 03 has chosen."""
    samples = Samples(study, study.training.with_steps(VARIANTS))
    return asked_with_captions(samples.variants, samples._chosen[1])


def test_those_asked_are_the_chosen_training_at_every_step_and_those_on_fewer_images() -> None:
    every = [*VARIANTS, *(v.model_copy(update={"step": 2}) for v in (WHOLE, VARIANTS[2]))]
    images = {"r1_a1", "r1_a1_n2"}
    assert names(asked_with_captions(every, "r2_a2")) == [{"r2_a2", "r2_a2_step2"}, images]
    assert names(asked_with_captions(every, "r1_a1_step2")) == [{"r1_a1", "r1_a1_step2"}, images]
    assert asked_with_captions([WHOLE, VARIANTS[2]], "r1_a1") == [] and asked_with_captions([WHOLE], "") == []
    machine = [v.model_copy(update={"captions": "machine"}) for v in VARIANTS[:2]]
    assert asked_with_captions(machine, "") == []  # what they were told of an image is not what the ledger says


def test_each_group_and_the_baseline_draw_captions_that_all_of_the_group_were_trained_on(study: Study) -> None:
    found, wanted = captioned(study), dict[str, set[tuple[str, str]]]()
    groups = groups_of(study)
    assert len(groups) == 2
    for group in groups:
        captions = captions_to_ask(study, group)
        assert len(captions["train"]) == len(captions["held_out"]) == 2  # there are no more held-out images
        assert all(set(captions["train"].values()) <= set(trained_on(study, v)) for v in group)
        for name in [BASELINE, *(v.name for v in group)]:
            wanted.setdefault(name, set()).update((split, text) for split, own in captions.items() for text in own)
    assert {name: set(own) for name, own in found.items()} == wanted
    assert all(len(own) == len(set(own)) for own in found.values())
    assert {s.seed for s in read_samples(study.samples(f"{BASELINE}{CAPTIONED}"))} == {3}


def test_nothing_is_drawn_twice_and_other_tables_know_no_captions(study: Study) -> None:
    folder = study.samples(BASELINE).parent
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.png")}
    drawn(study)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.png")} == before
    assert set(pd.read_csv(study.scores)["split"]) == {"development", "test"}
    assert not any(CAPTIONED in variant for variant in pd.read_csv(study.scores)["variant"])


def test_replication_is_the_cosine_to_the_image_of_the_caption(study: Study) -> None:
    table = pd.read_csv(study.replication)
    assert set(table["variant"]) == set(captioned(study)) and set(table["metric"]) == {"replication"}
    scores = Scores(study, read_asked(study, VARIANTS))
    views, texts = scores.clips[-1], dict(pd.read_csv(study.dataset / "metadata.csv")[["text", "file_name"]].to_numpy())
    for sample in scores.copies:
        pair = views.images([sample.path, study.dataset / texts[sample.prompt]]).double().numpy()
        cosine = pair[0] @ pair[1] / np.linalg.norm(pair[0]) / np.linalg.norm(pair[1])
        own = table[(table["variant"] == sample.variant.removesuffix(CAPTIONED)) & (table["prompt"] == sample.prompt)]
        assert own["value"].tolist() == pytest.approx([cosine], abs=1e-5) and own["split"].tolist() == [sample.split]
        assert own["image"].tolist() == [texts[sample.prompt]]


def test_05_draws_and_says_what_is_copied(study: Study) -> None:
    results = Results(study, read_asked(study, VARIANTS))
    for figure in (results.copies(), results.images(), results.steps()):
        assert figure is not None
    over = results.over_steps[results.over_steps["metric"] == "replication"]
    assert set(over["split"]) == {"train", "held_out"} and sorted(over["at"].unique()) == [2, 4]
    assert "captions of 2 training images and of 2 held-out ones" in results.steps_sentence()
    assert "for r1_a1 with 2 images" in results.images_sentences()
    assert sorted(p.name for p in study.figures.glob("copies.*")) == ["copies.csv", "copies.png", "copies.svg"]


def edited(study: Study, change: Callable[[pd.DataFrame], object]) -> Iterator[Study]:
    """The study while its ledger is another."""
    ledger = study.dataset / "metadata.csv"
    kept = ledger.read_text(encoding="utf-8")
    try:
        rows = pd.read_csv(ledger, keep_default_na=False)
        change(rows)
        rows.to_csv(ledger, index=False)
        yield study
    finally:
        ledger.write_text(kept, encoding="utf-8")


def set_text(split: str, text: str) -> Callable[[pd.DataFrame], object]:
    return lambda rows: rows.__setitem__("text", rows["text"].where(rows["split"] != split, text))


def test_captions_are_those_that_were_trained_on_and_of_one_image_each(study: Study) -> None:
    [known] = [captions_known(study, [WHOLE])]
    for own in edited(study, set_text("train", "edited since")):
        assert captions_known(own, [WHOLE]) == known
    for own in edited(study, set_text("held_out", "of both")):
        assert captions_known(own, [WHOLE])["held_out"] == {} and captions_to_ask(own, [WHOLE])["train"] == {}


def test_an_image_that_was_trained_on_is_never_a_null(study: Study) -> None:
    first = next(iter(captions_known(study, [WHOLE])["train"].values()))
    for own in edited(study, lambda rows: rows.loc.__setitem__((rows["file_name"] == first, "split"), "held_out")):
        assert first not in captions_known(own, [WHOLE])["held_out"].values()


def test_captions_edited_after_03_are_said_and_05_goes_on_without_them(study: Study) -> None:
    for own in edited(study, set_text("held_out", "edited since")):
        assert (
            "captions that are no longer those of their images: run 03 again"
            in Scores(own, read_asked(own, VARIANTS)).counts()
        )
        results = Results(own, read_asked(own, VARIANTS))
        assert results.copies() is not None and results.steps() is not None
    table = pd.read_csv(study.replication)
    try:
        table[table["split"] == "train"].to_csv(study.replication, index=False)  # as if none of the others were left
        results = Results(study, read_asked(study, VARIANTS))
        assert results.copies() is None and results.steps() is not None and results.images() is not None
    finally:
        table.to_csv(study.replication, index=False)


def test_a_study_of_one_development_prompt_has_a_heat_map_of_its_finalists(study: Study) -> None:
    table = pd.read_csv(study.scores)
    try:
        early = table["split"] == "development"
        table[~early | (table["prompt"] == table.loc[early, "prompt"].iloc[0])].to_csv(study.scores, index=False)
        results = Results(study, read_asked(study, VARIANTS))
        assert results.spared and results.effects_on("development").empty and results.heat_map() is not None
    finally:
        table.to_csv(study.scores, index=False)


def test_zero_captions_ask_nobody(study: Study) -> None:
    none = study.model_copy(update={"sampling": study.sampling.model_copy(update={"captions": 0})})
    none._root = study._root
    assert captions_to_ask(none, [WHOLE]) == {"train": {}, "held_out": {}}
