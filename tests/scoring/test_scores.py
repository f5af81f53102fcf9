"""scores.py, clip.py, identity.py, judge.py: the numbers are the published formulas', whatever the batch."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image

from caplora.lora.adapter_files import weights_file
from caplora.mini.training.identity import new_encoder, processor
from caplora.mini.training.judge import new_judge
from caplora.mini.training.judge import processor as judge_processor
from caplora.mini.world.world import ATTRIBUTES, caption, draw_person, draw_scene, truth
from caplora.sampling.samples import Sample, save_sample, suite_hashes, wanted_samples, write_table
from caplora.scoring.clip import ClipEmbeddings, ClipEncoder, check_activation, load_clip
from caplora.scoring.embeddings import Embeddings
from caplora.scoring.identity import IdentityEncoder
from caplora.scoring.judge import Judge, JudgeEmbeddings
from caplora.scoring.scores import (
    COLUMNS,
    SCORED,
    caption_agreement,
    clip_table,
    diversity_table,
    drift_table,
    judge_table,
    likeness_table,
    memorisation_table,
    scale_table,
    scorable_samples,
    write_scores,
)
from caplora.statistics.effects import read_scores
from caplora.study.reading import PROJECT
from caplora.study.settings import Clip, Model, Scoring
from caplora.study.study import Study, read_study
from caplora.study.variants import Variant
from tests.hostile import Trap, lay_code
from tests.tiny import tiny_clip

CPU = torch.device("cpu")
REFERENCES = ("a photo of a woman", "an ink drawing of a man, sad", "by the sea")
PROMPTS = ("an ink drawing of a woman with long red hair", "a photo of a man, smiling", "by the sea")


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder, rng = tmp_path_factory.mktemp("samples"), np.random.default_rng(0)
    made = []
    for i, prompt in enumerate(PROMPTS):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)).save(path)
        made.append(Sample("baseline", path, prompt, 0, "test"))
    return made


class Published:
    """Cosines by open_clip's own calls, one picture and one text at a time, in numpy."""

    def __init__(self, folder: Path) -> None:
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        self.model.eval()
        self.tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")

    @torch.no_grad()
    def image(self, path: Path) -> np.ndarray:
        x = self.model.encode_image(self.preprocess(Image.open(path)).unsqueeze(0)).double().numpy()[0]
        return x / np.sqrt(x @ x)

    @torch.no_grad()
    def text(self, text: str) -> np.ndarray:
        x = self.model.encode_text(self.tokenize([text])).double().numpy()[0]
        return x / np.sqrt(x @ x)


def independent_cosines(folder: Path, samples: list[Sample], prefix: str) -> np.ndarray:
    clip = Published(folder)
    return np.array([clip.image(s.path) @ clip.text(prefix + s.prompt) for s in samples])


def clip_of(folder: Path, batch_size: int = 8) -> ClipEmbeddings:
    return ClipEmbeddings(ClipEncoder(f"local-dir:{folder}", None, "clip", CPU), None, batch_size)


@pytest.mark.parametrize("prefix", ["", "A photo depicts "])
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_clipscore_and_refclipscore_are_the_published_formulas_in_any_batch(
    clip_folder: Path, samples: list[Sample], prefix: str, batch_size: int
) -> None:
    table = clip_table(clip_of(clip_folder, batch_size), samples, prefix, REFERENCES)
    values, clip = table.set_index(["metric", "prompt"])["value"], Published(clip_folder)
    for sample, cosine in zip(samples, independent_cosines(clip_folder, samples, prefix), strict=True):
        score = 2.5 * max(cosine, 0)
        text = clip.text(prefix + sample.prompt)
        best = max(max(text @ clip.text(prefix + r) for r in REFERENCES), 0)
        assert values["clip_cosine", sample.prompt] == pytest.approx(cosine, abs=1e-5)
        assert values["clip_score", sample.prompt] == pytest.approx(score, abs=1e-5)
        harmonic = 2 / (1 / score + 1 / best) if score and best else 0
        assert values["ref_clip_score", sample.prompt] == pytest.approx(harmonic, abs=1e-5)


