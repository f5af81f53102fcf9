"""finalists.py: notebook 03 trains the best recipes again, draws with them and chooses by them; 04 and 05 know them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from caplora.choosing.retraining import read_asked
from caplora.models.devices import device_of
from caplora.notebooks.adapters import Adapters
from caplora.notebooks.finalists import Finalists
from caplora.notebooks.samples import Samples
from caplora.notebooks.tables import Tables
from caplora.scoring.clip import load_clip
from caplora.scoring.scores import clip_table, scorable_samples, write_scores
from caplora.study.reading import PROJECT
from caplora.study.study import Study, read_study
from caplora.study.variants import Variant

BEGUN = PROJECT / "tests/training/v0.4.0"  # a study of six images
VARIANTS = (Variant(rank=1, alpha=1), Variant(rank=2, alpha=4), Variant(rank=2, alpha=2))
SAMPLING = {
    "test": [
        "an ink drawing of a woman by the sea",
        "an ink drawing of a woman in a park",
        "an ink drawing of a woman",
    ],
    "development": ["an ink drawing of a woman with long red hair", "an ink drawing of a woman with a blonde bob"],
    "num_inference_steps": 2,
    "seeds": [0, 1],
    "scales": [],
    "finalists": 1,
}
Opened = Callable[..., Study]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder in which notebook 02 has trained three variants."""
    root = tmp_path_factory.mktemp("project")
    (root / "caplora").symlink_to(PROJECT / "caplora")
    shutil.copytree(BEGUN / "datasets", root / "datasets")
    content = yaml.safe_load((BEGUN / "begun.yaml").read_text(encoding="utf-8"))
    content["sampling"], content["training"]["finalist_seeds"] = SAMPLING, 2
    (root / "params/studies").mkdir(parents=True)
    (root / "params/studies/begun.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    adapters = Adapters(opened(root), VARIANTS)
    adapters.encode(adapters.captions)
    adapters.encode_held_out(adapters.kept_back)
    adapters.prepare()
    for _ in adapters.train():
        pass
    return root


def opened(root: Path, **training: Any) -> Study:
    return read_study(root / "params/studies/begun.yaml", training=training)


@pytest.fixture
def study(trained: Path, tmp_path: Path) -> Opened:
    """Opens the study in a copy of that folder."""
    root = tmp_path / "project"
    shutil.copytree(trained, root, symlinks=True)
    return lambda **training: opened(root, **training)


def developed(study: Study) -> Samples:
    """Notebook 03 as far as its first choice."""
    samples = Samples(study, VARIANTS)
    for _ in samples.draw_development():
        pass
    samples.choose()
    return samples


def again(samples: Samples) -> tuple[Finalists, int]:
    """The rest of notebook 03: the finalists, and how many steps were trained."""
    finalists, steps = Finalists(samples), 0
    if finalists.variants:
        finalists.encode(finalists.captions)
    finalists.forecast()
    for _ in finalists.train():
        steps += 1
    for _ in samples.draw_development():
        pass
    samples.choose()
    for _ in samples.draw():
        pass
    return finalists, steps


def scored(study: Study) -> Tables:
    """Notebook 04, the CLIP alone, and what 05 holds then."""
    asked = read_asked(study, VARIANTS)
    clip = load_clip(study, study.scoring.clips[0], device_of())
    write_scores([clip_table(clip, scorable_samples(study, asked)[0], clip.prefix)], study)
    return Tables(study, asked)


def test_the_best_recipes_are_trained_again_and_judged_by_these_trainings(study: Opened) -> None:
    samples = developed(study())
    before = samples.choice
    assert before is not None and len(before.compared) == 3
    finalists, steps = again(samples)
    assert steps == 6 and len(finalists.variants) == 4  # one pack of two recipes from two seeds
    choice = samples.choice
    assert choice is not None and choice.recipe in finalists.recipes
    assert choice.tested == [f"{choice.recipe}_s1", f"{choice.recipe}_s2"]
    for arm in (*choice.tested, *(v.name for v in VARIANTS)):
        drawn = pd.read_csv(study().samples(arm) / "metadata.csv")
        assert ("test" in set(drawn["split"])) == (arm in choice.tested)

    tables = scored(study())
    assert tables.best == choice.best and tables.failed == {} and tables.names == choice.tested
    assert tables.recipe_effects["n_trainings"].tolist() == [2] and len(tables.recipe_split) > 1
    assert "This is about the recipe, not about one adapter of it." in tables.findings.answer
    assert "trained once" not in tables.answer()

    later = developed(study())  # the next session draws nothing and trains nothing
    assert later.choice is not None and later.choice.best == choice.best
    assert later.jobs == [] and again(later)[1] == 0


def test_what_takes_too_long_is_not_begun_and_the_training_that_was_chosen_is_judged(study: Opened) -> None:
    samples = developed(study(finalist_minutes=0))
    finalists, steps = again(samples)
    assert steps == 0 and "more than training.finalist_minutes (0) allows" in finalists.counts()
    assert {p.name for p in (study().run / "adapters").iterdir() if p.is_dir()} == {v.name for v in VARIANTS}
    assert samples.choice is not None and samples.choice.tested == [samples.choice.best]
    assert "it was trained once" in scored(study()).findings.answer


def test_what_was_begun_goes_on_whatever_it_takes(study: Opened) -> None:
    finalists = Finalists(developed(study(checkpointing_steps=2)))
    finalists.encode(finalists.captions)
    finalists.forecast()
    for step in finalists.train():
        if step.number == 3:
            break
    rest, steps = again(developed(study(checkpointing_steps=2, finalist_minutes=0)))
    assert 0 < steps < 6 and rest.samples.choice is not None and len(rest.samples.choice.tested) == 2


def test_a_recipe_that_would_be_trained_otherwise_now_is_not_trained_again(study: Opened) -> None:
    finalists, steps = again(developed(study(learning_rate=0.002)))
    assert steps == 0 and "learning_rate" in finalists.counts() and "run 02" in finalists.counts()


def test_further_trainings_of_recipes_that_lead_no_more_are_left_out(study: Opened) -> None:
    samples = developed(study())
    finalists, _ = again(samples)
    [third] = {v.name for v in VARIANTS} - {*finalists.recipes}
    last = finalists.recipes[-1]
    for path in (study().samples(last)).glob("*.png"):  # the runner-up drew what the third did, and the third its own
        other = study().samples(third) / path.name
        kept = other.read_bytes()
        path.replace(other)
        path.write_bytes(kept)
    assert samples.choice is not None
    swapped = developed(study())
    assert swapped.choice is not None and {v.name for v in swapped.to_retrain} != {v.name for v in finalists.variants}
    assert not any(v.name.startswith(f"{last}_s") for v in swapped.choice.asked)
