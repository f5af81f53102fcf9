"""folder.py: any folder is scored as a study would be, and what cannot be is named."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from caplora.commands import main
from caplora.commands.pictures import summary
from caplora.mini.training.clip import new_clip, save_clip
from caplora.mini.world.words import clip_tokenizer
from caplora.sampling.samples import Sample
from caplora.scoring.clip import ClipEmbeddings, ClipEncoder
from caplora.scoring.folder import read_texts
from caplora.scoring.scores import clip_table

TEXTS = {"a.png": "a photo of a man, smiling", "b, two.png": "an ink drawing of a woman", "초상화.jpg": "by the sea"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, tokenizer = tmp_path_factory.mktemp("clip"), clip_tokenizer()
    save_clip(new_clip(len(tokenizer), 0).eval(), tokenizer, folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in TEXTS:
        Image.fromarray(rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)).save(tmp_path / name)
    pd.DataFrame(TEXTS.items(), columns=["file_name", "text"]).to_csv(tmp_path / "metadata.csv", index=False)
    return tmp_path


def score(folder: Path, model: Path, *flags: str) -> int:
    return main(["score", "--images_dir", str(folder), "--model", f"local-dir:{model}", *flags])


def test_the_command_scores_as_a_study_does_and_says_mean_n_sd_and_interval(
    folder: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(folder, model) == 0
    written = pd.read_csv(folder / "scores.csv", keep_default_na=False)
    clip = ClipEmbeddings(ClipEncoder(f"local-dir:{model}", None, model.name, torch.device("cpu")))
    samples = [Sample("", folder / name, text, 0, "") for name, text in TEXTS.items()]
    expected = clip_table(clip, samples, "A photo depicts ")
    assert written["file_name"].tolist() == [*TEXTS, *TEXTS] and set(written["prefix"]) == {"A photo depicts "}
    assert written["metric"].tolist() == expected["metric"].tolist()
    assert written["value"].tolist() == pytest.approx(expected["value"].tolist(), abs=1e-6)
    said, values = capsys.readouterr().out, expected["value"][:3]
    margin = 4.302653 * values.std() / math.sqrt(3)  # t of 2 degrees of freedom
    assert f"clip_cosine by {model.name}: mean {values.mean():.4f}, n 3, sd {values.std():.4f}" in said
    assert f"{values.mean() - margin:.4f} to {values.mean() + margin:.4f}" in said
    assert "clip_score" in said and "weak" not in said


def test_one_text_for_all_is_scored_and_called_weak(
    folder: Path, model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (folder / "metadata.csv").unlink()
    out = tmp_path / "made" / "all.csv"
    assert score(folder, model, "--text", "a man", "--prefix", "", "--out", str(out)) == 0
    written = pd.read_csv(out, keep_default_na=False)
    assert set(written["text"]) == {"a man"} and set(written["prefix"]) == {""} and len(written) == 6
    assert "one text for all is a weak measure" in capsys.readouterr().out and not (folder / "scores.csv").exists()


def test_one_picture_has_no_interval() -> None:
    assert summary([0.5]) == "mean 0.5000, n 1: one picture has no spread"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a.png,x\n", r"b, two\.png and 1 more: no text in metadata\.csv"),
        ('a.png,x\n"b, two.png",\n초상화.jpg,y\n', r"row 3: b, two\.png has no text"),
        ("a.png,x\na.png,y\n", r"row 3: a\.png stands twice"),
        ("gone.png,x\n", r"row 2: there is no picture gone\.png"),
        ("../a.png,x\n", r"row 2: '\.\./a\.png' must lie in"),
        ("/a.png,x\n", r"row 2: '/a\.png' must lie in"),
        (",x\n", r"row 2: '' must lie in"),
        ("C:\\a.png,x\n", r"row 2: .* must lie in"),
    ],
)
def test_a_table_that_does_not_fit_its_folder_is_told_by_row(folder: Path, rows: str, said: str) -> None:
    (folder / "metadata.csv").write_text("file_name,text\n" + rows, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_texts(folder)


def test_columns_that_lack_are_named(folder: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,caption\na.png,x\n", encoding="utf-8")
    with pytest.raises(ValueError, match="columns file_name and text are needed, got file_name, caption"):
        read_texts(folder)


@pytest.mark.parametrize("text", [None, "a man"])
def test_a_link_that_leads_out_is_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, text: str | None
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    (folder / "z.png").symlink_to(secret)
    with open(folder / "metadata.csv", "a", encoding="utf-8") as file:
        file.write("z.png,x\n")
    with pytest.raises(ValueError, match=r"z\.png.* (must lie in|leads out of)"):
        read_texts(folder, text)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "metadata.csv does not exist"),
        (("--text", " "), "--text is empty"),
        (("--text", "a", "--model", "ViT-B-32", "--pretrained", "openai"), "write 'ViT-B-32-quickgelu'"),
        (("--text", "a", "--model", "ViT-B-32"), "needs pretrained"),
        (("--text", "a", "--pretrained", "openai"), "--pretrained goes with --model"),
    ],
)
def test_a_command_that_cannot_run_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], said: str
) -> None:
    (folder / "metadata.csv").unlink()
    assert main(["score", "--images_dir", str(folder), *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_picture_that_cannot_be_read_is_named(folder: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:300])
    assert score(folder, model) == 2
    assert "a.png cannot be scored: truncated" in capsys.readouterr().err and not (folder / "scores.csv").exists()


def test_an_empty_folder_and_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no pictures"):
        read_texts(tmp_path, "a man")
    with pytest.raises(ValueError, match="is not a folder"):
        read_texts(tmp_path / "gone")