def test_embeddings_kept_by_one_clip_are_read_by_the_same_and_by_no_other(
    clip_folder: Path, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(folder: Path) -> ClipEmbeddings:
        return ClipEmbeddings(ClipEncoder(f"local-dir:{folder}", None, "clip", CPU), tmp_path / "kept", 2)

    first = clip_table(kept(clip_folder), samples, "", REFERENCES)
    tiny_clip(tmp_path / "other", seed=1)
    other = clip_table(kept(tmp_path / "other"), samples, "", REFERENCES)
    assert (first["value"] != other["value"]).any() and set(first["weights"]).isdisjoint(other["weights"])
    for name in ("embed_pixels", "embed_tokens"):
        monkeypatch.setattr(ClipEncoder, name, lambda *_: pytest.fail("embedded again"))
    assert clip_table(kept(clip_folder), samples, "", REFERENCES).equals(first)


def test_without_references_there_is_no_refclipscore(clip_folder: Path, samples: list[Sample]) -> None:
    assert set(clip_table(clip_of(clip_folder), samples, "")["metric"]) == {"clip_cosine", "clip_score"}


def test_a_score_says_what_it_was_made_with_and_opens_with_the_columns_of_its_readers(
    clip_folder: Path, samples: list[Sample], tmp_path: Path
) -> None:
    clip = clip_of(clip_folder)
    study = mini_in(tmp_path)
    write_scores([clip_table(clip, samples, "A photo depicts ")], study)
    scores = read_scores(study.scores)
    assert set(scores["suite"]) == {suite_hashes(study.sampling)["test"]}
    assert list(scores) == list(SCORED) and list(COLUMNS[:7]) == [
        "variant", "prompt", "seed", "split", "metric", "model", "value"
    ]  # fmt: skip
    assert set(scores["prefix"]) == {"A photo depicts "} and set(scores["weights"]) == {clip.encoder.weights}
    assert all(f"torch {torch.__version__}" in said for said in scores["versions"])


@pytest.mark.parametrize("prefix", ["", "A photo depicts "])
def test_the_agreement_of_a_caption_is_its_raw_cosine_to_its_image(
    clip_folder: Path, samples: list[Sample], tmp_path: Path, prefix: str
) -> None:
    clip = Clip(name=f"local-dir:{clip_folder}", prefix=prefix)
    scoring = Scoring(clips=(clip, Clip(name="local-dir:nowhere")), batch_size=2)
    study = read_study("mini").model_copy(update={"scoring": scoring})
    study._root = tmp_path
    study.dataset.mkdir(parents=True)
    for sample in samples:
        (study.dataset / sample.path.name).write_bytes(sample.path.read_bytes())
    captions = {sample.path.name: sample.prompt for sample in reversed(samples)}
    agreement = caption_agreement(study, captions, CPU)
    assert list(agreement) == list(captions)
    expected = independent_cosines(clip_folder, samples[::-1], prefix)
    assert list(agreement.values()) == pytest.approx(expected, abs=1e-5)
    assert caption_agreement(study, {}, CPU) == {}


@pytest.mark.fault(11)
@pytest.mark.parametrize("model", ["ViT-B-32", "tiny"])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_a_text_too_long_for_clip_keeps_its_end_token(clip_folder: Path, model: str, beyond: int) -> None:
    """Of ViT-B-32, which reads 77, the texts are of 76, 77 and 78 tokens; CLIP pools where it finds the end."""
    tokenize = open_clip.get_tokenizer(model if model != "tiny" else f"local-dir:{clip_folder}")
    [start, red, end, *rest] = tokenize(["red"])[0].tolist()
    read = len([start, red, end, *rest])
    words = read - 2 + beyond
    ids = tokenize([" ".join(["red"] * words)])[0].tolist()
    assert ids[: min(words + 2, read)] == [start, *[red] * min(words, read - 2), end]
    assert read == 77 or model == "tiny"


@pytest.mark.fault(28)
def test_pickled_weights_of_a_clip_run_nothing(clip_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clip_folder, tmp_path / "clip"))
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(Trap(tmp_path / "sprung"), folder / "open_clip_pytorch_model.bin")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        ClipEncoder(f"local-dir:{folder}", None, "x", CPU)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.fault(28, 29)
@pytest.mark.parametrize("weights", ["safetensors", "pickle"])
def test_an_identity_encoder_brings_neither_code_nor_pickles(weights: str, tmp_path: Path) -> None:
    folder = tmp_path / "identity"
    new_encoder().save_pretrained(folder)
    processor().save_pretrained(folder)
    lay_code(folder, tmp_path / "ran")
    named = dict.fromkeys(("AutoConfig", "AutoModel", "AutoImageProcessor"), "evil.Evil")
    for path in (folder / "config.json", folder / "preprocessor_config.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": named}))
    study, model = read_study("mini"), Model(path=str(folder))
    if weights == "pickle":
        (folder / "model.safetensors").unlink()
        torch.save(Trap(tmp_path / "ran"), folder / "pytorch_model.bin")
        with pytest.raises(OSError, match=r"scoring\.identity: .*safetensors"):
            IdentityEncoder(study, model, CPU)
    else:
        assert IdentityEncoder(study, model, CPU).model.config.model_type == "dinov2"
    assert not (tmp_path / "ran").exists()


