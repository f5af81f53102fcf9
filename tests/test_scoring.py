"""scoring.py: the numbers are the published formulas', whatever the batch."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from caplora.mini.clip import new_clip, save_clip
from caplora.mini.identity import new_encoder, processor
from caplora.mini.judge import new_judge
from caplora.mini.judge import processor as judge_processor
from caplora.mini.words import clip_tokenizer
from caplora.mini.world import ATTRIBUTES, caption, draw_person, draw_scene, truth
from caplora.scoring import (
    ClipScorer,
    IdentityEncoder,
    Judge,
    Sample,
    caption_agreement,
    check_activation,
    clip_scores,
    clip_values,
    identity_values,
    judge_values,
    read_samples,
    score_rows,
)
from caplora.settings import Clip, Model, Scoring
from caplora.study import PROJECT, read_study

PROMPTS = ("an ink drawing of a woman with long red hair", "a photo of a man, smiling", "by the sea")


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, tokenizer = tmp_path_factory.mktemp("clip"), clip_tokenizer()
    save_clip(new_clip(len(tokenizer), 0).eval(), tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder, rng = tmp_path_factory.mktemp("samples"), np.random.default_rng(0)
    made = []
    for i, prompt in enumerate(PROMPTS):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)).save(path)
        made.append(Sample("baseline", path, prompt, 0, "test"))
    return made


def independent_cosines(folder: Path, samples: list[Sample], prefix: str) -> np.ndarray:
    """Raw cosines by open_clip's own calls, one pair at a time, in numpy."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    values = []
    with torch.no_grad():
        for s in samples:
            image = model.eval().encode_image(preprocess(Image.open(s.path)).unsqueeze(0)).double().numpy()[0]
            text = model.encode_text(tokenize([prefix + s.prompt])).double().numpy()[0]
            values.append(image @ text / np.sqrt((image @ image) * (text @ text)))
    return np.array(values)


@pytest.mark.parametrize("prefix", ["", "A photo depicts "])
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_clipscore_is_the_published_formula_in_any_batch(
    clip_folder: Path, samples: list[Sample], prefix: str, batch_size: int
) -> None:
    scorer = ClipScorer(f"local-dir:{clip_folder}", None, "clip", torch.device("cpu"))
    settings = Scoring(prefix=prefix, batch_size=batch_size)
    rows = [row for values in clip_values(scorer, samples, settings) for row in values]
    table = score_rows(rows, scorer.label).set_index(["metric", "prompt"]).value
    for sample, cosine in zip(samples, independent_cosines(clip_folder, samples, prefix), strict=True):
        assert table["clip_cosine", sample.prompt] == pytest.approx(cosine, abs=1e-5)
        assert table["clip_score", sample.prompt] == pytest.approx(2.5 * max(cosine, 0), abs=1e-5)


@pytest.mark.parametrize("prefix", ["", "A photo depicts "])
def test_the_agreement_of_a_caption_is_its_raw_cosine_to_its_image(
    clip_folder: Path, samples: list[Sample], tmp_path: Path, prefix: str
) -> None:
    clip = Clip(name=f"local-dir:{clip_folder}")
    scoring = Scoring(clips=(clip, Clip(name="local-dir:nowhere")), prefix=prefix, batch_size=2)
    study = read_study("mini").model_copy(update={"scoring": scoring})
    study._root = tmp_path
    study.dataset.mkdir(parents=True)
    for sample in samples:
        (study.dataset / sample.path.name).write_bytes(sample.path.read_bytes())
    captions = {sample.path.name: sample.prompt for sample in reversed(samples)}
    agreement = caption_agreement(study, captions, torch.device("cpu"))
    assert list(agreement) == list(captions)
    expected = independent_cosines(clip_folder, samples[::-1], prefix)
    assert list(agreement.values()) == pytest.approx(expected, abs=1e-5)
    assert caption_agreement(study, {}, torch.device("cpu")) == {}


