"""commands/pictures.py: an adapter beside its base from the command line, and what that draws is scored as it lies."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from caplora.commands import main
from caplora.lora.adapter import Adapter
from caplora.lora.adapter_files import write_weights
from caplora.lora.formats import DIFFUSERS
from caplora.models.base import parts_of
from caplora.sampling.samples import named_sample, said_of
from caplora.study.sampling_settings import Sampling
from caplora.study.variants import Variant
from tests.tiny import tiny_clip, tiny_pipeline, trained_like

PROMPTS = ("an ink drawing of a woman, smiling", "a photo")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, an adapter and a CLIP on disk."""
    folder, pipeline = tmp_path_factory.mktemp("models"), tiny_pipeline()
    pipeline.save_pretrained(folder / "base")
    write_weights(trained_like(parts_of(pipeline), 4, 8), folder / "lora" / DIFFUSERS, "diffusers", {})
    tiny_clip(folder / "clip")
    return folder


def sample(models: Path, out: Path, *flags: str) -> int:
    prompts = [word for prompt in PROMPTS for word in ("--prompt", prompt)]
    return main(
        ["sample", "--pretrained_model", str(models / "base"), "--lora_weights", str(models / "lora"), *prompts,
         "--seeds", "0", "7", "--num_inference_steps", "2", "--resolution", "32", "--output_dir", str(out), *flags]
    )  # fmt: skip


def test_what_no_flag_says_is_as_the_help_says_and_not_as_a_study_has_it(models: Path, tmp_path: Path) -> None:
    words = ["--pretrained_model", str(models / "base"), "--lora_weights", str(models / "lora"), "--prompt", "a photo"]
    assert main(["sample", *words, "--seeds", "0", "--resolution", "32", "--output_dir", str(tmp_path)]) == 0
    made = said_of(tmp_path / "baseline" / named_sample("a photo", 0, "prompt").file_name)["made"]["sampling"]
    assert made == Sampling(development=("a",), test=("b", "c")).model_dump(include={*made})


def test_both_draw_every_prompt_and_what_they_drew_is_scored_arm_by_arm(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    assert sample(models, out) == 0
    tables = {arm: pd.read_csv(out / arm / "metadata.csv") for arm in ("baseline", "lora@1")}
    for table in tables.values():
        assert set(zip(table["text"], table["seed"], strict=True)) == {(p, s) for p in PROMPTS for s in (0, 7)}
    names = tables["baseline"]["file_name"]
    both = [[np.asarray(Image.open(out / arm / name)) for name in names] for arm in tables]
    assert all((a != b).any() for a, b in zip(*both, strict=True))
    assert said_of(out / "lora@1" / names[0])["made"]["adapter"]["name"] == "lora"
    with Image.open(out / "side_by_side.jpg") as both_arms:
        assert both_arms.size == (2 * 256 + 4, 4 * 256 + 3 * 4)
    capsys.readouterr()
    assert main(["score", "--images_dir", str(out), "--model", f"local-dir:{models / 'clip'}"]) == 0
    said = capsys.readouterr().out
    assert "baseline: clip_score by clip: mean" in said and "lora@1: clip_score by clip: mean" in said
    scores = pd.read_csv(out / "scores.csv")
    assert set(scores["file_name"]) == {f"{arm}/{name}" for arm in tables for name in names}


def test_what_is_there_is_not_drawn_again_and_scale_zero_is_the_baseline(models: Path, tmp_path: Path) -> None:
    assert sample(models, tmp_path, "--scale", "0") == 0
    paths = sorted(tmp_path.glob("*/*.png"))
    before = [path.stat().st_mtime_ns for path in paths]
    assert sample(models, tmp_path, "--scale", "0") == 0
    assert [path.stat().st_mtime_ns for path in paths] == before
    for path in (tmp_path / "baseline").glob("*.png"):
        difference = np.asarray(Image.open(path)).astype(int) - np.asarray(Image.open(tmp_path / "lora@0" / path.name))
        assert np.abs(difference).max() == 0  # merged at scale 0 into the same weights


def test_other_prompts_stay_and_what_other_settings_drew_is_said_to_go(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(models, tmp_path) == 0 and sample(models, tmp_path, "--prompt", "a lake") == 0
    assert "removed" not in capsys.readouterr().out and len(list(tmp_path.glob("baseline/*.png"))) == 6
    assert sample(models, tmp_path, "--guidance_scale", "2") == 0
    assert "drawn anew: 6 of baseline (guidance_scale: 7.5 → 2.0), 6 of lora@1" in capsys.readouterr().out


def test_pictures_of_others_are_not_lost(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "baseline" / "mine.png"
    mine.parent.mkdir()
    Image.new("RGB", (8, 8)).save(mine)
    assert sample(models, tmp_path) == 2 and mine.is_file()
    assert "mine.png was not drawn by caplora" in capsys.readouterr().err


def test_adapter_with_convolutions_is_drawn_too(models: Path, tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    name = next(n for n, m in pipeline.unet.named_modules() if n.endswith("conv1"))
    out, into, *_ = pipeline.unet.get_submodule(name).weight.shape
    weights = {f"unet.{name}": (torch.randn(2, into, 3, 3), torch.randn(out, 2, 1, 1))}
    write_weights(Adapter(Variant(rank=2, alpha=2), weights), tmp_path / "conv.safetensors", "kohya", {})
    assert sample(models, tmp_path / "out", "--lora_weights", str(tmp_path / "conv.safetensors")) == 0
    drawn = named_sample(PROMPTS[0], 0, "prompt").file_name
    both = [np.asarray(Image.open(tmp_path / "out" / arm / drawn)) for arm in ("baseline", "conv@1")]
    assert (both[0] != both[1]).any()