@pytest.mark.fault(33)
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
        ClipEncoder(name, weights, "x", CPU)


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("name", "weights"),
    [("ViT-B-32-quickgelu", "openai"), ("ViT-B-32", "laion2b_s34b_b79k"), ("ViT-B-32-quickgelu", "my.pt")],
)
def test_weights_of_the_right_activation_and_unknown_ones_pass(name: str, weights: str) -> None:
    check_activation(name, weights)


@pytest.mark.parametrize(
    ("name", "pretrained"), [("ViT-B-32", None), ("ViT-B-32", "nope"), ("no-such-model", "openai")]
)
def test_a_model_without_trained_weights_is_refused(name: str, pretrained: str | None) -> None:
    with pytest.raises(ValueError, match=f"scoring.clips: .*'{name}'"):
        ClipEncoder(name, pretrained, "x", CPU)


def test_the_model_that_is_named_instead_of_a_wrong_activation_exists() -> None:
    for name, weights in open_clip.list_pretrained():
        try:
            check_activation(name, weights)
        except ValueError as error:
            right = str(error).rsplit("write ", 1)[1].strip("'")
            assert right in open_clip.list_models() and weights in open_clip.list_pretrained_tags_by_model(right)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Embeddings:
    folder = tmp_path_factory.mktemp("identity")
    new_encoder().save_pretrained(folder)
    processor().save_pretrained(folder)
    study = read_study(PROJECT / "params/studies/mini.yaml")
    return Embeddings(IdentityEncoder(study, Model(path=str(folder)), CPU))


def test_likeness_is_the_mean_cosine_to_the_portraits_and_one_to_itself(
    identity: Embeddings, samples: list[Sample]
) -> None:
    paths = [s.path for s in samples]
    unit = identity.images(paths).double().numpy()
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    table = likeness_table("identity", identity, samples, paths[:2])
    assert table["value"].tolist() == pytest.approx((unit @ unit[:2].T).mean(1), abs=1e-5)
    alone = likeness_table("identity", identity, samples[:1], paths[:1])
    assert alone["value"].tolist() == pytest.approx([1.0], abs=1e-5) and set(alone["metric"]) == {"identity"}
    with pytest.raises(ValueError, match="held_out"):
        likeness_table("clip_i", identity, samples, [])


def test_memorisation_of_a_training_image_is_one_and_of_others_the_largest_cosine(
    identity: Embeddings, samples: list[Sample]
) -> None:
    paths = [s.path for s in samples]
    unit = identity.images(paths).double().numpy()
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    values = memorisation_table(identity, samples, paths[1:])["value"].tolist()
    assert values == pytest.approx([max(unit[0] @ unit[1], unit[0] @ unit[2]), 1, 1], abs=1e-5)


def test_diversity_is_the_mean_pairwise_distance_within_a_prompt(identity: Embeddings, samples: list[Sample]) -> None:
    same = [Sample("baseline", s.path, "by the sea", seed, "test") for seed, s in enumerate(samples)]
    alone = Sample("r4_a8", samples[0].path, "by the sea", 0, "test")
    unit = identity.images([s.path for s in samples]).double().numpy()
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    pairs = [1 - unit[i] @ unit[j] for i, j in ((0, 1), (0, 2), (1, 2))]
    table = diversity_table(identity, [*same, alone])
    assert table["variant"].tolist() == ["baseline"] * 3
    assert table["value"].mean() == pytest.approx(np.mean(pairs), abs=1e-5)


def test_drift_is_the_distance_to_the_baseline_from_the_same_noise_and_nothing_where_nothing_changed(
    identity: Embeddings, samples: list[Sample]
) -> None:
    a, b, c = (s.path for s in samples)
    drawn = [
        Sample("baseline", a, "a bowl", 0, "unrelated"),
        Sample("baseline", b, "a bowl", 1, "unrelated"),
        Sample("r4_a8", c, "a bowl", 0, "unrelated"),
        Sample("r4_a8", b, "a bowl", 1, "unrelated"),
    ]
    unit = identity.images([a, c]).double().numpy()
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    values = drift_table(identity, [*drawn, *samples])["value"].tolist()
    assert values[:2] == [0, 0] and values[3] == 0 and values[2] == pytest.approx(1 - unit[0] @ unit[1], abs=1e-5)
    assert list(drift_table(identity, samples)["value"]) == []
    with pytest.raises(ValueError, match=r"baseline lacks .*'a bowl', seed 1, which r4_a8 has"):
        drift_table(identity, [drawn[0], drawn[3]])


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    folder = tmp_path_factory.mktemp("judge")
    new_judge().save_pretrained(folder)
    judge_processor().save_pretrained(folder)
    return Judge(read_study(PROJECT / "params/studies/mini.yaml"), Model(path=str(folder)), CPU)