def test_clipscore_is_zero_below_orthogonal_and_two_and_a_half_at_best() -> None:
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [3.0, 4.0]])
    b = torch.tensor([[2.0, 0.0], [-1.0, 0.5], [4.0, 3.0]])
    torch.testing.assert_close(clip_scores(a, b), torch.tensor([2.5, 0.0, 2.5 * 24 / 25]))


@pytest.mark.parametrize(
    ("name", "weights", "write"),
    [
        ("ViT-B-32", "openai", "ViT-B-32-quickgelu"),
        ("ViT-B-32", "metaclip_400m", "ViT-B-32-quickgelu"),
        ("ViT-L-14", "openai", "ViT-L-14-quickgelu"),
    ],
)
def test_weights_of_another_activation_are_refused(name: str, weights: str, write: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' computes .*write '{write}'"):
        ClipScorer(name, weights, "x", torch.device("cpu"))


@pytest.mark.parametrize(
    ("name", "weights"),
    [("ViT-B-32-quickgelu", "openai"), ("ViT-B-32", "laion2b_s34b_b79k"), ("ViT-B-32-quickgelu", "my.pt")],
)
def test_weights_of_the_right_activation_and_unknown_ones_pass(name: str, weights: str) -> None:
    check_activation(name, weights)


def test_identity_of_a_portrait_with_itself_is_one(samples: list[Sample], tmp_path: Path) -> None:
    new_encoder().save_pretrained(tmp_path)
    processor().save_pretrained(tmp_path)
    encoder = IdentityEncoder(
        read_study(PROJECT / "params/studies/mini.yaml"), Model(path=str(tmp_path)), torch.device("cpu")
    )
    [values] = list(identity_values(encoder, samples[:1], [samples[0].path], Scoring()))
    assert values[0][2] == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(ValueError, match="held_out"):
        list(identity_values(encoder, samples, [], Scoring()))


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    folder = tmp_path_factory.mktemp("judge")
    new_judge().save_pretrained(folder)
    judge_processor().save_pretrained(folder)
    return Judge(read_study(PROJECT / "params/studies/mini.yaml"), Model(path=str(folder)), torch.device("cpu"))


def test_judge_reads_every_attribute_that_a_caption_names(judge: Judge) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        shown = truth(draw_person(rng), draw_scene(rng))
        named = {a: v for a, v in shown.items() if (a, v) != ("glasses", "none")}
        assert judge.named(caption(shown, rng)) == named


def test_judge_reads_every_prompt_of_the_mini_study(judge: Judge) -> None:
    sampling = read_study(PROJECT / "params/studies/mini.yaml").sampling
    for prompt in (*sampling.development, *sampling.test):
        assert {"style", "kind", "hair", "hair_colour", "expression", "clothes", "clothes_colour", "background"} <= set(
            judge.named(prompt)
        ), prompt


def test_judge_gives_the_share_of_named_attributes_that_are_seen(judge: Judge, samples: list[Sample]) -> None:
    [seen] = judge.seen([Image.open(samples[0].path)])
    assert set(seen) == set(ATTRIBUTES)
    [values] = list(judge_values(judge, samples[:1], Scoring()))
    right = {m.removeprefix("judge_"): v for _, m, v in values if m != "judge"}
    assert right == {a: float(seen[a] == v) for a, v in judge.named(samples[0].prompt).items()}
    assert values[0][2] == pytest.approx(np.mean(list(right.values())))


def test_prompt_that_names_nothing_the_judge_knows_has_no_value(judge: Judge, samples: list[Sample]) -> None:
    nothing = Sample("baseline", samples[0].path, "quantum foam", 0, "test")
    [values] = judge_values(judge, [nothing, samples[1]], Scoring())
    assert {s.prompt for s, _, _ in values} == {samples[1].prompt}


def test_missing_samples_say_which_notebook_makes_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="03_inference"):
        read_samples(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,text,seed,split\n000_0.png,a,0,test\n", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"000_0\.png"):
        read_samples(tmp_path)


def test_judge_phrases_travel_with_the_model(judge: Judge) -> None:
    assert json.dumps(judge.phrases["hair_colour"]["red"]).count("red") >= 6
