"""scale_zero.py, shuffled_prompts.py: a control that should fail does."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from caplora.models.base import parts_of
from caplora.sampling.samples import Sample, Wanted
from caplora.sampling.scale_zero import scale_zero_table
from caplora.scoring.clip import ClipEmbeddings
from caplora.scoring.embeddings import Embeddings
from caplora.scoring.shuffled_prompts import shuffled_prompts_table
from caplora.statistics.controls import read_controls, shuffled_control, write_controls
from caplora.study.sampling_settings import Sampling
from tests.tiny import pixels_of, tiny_pipeline, trained_like

SETTINGS = Sampling(development=("a",), test=("b", "c"), num_inference_steps=2, guidance_scale=3.0, batch_size=2)
WANTED = Wanted("an ink drawing of a woman", 0, "development", "development_000_0.png")


def test_scale_zero_draws_the_baseline_to_the_bit_in_every_pack() -> None:
    pipeline = tiny_pipeline()
    adapters = {f"r4_a{i}": trained_like(parts_of(pipeline), 4, 8, seed=i) for i in (1, 2, 3)}
    table = scale_zero_table(pipeline, adapters, WANTED, SETTINGS)
    assert table["variant"].tolist() == list(adapters) and table["passed"].all() and (table["value"] == 0).all()


def test_adapter_that_adds_something_at_scale_zero_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = tiny_pipeline()
    monkeypatch.setattr(
        sys.modules["caplora.sampling.scale_zero"], "rescaled", lambda adapter, _: adapter
    )  # the scale is not read
    table = scale_zero_table(pipeline, {"r4_a8": trained_like(parts_of(pipeline), 4, 8)}, WANTED, SETTINGS)
    assert not table["passed"].any() and table["value"].item() > 1e-3


class Colours:
    """A CLIP that sees the colour of a picture and reads the name of one."""

    label, weights, versions, fingerprint = "colours", "0" * 12, "none", "f" * 32
    shown, words = "as it is", ("red", "green", "blue")

    def pixels(self, images: Sequence[Image.Image]) -> Tensor:
        return pixels_of(images)

    def embed_pixels(self, pixels: Tensor) -> Tensor:
        return pixels.mean((2, 3)) + 1


class Views(ClipEmbeddings):
    def __init__(self) -> None:
        Embeddings.__init__(self, Colours())

    def texts(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([[float(word in text) for word in Colours.words] for text in texts])


@pytest.fixture
def clip() -> ClipEmbeddings:
    return Views()


def painted(folder: Path, arm: str, colours: Sequence[str]) -> list[Sample]:
    """A picture of each colour for the prompts red, green, blue and each of two seeds."""
    (folder / arm).mkdir()
    made = []
    for prompt, colour in zip(Colours.words, colours, strict=True):
        for seed in (0, 1):
            path = folder / arm / f"{prompt}_{seed}.png"
            Image.new("RGB", (4, 4), f"dark{colour}" if seed else colour).save(path)
            made.append(Sample(arm, path, prompt, seed, "test"))
    return made


def test_prompts_of_others_score_lower_where_samples_show_their_own(tmp_path: Path, clip: ClipEmbeddings) -> None:
    samples = painted(tmp_path, "baseline", Colours.words) + painted(tmp_path, "r4_a8", ("gray",) * 3)
    table = shuffled_control(shuffled_prompts_table(clip, samples, "")).set_index("variant")
    assert table.loc["baseline", "passed"] and not table.loc["r4_a8", "passed"]
    row = table.loc["baseline"]
    assert row["difference"] == pytest.approx(row["value"] - row["reference"]) and row["high"] < 0
    assert row["reference"] == pytest.approx(2.5, abs=0.1) and row["value"] < 0.1 and row["n"] == 6


def test_score_with_others_is_the_mean_over_all_other_prompts(tmp_path: Path, clip: ClipEmbeddings) -> None:
    samples = painted(tmp_path, "baseline", ("red", "green", "gray"))
    images, texts = clip.images([s.path for s in samples]), clip.texts([*Colours.words])
    cosine = torch.nn.functional.cosine_similarity(images[:, None], texts[None], dim=2).clamp(min=0).numpy() * 2.5
    others = [np.delete(row, i // 2).mean() for i, row in enumerate(cosine)]
    assert shuffled_control(shuffled_prompts_table(clip, samples, ""))["value"].item() == pytest.approx(np.mean(others))


def test_one_prompt_has_no_others(tmp_path: Path, clip: ClipEmbeddings) -> None:
    assert shuffled_control(shuffled_prompts_table(clip, painted(tmp_path, "baseline", Colours.words)[:2], "")).empty


def test_a_control_run_again_replaces_itself_and_leaves_the_other(tmp_path: Path, clip: ClipEmbeddings) -> None:
    path, pipeline = tmp_path / "controls.csv", tiny_pipeline()
    assert read_controls(path).empty
    zero = scale_zero_table(pipeline, {"r4_a8": trained_like(parts_of(pipeline), 4, 8)}, WANTED, SETTINGS)
    shuffled = shuffled_control(shuffled_prompts_table(clip, painted(tmp_path, "baseline", Colours.words), ""))
    for table in (zero, shuffled, zero):
        write_controls(table, path)
    back = read_controls(path)
    assert back["control"].tolist() == ["shuffled prompts", "scale 0"] and back["passed"].tolist() == [True, True]
    assert pd.api.types.is_float_dtype(back["difference"]) and np.isnan(back["difference"].iloc[1])