def test_judge_reads_every_attribute_that_a_caption_names(judge: Judge) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        shown = truth(draw_person(rng), draw_scene(rng))
        named = {a: v for a, v in shown.items() if (a, v) != ("glasses", "none")}
        assert judge.named(caption(shown, rng)) == named


def test_judge_reads_every_prompt_of_the_mini_study(judge: Judge) -> None:
    sampling = read_study(PROJECT / "params/studies/mini.yaml").sampling
    for prompt in (*sampling.development, *sampling.test, *sampling.unrelated):
        assert {"style", "kind", "hair", "hair_colour", "expression", "clothes", "clothes_colour", "background"} <= set(
            judge.named(prompt)
        ), prompt


def test_judge_gives_the_share_of_named_attributes_that_are_seen(judge: Judge, samples: list[Sample]) -> None:
    [seen] = judge.seen(judge.embed_pixels(judge.pixels([Image.open(samples[0].path)])))
    assert set(seen) == set(ATTRIBUTES)
    values = judge_table(JudgeEmbeddings(judge), samples[:1]).set_index("metric")["value"]
    right = {m.removeprefix("judge_"): v for m, v in values.items() if m != "judge"}
    assert right == {a: float(seen[a] == v) for a, v in judge.named(samples[0].prompt).items()}
    assert values["judge"] == pytest.approx(np.mean(list(right.values())))


def test_prompt_that_names_nothing_the_judge_knows_has_no_value(judge: Judge, samples: list[Sample]) -> None:
    nothing = Sample("baseline", samples[0].path, "quantum foam", 0, "test")
    assert set(judge_table(JudgeEmbeddings(judge), [nothing, samples[1]])["prompt"]) == {samples[1].prompt}
    assert list(judge_table(JudgeEmbeddings(judge), [nothing])) == list(COLUMNS)


def mini_in(folder: Path) -> Study:
    """The mini study, its run in another folder."""
    study = read_study("mini")
    study._root = folder
    return study


def drawn(study: Study, arm: str, flagged: int = -1, prompts: int = 2) -> None:
    """The first samples of an arm on disk, one of them black."""
    wanted = [w for w in wanted_samples(study.sampling) if w.split == "test"][:prompts]
    made = {"sampling": {"num_inference_steps": 1, "guidance_scale": 1.0}, "model": "", "adapter": None}
    for i, w in enumerate(wanted):
        save_sample(Image.new("RGB", (8, 8)), "black" if i == flagged else "", study.samples(arm), w, made)
    write_table(study.samples(arm), wanted)


def test_flagged_samples_are_not_scored_and_arms_that_are_not_there_are_named(tmp_path: Path) -> None:
    study, variants = mini_in(tmp_path), [Variant(rank=4, alpha=4), Variant(rank=4, alpha=8), Variant(rank=8, alpha=8)]
    for arm, flagged in (("baseline", -1), ("r4_a4", 1), ("r4_a8", -1), ("r4_a8@0.4", -1)):
        drawn(study, arm, flagged)
    samples, said = scorable_samples(study, variants)
    assert [s.variant for s in samples] == ["baseline"] * 2 + ["r4_a4"] + ["r4_a8"] * 2 + ["r4_a8@0.4"] * 2
    assert "1 of 8 samples cannot be scored (1 of r4_a4)" in said and said.endswith("Not sampled: r8_a8.")


def test_of_arms_at_other_scales_those_that_are_asked_for_are_scored(tmp_path: Path) -> None:
    study, variants = mini_in(tmp_path), [Variant(rank=4, alpha=4), Variant(rank=4, alpha=8)]
    for arm in ("baseline", "r4_a4", "r4_a8", "r4_a4@0.4", "r4_a8@0.4"):
        drawn(study, arm)
    for scaled, found in ((None, ["r4_a4@0.4", "r4_a8@0.4"]), (["r4_a8"], ["r4_a8@0.4"]), ([], [])):
        samples, said = scorable_samples(study, variants, scaled)
        assert list(dict.fromkeys(s.variant for s in samples)) == ["baseline", "r4_a4", "r4_a8", *found] and said == ""


