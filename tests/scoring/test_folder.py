"""folder.py: any folder is scored as a study would be, and what cannot be is named."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from caplora.commands import main
from caplora.commands.pictures import summary
from caplora.sampling.samples import Sample
from caplora.scoring.clip import ClipEmbeddings, ClipEncoder
from caplora.scoring.folder import Picture, read_pictures, unread
from caplora.scoring.scores import clip_table
from caplora.study.reading import PROJECT
from tests.tiny import tiny_clip

TEXTS = {"a.png": "a photo of a man, smiling", "b, two.png": "an ink drawing of a woman", "초상화.jpg": "by the sea"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


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
    expected = clip_table(clip, samples, "")
    assert written["file_name"].tolist() == [*TEXTS, *TEXTS] and set(written["prefix"]) == {""}
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
    assert score(folder, model, "--text", "a man", "--out", str(out)) == 0
    written = pd.read_csv(out, keep_default_na=False)
    assert set(written["text"]) == {"a man"} and len(written) == 6
    assert "one text for all is a weak measure" in capsys.readouterr().out and not (folder / "scores.csv").exists()


def with_own_words(folder: Path, name: str, **said: str) -> None:
    """A picture that says of itself what the keys of its PNG hold."""
    info = PngInfo()
    for key, value in said.items():
        info.add_itxt(key, value)
    Image.new("RGB", (96, 96), "grey").save(folder / name, pnginfo=info)


def test_pictures_that_know_their_prompts_need_no_table(tmp_path: Path) -> None:
    with_own_words(tmp_path, "ours.png", caplora=json.dumps({"prompt": "by the sea, 초상화", "flag": ""}))
    a1111 = "a man,\nsmiling <lora:faces_r4_a8:0.8>\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 1"
    with_own_words(tmp_path, "theirs.png", parameters=a1111)
    with_own_words(tmp_path, "brief.png", parameters="a cat\nSteps: 20, Sampler: Euler a")
    texts = {"brief.png": "a cat", "ours.png": "by the sea, 초상화", "theirs.png": "a man, smiling"}
    assert read_pictures(tmp_path) == {name: Picture(text) for name, text in texts.items()}
    (tmp_path / "metadata.csv").write_text("file_name,text\nbrief.png,a dog\n", encoding="utf-8")
    assert read_pictures(tmp_path)["brief.png"] == Picture("a dog")  # what a person wrote goes before
    with_own_words(tmp_path, "mute.png")
    with pytest.raises(ValueError, match=r"mute\.png: no text in metadata\.csv"):
        read_pictures(tmp_path)


def test_folders_of_pictures_that_know_their_prompts_are_arms_without_tables(tmp_path: Path) -> None:
    for arm in ("baseline", "lora@1"):
        (tmp_path / arm).mkdir()
        with_own_words(tmp_path / arm, "0.png", caplora=json.dumps({"prompt": arm, "flag": ""}))
    with_own_words(tmp_path, "side_by_side.png")
    (tmp_path / "notes").mkdir()
    known = {f"{arm}/0.png": Picture(arm) for arm in ("baseline", "lora@1")}
    assert read_pictures(tmp_path) == known
    with_own_words(tmp_path, "root.png", parameters="a cat\nSteps: 20, Sampler: Euler a")
    with_own_words(tmp_path / "notes", "mute.png")
    assert read_pictures(tmp_path) == known | {"root.png": Picture("a cat")}
    said = "not scored, because nothing says what they should show: notes/mute.png, side_by_side.png"
    assert unread(tmp_path, read_pictures(tmp_path)) == said


def test_a_flagged_picture_is_named_stays_in_the_table_and_is_left_out_of_the_mean(
    folder: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(folder, model) == 0
    whole = pd.read_csv(folder / "scores.csv", keep_default_na=False)
    with_own_words(folder, "dark.png", caplora=json.dumps({"prompt": "a man", "flag": "black"}))
    with_own_words(folder, "noise.png", caplora=json.dumps({"prompt": "a man", "flag": ""}))
    rows = [*((name, text, "") for name, text in TEXTS.items()), ("noise.png", "a man", "not finite")]
    pd.DataFrame(rows, columns=["file_name", "text", "flag"]).to_csv(folder / "metadata.csv", index=False)
    capsys.readouterr()
    assert score(folder, model) == 0
    said, table = capsys.readouterr().out, pd.read_csv(folder / "scores.csv", keep_default_na=False)
    assert "2 of 5 pictures flagged" in said and "dark.png (black)" in said and "noise.png (not finite)" in said
    scored = table[table["flag"] == ""]
    assert scored["value"].astype(float).tolist() == pytest.approx(whole["value"].tolist())
    left = table[table["flag"] != ""]
    assert set(left["file_name"]) == {"dark.png", "noise.png"} and set(left["value"]) == {""} and len(left) == 4
    assert f"mean {whole['value'][:3].mean():.4f}, n 3" in said
    for name in TEXTS:
        (folder / name).unlink()
    pd.DataFrame(rows[3:], columns=["file_name", "text", "flag"]).to_csv(folder / "metadata.csv", index=False)
    assert score(folder, model) == 2 and "leaves none to score" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "own", "used"),
    [((), "", ""), ((), "an image of ", "an image of "), ((), None, "A photo depicts "),
     (("--prefix", "x "), "", "x "), (("--prefix", ""), "an image of ", "")],
)  # fmt: skip
def test_the_prefix_is_the_flag_else_the_models_own_else_clipscores(
    folder: Path, model: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...], own: str | None, used: str,
) -> None:  # fmt: skip
    clip = tmp_path_factory.mktemp("own") / "clip"
    shutil.copytree(model, clip)
    config = json.loads((clip / "open_clip_config.json").read_text())
    config["caplora"] = {} if own is None else {"prefix": own}
    (clip / "open_clip_config.json").write_text(json.dumps(config))
    assert score(folder, clip, *flags) == 0
    assert set(pd.read_csv(folder / "scores.csv", keep_default_na=False)["prefix"]) == {used}
    said = capsys.readouterr().out
    assert "scored by clip (weights " in said and (f"“{used}” before each text" if used else "nothing before") in said


def test_the_miniature_clips_score_portraits_above_zero_by_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captions = json.loads((PROJECT / "datasets" / "captions_example.json").read_text(encoding="utf-8"))
    for name in captions:
        shutil.copy(PROJECT / "caplora" / "mini" / "portraits" / name, tmp_path)
    pd.DataFrame(captions.items(), columns=["file_name", "text"]).to_csv(tmp_path / "metadata.csv", index=False)
    for name in ("clip_a", "clip_b"):
        assert score(tmp_path, PROJECT / "caplora" / "mini" / "models" / name) == 0
        scores = pd.read_csv(tmp_path / "scores.csv")
        assert scores["value"].min() > 0
    assert "nothing before the texts" in capsys.readouterr().out


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
        read_pictures(folder)


def test_columns_that_lack_are_named(folder: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,caption\na.png,x\n", encoding="utf-8")
    with pytest.raises(ValueError, match="columns file_name and text are needed, got file_name, caption"):
        read_pictures(folder)


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
        read_pictures(folder, text)


@pytest.mark.parametrize("place", [".", "arm"])
def test_folder_of_pairs_is_scored_as_one_with_a_table(
    folder: Path, model: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    assert score(folder, model) == 0
    means = [line.split(": ")[-1] for line in capsys.readouterr().out.splitlines() if "mean" in line]
    (folder / "metadata.csv").unlink()
    (folder / "scores.csv").unlink()
    (folder / place).mkdir(exist_ok=True)
    for name, text in TEXTS.items():
        (folder / name).rename(folder / place / name)
        (folder / place / name).with_suffix(".txt").write_text(f"{text}\n", encoding="utf-8")
    assert score(folder, model) == 0
    assert [line.split(": ")[-1] for line in capsys.readouterr().out.splitlines() if "mean" in line] == means


def test_words_of_a1111_beside_a_picture_are_read_up_to_its_settings(folder: Path) -> None:
    (folder / "metadata.csv").unlink()
    for name in TEXTS:
        words = "a woman, <lora:x:1> by the sea\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 1"
        (folder / name).with_suffix(".txt").write_text(words)
    assert {picture.text for picture in read_pictures(folder).values()} == {"a woman, by the sea"}


def test_a_pair_without_words_is_named(folder: Path) -> None:
    (folder / "metadata.csv").unlink()
    (folder / "a.txt").write_text("a man")
    with pytest.raises(ValueError, match=r"b, two\.png and 1 more: says no prompt"):
        read_pictures(folder)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "a.png and 2 more: says no prompt, and no .txt beside it nor a metadata.csv does"),
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
        read_pictures(tmp_path, "a man")
    with pytest.raises(ValueError, match="is not a folder"):
        read_pictures(tmp_path / "gone")
