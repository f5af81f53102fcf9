"""A training that version 0.4.0 began, and that was killed after four steps, goes on to what 0.4.0 would have made.

`v0.4.0` holds what 0.4.0 wrote: the study, its images and ledger, the checkpoints of the killed run, and what the same
training came to when nothing interrupted it.
"""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from caplora.notebooks.adapters import Adapters
from caplora.study.reading import PROJECT
from caplora.study.study import read_study
from caplora.study.variants import Variant
from caplora.training.checkpoints import ChangedError

BEFORE = Path(__file__).parent / "v0.4.0"
VARIANTS = (Variant(rank=1, alpha=1), Variant(rank=2, alpha=4, use_rslora=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project folder as 0.4.0 left it, with the mini models of today."""
    shutil.copytree(BEFORE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "caplora").symlink_to(PROJECT / "caplora")
    return tmp_path


def prepared(folder: Path, **training: float) -> Adapters:
    """The study's variants, encoded and claimed."""
    adapters = Adapters(read_study(folder / "begun.yaml", training=training), VARIANTS)
    adapters.encode(adapters.captions)
    adapters.encode_held_out(adapters.kept_back)
    adapters.prepare()
    return adapters


def test_it_goes_on_from_the_last_checkpoint_to_the_same_adapters(folder: Path) -> None:
    adapters = prepared(folder)
    assert [step.number for step in adapters.train()] == [5, 6]
    for variant in VARIANTS:
        made, before = adapters.study.adapter(variant), BEFORE / "finished" / variant.name
        for name in ("pytorch_lora_weights.safetensors", f"begun_{variant.name}.safetensors"):
            ours, theirs = load_file(made / name), load_file(before / name)
            assert ours.keys() == theirs.keys()
            # to rounding: the processor on which 0.4.0 ran may multiply in another order than this one
            assert all(ours[key].allclose(theirs[key], rtol=1e-3, atol=1e-5) for key in ours)
        for name in ("losses.csv", "validation.csv"):
            pd.testing.assert_frame_equal(pd.read_csv(made / name), pd.read_csv(before / name), rtol=1e-3)
    assert prepared(folder).steps == 0


def test_kept_steps_that_fewer_steps_do_not_reach_are_said(folder: Path) -> None:
    file = folder / "begun.yaml"
    content = yaml.safe_load(file.read_text())
    content["training"]["keep"] = [2, 5]
    file.write_text(yaml.safe_dump(content))
    said = {}
    for steps in (3, None):
        adapters = Adapters(read_study(file, training={"steps": steps}), VARIANTS)
        adapters.encode(adapters.captions)
        said[steps] = adapters.prepare(fork=True)
    assert "keep asks for step 5, and training ends at step 3" in said[3] and "keep asks" not in said[None]


def test_it_still_refuses_other_settings(folder: Path) -> None:
    with pytest.raises(ChangedError, match=r"training\.learning_rate: 0\.001 → 0\.002"):
        prepared(folder, learning_rate=2e-3)
