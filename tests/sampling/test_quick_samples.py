"""quick_samples.py: which adapter is meant, and which base model."""

from pathlib import Path

import pytest

from caplora.lora.formats import DIFFUSERS
from caplora.lora.opening import adapter_file
from caplora.sampling.quick_samples import study_on
from caplora.study.reading import StudyError
from caplora.study.study import read_study


def test_missing_and_doubtful_adapters_are_named(tmp_path: Path) -> None:
    own = tmp_path / "lora" / DIFFUSERS
    own.parent.mkdir()
    own.touch()
    assert adapter_file(own.parent) == adapter_file(own) == own
    with pytest.raises(ValueError, match="holds 0 adapters"):
        adapter_file(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.safetensors").touch()
    with pytest.raises(ValueError, match="holds 2 adapters"):
        adapter_file(tmp_path)


def test_model_of_the_hub_is_pinned_or_refused() -> None:
    sd15 = read_study("sd15")
    gone = study_on(sd15, "runwayml/stable-diffusion-v1-5", 384)
    assert (gone.base.revision, gone.images.resolution) == (sd15.base.revision, 384)
    assert study_on(sd15, "somebody/model@abc", 512).base.model_dump() == {"path": "somebody/model", "revision": "abc"}
    other = study_on(sd15, "somebody/model", 512)
    with pytest.raises(StudyError, match="needs a revision"):
        other.model_path(other.base)
