"""commands/original.py: the original's three commands, on its own layout of the data and the mini stack."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from caplora.captions.ledger import read_ledger
from caplora.commands import main
from caplora.commands.original import FolderFlags, caption_file, in_steps
from caplora.lora.formats import DIFFUSERS
from caplora.lora.reading import read_adapter
from caplora.study.reading import PROJECT
from caplora.study.study import read_study
from caplora.study.training_settings import Training
from caplora.study.variants import read_variants

MINI = PROJECT / "caplora" / "mini"
CAPTIONS: dict[str, str] = json.loads((PROJECT / "datasets" / "captions_example.json").read_text(encoding="utf-8"))
NAME = "r4_a8"
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which can do fp16")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six small portraits with a captions.json, in a folder of the present one."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    for name in CAPTIONS:
        shutil.copy(MINI / "portraits" / name, folder)
    shutil.copy(PROJECT / "datasets" / "captions_example.json", folder / "captions.json")
    return folder


def line(*more: str, captions: str = "captions.json", epochs: int = 2) -> list[str]:
    """The original's command, but for the model, the size, the epochs and the precision of a machine without a GPU."""
    return [
        "train", f"--pretrained_model_name_or_path={MINI / 'models' / 'stable_diffusion'}", "--instance_data_dir=data",
        "--output_dir=lora_weights", *([f"--caption_file={captions}"] if captions else []), "--resolution=64",
        "--train_batch_size=1",
        f"--num_train_epochs={epochs}", "--learning_rate=5e-5", "--mixed_precision=no",
        "--gradient_accumulation_steps=2", "--lr_scheduler=constant", "--checkpointing_steps=100", "--rank=4",
        "--alpha=8", *more,
    ]  # fmt: skip


def metadata_csv(folder: Path) -> dict[str, str]:
    """Write the original's table, BLIP's words beside corrected ones; what is to be trained on."""
    (folder / "captions.json").unlink()
    rows = [(name, f"arafed {text}", text if i % 2 else "") for i, (name, text) in enumerate(CAPTIONS.items())]
    table = pd.DataFrame(rows, columns=["file_name", "blip_caption", "corrected_caption"])
    table.to_csv(folder / "metadata.csv", index=False)
    return {name: corrected or blip for name, blip, corrected in rows}


def test_the_three_commands_of_the_original_run_one_after_another(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line()) == 0
    said = capsys.readouterr().out
    assert "6 images to train on" in said and "none is held out" in said
    assert "2 epochs of 6 images, 1 × 2 at a step: 2 × 3 = 6 steps" in said
    adapter = read_adapter(Path("lora_weights") / DIFFUSERS)
    kohya = read_adapter(Path(f"lora_weights/lora_weights_{NAME}.safetensors"))
    assert (kohya.variant.rank, kohya.variant.alpha) == (4, 8) and len(adapter.weights) == len(kohya.weights)
    for layer in kohya.weights:
        torch.testing.assert_close(adapter.delta(layer), kohya.delta(layer), rtol=1e-4, atol=1e-7)
    record = json.loads(Path("lora_weights/settings.json").read_text(encoding="utf-8"))
    assert record["trained_parameters"] == adapter.parameters() and record["steps"] == 6
    wanted = {"batch_size": 1, "gradient_accumulation_steps": 2, "learning_rate": 5e-5, "lr_scheduler": "constant"}
    assert {key: record["training"][key] for key in wanted} == wanted
    prompt = "an ink drawing of a woman, natural daylight portrait"
    assert main(
        ["sample", "--pretrained_model", str(MINI / "models" / "stable_diffusion"), "--lora_weights", "./lora_weights",
         "--prompt", prompt, "--resolution", "64", "--num_inference_steps", "2", "--seeds", "0", "1"]
    ) == 0  # fmt: skip
    arms = ("baseline", "lora_weights@1")
    for arm in arms:
        (Path("results") / arm / "metadata.csv").unlink()  # the pictures know their prompts
    capsys.readouterr()
    clip = f"local-dir:{MINI / 'models' / 'clip_a'}"
    assert main(["score", "--images_dir", "./results", "--model", clip]) == 0
    said, scores = capsys.readouterr().out, pd.read_csv("results/scores.csv", keep_default_na=False)
    assert "scored by clip_a (weights" in said and all(f"{arm}: clip_score by clip_a: mean" in said for arm in arms)
    assert set(scores["text"]) == {prompt} and len(scores) == 2 * 2 * 2 and set(scores["prefix"]) == {""}


def test_adapter_of_a_folder_has_a_card_that_says_its_own_words_and_claims_nothing(data: Path) -> None:
    assert main(line("--steps=1")) == 0
    assert main(["publish", "lora_weights/study.yaml"]) == 0
    folder = Path(f"lora_weights/runs/lora_weights/card/{NAME}")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert sorted(p.name for p in folder.rglob("*.*")) == ["README.md", f"lora_weights_{NAME}.safetensors", DIFFUSERS]
    assert "instance_prompt: an ink drawing of a woman\n" in card  # not the subject of the study that this is like
    assert "was not measured: notebook 03" in card and "license:" not in card and "widget:" not in card
    assert str(MINI) not in card and str(data.parent) not in card