def test_samples_of_other_settings_or_of_an_adapter_that_is_gone_are_not_scored(tmp_path: Path) -> None:
    study, variants = mini_in(tmp_path), [Variant(rank=4, alpha=4), Variant(rank=4, alpha=8), Variant(rank=8, alpha=8)]
    weights_file(study, variants[1]).parent.mkdir(parents=True)
    weights_file(study, variants[1]).write_bytes(b"trained anew")
    made = {"sampling": {"num_inference_steps": 1}, "adapter": None}
    old = {"name": "mini_r4_a8", "scale": 1.0, "sha256": "0" * 64}
    now = old | {"name": "mini_r4_a8", "sha256": hashlib.sha256(b"trained anew").hexdigest()}
    drawn_with = {
        "baseline": made,
        "r4_a4": made | {"sampling": {"num_inference_steps": 2}},
        "r4_a8": made | {"adapter": old},
        "r4_a8@0.4": made | {"adapter": now | {"scale": 0.4}},
        "r8_a8": made | {"adapter": old | {"name": "gone"}},
    }
    for arm, said in drawn_with.items():
        drawn(study, arm)
        (study.samples(arm) / "settings.json").write_text(json.dumps(said), encoding="utf-8")
    samples, wrong = scorable_samples(study, variants)
    assert list(dict.fromkeys(s.variant for s in samples)) == ["baseline", "r4_a8@0.4"]
    assert "(run 03_inference again): r4_a4, r4_a8, r8_a8." in wrong


def test_cell_that_ran_twice_counts_once(clip_folder: Path, samples: list[Sample], tmp_path: Path) -> None:
    table = clip_table(clip_of(clip_folder), samples, "")
    once, _ = write_scores([table], mini_in(tmp_path))
    twice, _ = write_scores([table, table], mini_in(tmp_path))
    assert len(once) == len(twice) == len(table)


@pytest.mark.fault(4)
def test_study_without_a_whole_baseline_is_not_scored(tmp_path: Path) -> None:
    study = mini_in(tmp_path)
    with pytest.raises(FileNotFoundError, match="03_inference"):
        scorable_samples(study, [])
    drawn(study, "baseline", flagged=0)
    with pytest.raises(ValueError, match=r"test_[0-9a-f]{8}_0\.png, which is black.*change that prompt or seed"):
        scorable_samples(study, [])


def test_table_of_scales_starts_at_the_baseline_and_passes_through_the_variant() -> None:
    settings = read_study("mini").sampling
    seed, prompt = settings.seeds[0], settings.development[0]
    rows = [
        (arm, prompt, s, "development", "clip_score", "clip", value, "", "", "")
        for arm, value in (("baseline", 1.0), ("r4_a8", 2.0), ("r4_a8@0.4", 1.5), ("r4_a8@1.2", 2.5), ("r8_a8", 9.0))
        for s in (settings.seeds if "@" not in arm else settings.seeds[:1])
    ]
    scores = pd.DataFrame(rows, columns=list(COLUMNS)).assign(suite="x")
    more = scores.head(1).assign(split="test", value=7.0)
    table = scale_table(pd.concat([scores, more]), settings)
    assert set(table["seed"]) == {seed} and set(table["variant"]) == {"r4_a8"}
    assert dict(zip(table["scale"], table["value"], strict=True)) == {0.0: 1.0, 0.4: 1.5, 1.0: 2.0, 1.2: 2.5}
    second = scores.assign(prompt=settings.development[1])
    black = second[second["variant"] != "r4_a8@1.2"]  # it drew one picture that cannot be scored
    assert set(scale_table(pd.concat([scores, black]), settings)["scale"]) == {0.0, 0.4, 1.0}
    assert scale_table(scores[~scores["variant"].str.contains("@")], settings).empty


def test_judge_phrases_travel_with_the_model(judge: Judge) -> None:
    assert json.dumps(judge.phrases["hair_colour"]["red"]).count("red") >= 6


@pytest.mark.parametrize(
    ("said", "own", "used"), [("a ", "b ", "a "), ("", "b ", ""), (None, "b ", "b "), (None, None, "c ")]
)
def test_a_clip_has_the_prefix_of_its_settings_else_its_own_else_that_of_scoring(
    clip_folder: Path, tmp_path: Path, said: str | None, own: str | None, used: str
) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(clip_folder, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["caplora"] = {} if own is None else {"prefix": own}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    clip = Clip(name=f"local-dir:{folder}", prefix=said)
    study = mini_in(tmp_path).model_copy(update={"scoring": Scoring(clips=(clip,), prefix="c ")})
    assert load_clip(study, clip, CPU).prefix == used