def test_every_step_that_was_kept_is_left_beside_the_last(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line("--steps=3", "--keep=1", "--keep=2")) == 0
    said, found = capsys.readouterr().out, {}
    for step, folder in ((1, "lora_weights/step1"), (2, "lora_weights/step2"), (3, "lora_weights")):
        assert json.loads(Path(folder, "settings.json").read_text(encoding="utf-8"))["steps"] == step
        name = f"lora_weights_{NAME}" + (f"_step{step}" if step < 3 else "")
        for file in (f"{name}.safetensors", DIFFUSERS):
            weights = read_adapter(Path(folder, file)).weights
            found[step, file == DIFFUSERS] = sum(float(up.abs().sum()) for _, up in weights.values())
    assert len({round(value, 12) for value in found.values()}) >= 3  # three trainings, not one three times
    assert "step1: the same after 1 step\n" in said and "step2: the same after 2 steps" in said


def test_a_metadata_csv_with_corrected_captions_gives_the_words_to_train_on(data: Path) -> None:
    words = metadata_csv(data)
    assert main(line("--max_train_steps=1", captions="metadata.csv")) == 0
    made = json.loads(Path(f"lora_weights/runs/lora_weights/adapters/{NAME}/training.json").read_text(encoding="utf-8"))
    assert {name: image["caption"] for name, image in made["images"].items()} == words
    rows = read_ledger(Path("lora_weights/datasets/lora_weights"))
    assert {(row.split, row.status) for row in rows} == {("train", "edited")}
    assert all(row.machine_text.startswith("arafed") for row in rows)
    assert json.loads(Path("lora_weights/settings.json").read_text())["steps"] == 1


def test_a_rejected_image_is_not_trained_on_and_a_changed_caption_is_noticed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "captions.json").unlink()
    table = pd.read_csv(PROJECT / "datasets" / "metadata_example.csv", encoding="utf-8-sig", keep_default_na=False)
    shutil.copy(MINI / "portraits" / "portrait_007.png", data)
    table.to_csv("mine.csv", index=False)  # beside the folder, not in it
    assert main(line("--steps=1", captions="mine.csv")) == 0
    assert "6 images to train on" in capsys.readouterr().out
    table.loc[0, "text"] = "other words"
    table.to_csv("mine.csv", index=False)
    assert main(line("--steps=1", captions="mine.csv")) == 0
    said = capsys.readouterr().out
    assert f"{NAME} was trained differently before" in said and "other words" in said


def test_killed_and_run_again_it_goes_on_to_the_same_bytes(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = line("--checkpointing_steps=1", epochs=8)
    child = subprocess.Popen(
        [sys.executable, "-m", "caplora", *words],
        env=os.environ | {"PYTHONPATH": str(PROJECT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    checkpoints = Path(f"lora_weights/runs/lora_weights/adapters/{NAME}/checkpoints")
    while child.poll() is None and not any(p.name >= "step_000003" for p in checkpoints.glob("step_*")):
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.returncode == -signal.SIGKILL and not Path("lora_weights", DIFFUSERS).exists()
    begun = max(int(p.name[5:]) for p in checkpoints.glob("step_*"))
    assert 3 <= begun < 24
    assert main(words) == 0
    shutil.move("lora_weights", "killed")
    assert main(words) == 0
    for name in (DIFFUSERS, f"lora_weights_{NAME}.safetensors"):
        assert Path("killed", name).read_bytes() == Path("lora_weights", name).read_bytes()


def test_what_it_leaves_is_a_study_like_any_other(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line("--steps=1", "--snr_gamma=5")) == 0
    study, before = read_study("lora_weights/study.yaml"), Path("lora_weights", DIFFUSERS).read_bytes()
    original = read_study("original")
    assert study.sampling == original.sampling and study.images_folder == data
    assert (study.training.steps, study.training.snr_gamma, study.training.batch_size) == (1, 5.0, 1)
    assert main(["train", "lora_weights/study.yaml", "--variants", NAME]) == 0
    assert (study.run / "adapters" / NAME / DIFFUSERS).read_bytes() == before


def test_the_flags_say_by_default_what_the_study_of_that_name_says() -> None:
    flags, study = FolderFlags(instance_data_dir=Path("x")), read_study("original")
    assert (flags.variant,) == read_variants(NAME) and flags.resolution == study.images.resolution
    hundred = in_steps(100, flags.num_train_epochs, study.training)
    assert hundred == (study.training.steps, "10 epochs of 100 images, 1 × 2 at a step: 10 × 50 = 500 steps")


@pytest.mark.parametrize(("images", "batch", "accumulation", "each"), [(6, 1, 2, 3), (7, 1, 2, 4), (5, 4, 3, 1)])
def test_an_epoch_has_the_steps_that_diffusers_counts(images: int, batch: int, accumulation: int, each: int) -> None:
    settings = Training(batch_size=batch, gradient_accumulation_steps=accumulation)
    assert math.ceil(math.ceil(images / batch) / accumulation) == each  # as its script has it
    assert in_steps(images, 3, settings)[0] == 3 * each
    assert in_steps(images, 3, settings, 2 * each) == (2 * each, in_steps(images, 3, settings, 2 * each)[1])
    assert "which is 2 epochs" in in_steps(images, 3, settings, 2 * each)[1]


def test_captions_are_looked_for_in_the_folder_and_then_from_here(data: Path) -> None:
    assert caption_file(data, Path("captions.json")) == caption_file(data, None) == data / "captions.json"
    elsewhere = data.parent / "elsewhere.json"
    shutil.copy(data / "captions.json", elsewhere)
    assert caption_file(data, Path("elsewhere.json")) == elsewhere
    (data / "captions.json").unlink()
    (data / "portrait_001.txt").write_text("words")
    assert caption_file(data, None) == data


def test_the_words_of_the_original_are_understood_as_they_stand_there(data: Path) -> None:
    """Word for word, apart from the model: a machine without a GPU then refuses fp16, and nothing else."""
    words = [word.replace("precision=no", "precision=fp16").replace("=64", "=384") for word in line(epochs=10)]
    if torch.cuda.is_available():
        pytest.skip("it would train")
    assert main(words) == 2 and not Path("lora_weights").exists()


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        ("no captions", [], r"no captions .*captions\.json.*datasets/captions_example\.json.*notebook 01"),
        ("none", ["--caption_file=mine.json"], r"--caption_file: there is no .*data/mine\.json nor .*mine\.json"),
        ("one without", [], r"captions\.json has no caption of 'portrait_007\.png': write"),
        ("one too many", [], r"there is no image 'gone\.png'"),
        ("none", ["--instance_data_dir=nowhere"], r"--instance_data_dir: .*nowhere is not a folder"),
        pytest.param("none", ["--mixed_precision=fp16"], r"mixed_precision is fp16, which needs a GPU", marks=NO_GPU),
        ("none", ["mini"], r"--instance_data_dir or a STUDY, not both\. See python -m caplora train --help"),
        ("none", ["--variants=grid"], r"--instance_data_dir or --variants, not both"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_said_before_a_model_is_loaded(
    data: Path, capsys: pytest.CaptureFixture[str], change: str, more: list[str], said: str
) -> None:
    file = data / "captions.json"
    if change == "no captions":
        file.unlink()
    elif change == "one without":
        shutil.copy(MINI / "portraits" / "portrait_007.png", data)
    elif change == "one too many":
        file.write_text(json.dumps(CAPTIONS | {"gone.png": "x"}))
    assert main(line(*more, captions="" if change == "no captions" else "captions.json")) == 2
    assert re.search(said, capsys.readouterr().err) and not Path("lora_weights/runs").exists()


def test_every_image_that_is_not_used_is_named_with_its_reason(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line("--resolution=384")) == 2
    out, err = capsys.readouterr()
    assert "portrait_001.png: too small: 128 × 128 pixels, a side is below 256" in out and out.count("not used") == 6
    assert "no image of" in err and "captions.json" not in out


@NO_GPU
def test_a_study_that_says_fp16_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load((PROJECT / "params" / "studies" / "mini.yaml").read_text(encoding="utf-8"))
    content["training"]["mixed_precision"] = "fp16"
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    assert main(["train", str(tmp_path / "mini.yaml"), "--variants", NAME]) == 2
    err = capsys.readouterr().err
    assert "mixed_precision is fp16, which needs a GPU" in err and "metadata.csv" not in err


def test_a_folder_of_adapters_is_of_one_folder_of_images(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("lora_weights").mkdir()
    Path("lora_weights/study.yaml").write_text("name: x\nimages: {folder: /other}\n")
    assert main(line()) == 2
    assert re.search(r"--output_dir: .*lora_weights is of the images of /other", capsys.readouterr().err)


def test_the_retired_model_is_named_with_the_one_that_is_read(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone, notice = "runwayml/stable-diffusion-v1-5", "runwayml/stable-diffusion-v1-5 is gone from the hub; reading"
    main(line(f"--pretrained_model_name_or_path={gone}"))  # off line it ends there
    assert notice in capsys.readouterr().out
    study = read_study("lora_weights/study.yaml")
    assert study.base == read_study("original").base
    shutil.copy(MINI / "models" / "stable_diffusion" / "vae" / "diffusion_pytorch_model.safetensors", DIFFUSERS)
    main(["sample", "--pretrained_model", gone, "--lora_weights", DIFFUSERS, "--prompt", "a face"])
    assert notice in capsys.readouterr().out
