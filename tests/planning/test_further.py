"""further.py: what further metrics take is what torch counts of their real shapes, without weights; and it is said."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel, Idefics3Config, Idefics3ForConditionalGeneration

from benchmarks.shapes import base_configs
from caplora.planning.cards import CARDS
from caplora.planning.counting import counted_pass, fake
from caplora.planning.further import READ, SHAPES, TILES, asked_of, further_of
from caplora.planning.needs import CONTEXT, SHARE
from caplora.planning.pictures import pictures_of
from caplora.planning.plan import forecast_of
from caplora.study.settings import EXTRA_METRICS, Model
from caplora.study.study import Study, read_study
from caplora.study.variants import Variant, read_variants

GRID, SD15, T4 = list(read_variants("grid")), base_configs("sd15"), CARDS["T4"]
H = {"num_attention_heads": 16, "projection_dim": 1024, "hidden_act": "gelu"}  # OpenCLIP's ViT-H/14
H_TEXT = H | {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24}
H_IMAGE = H | {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "patch_size": 14}
SIGLIP = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
LLAMA = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "num_attention_heads": 32}


def asking(extra: str, **scoring: object) -> Study:
    return read_study("sd15", scoring={"extra": extra.split(), **scoring})


def weights(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_pick_score_takes_what_its_clip_does() -> None:
    with fake(torch.float32), torch.no_grad():
        model = CLIPModel(CLIPConfig(text_config=H_TEXT, vision_config=H_IMAGE, projection_dim=1024)).eval()
        pixels = torch.empty(1, 3, 224, 224)
        found = counted_pass(lambda: model.get_image_features(pixel_values=pixels), model)
    shape = SHAPES["pick_score"]
    assert weights(model) == shape.parameters
    assert (shape.flop, shape.bytes) == (pytest.approx(found.flop, rel=0.01), pytest.approx(found.bytes, rel=0.1))


def test_vqa_takes_what_its_vision_language_model_does() -> None:
    config = Idefics3Config(
        text_config=LLAMA | {"model_type": "llama", "vocab_size": 49155, "head_dim": 64},
        vision_config=SIGLIP | {"patch_size": 14, "image_size": 384},
        scale_factor=3,
        image_token_id=49153,
        tie_word_embeddings=False,
    )
    with fake(torch.float32), torch.no_grad():
        model = Idefics3ForConditionalGeneration(config).eval()
        part, read = torch.empty(1, 729, 1152), torch.empty(1, READ, 2048)
        see = counted_pass(lambda: model.model.vision_model.encoder(inputs_embeds=part), model)
        say = counted_pass(lambda: model.model.text_model(inputs_embeds=read, use_cache=False), model)
    shape = SHAPES["vqa"]
    assert weights(model) == shape.parameters
    assert shape.flop == pytest.approx(TILES * see.flop + say.flop, rel=0.01)
    assert shape.bytes == pytest.approx(max(TILES * see.bytes, say.bytes), rel=0.1)


def test_quality_takes_what_pyiqas_musiq_does() -> None:
    pyiqa = pytest.importorskip("pyiqa", reason="pip install pyiqa")
    model = pyiqa.create_metric("musiq", pretrained=False, device="cpu").net.eval()
    with torch.no_grad():
        found = counted_pass(lambda: model(torch.rand(1, 3, 512, 512)), model)
    shape = SHAPES["quality"]
    assert weights(model) == shape.parameters
    assert (shape.flop, shape.bytes) == (pytest.approx(found.flop, rel=0.01), pytest.approx(found.bytes, rel=0.1))


def test_a_question_is_asked_for_each_phrase_of_each_picture() -> None:
    study = read_study("sd15", training={"keep": (500,)}, scoring={"extra": ["vqa"]})
    suites, seeds, drawn = study.sampling.suites, len(study.sampling.seeds), pictures_of(study, GRID)
    said = {split: sum(len(prompt.split(",")) for prompt in suite) for split, suite in suites.items()}
    arms = {split: 7 if split == "development" else 2 for split in suites}  # all; the baseline and the finalist
    kept = drawn["kept steps"] * (said["development"] + said["unrelated"])
    kept /= len(suites["development"]) + len(suites["unrelated"])
    questions = sum(arms[split] * seeds * count for split, count in said.items()) + kept
    assert asked_of(study, GRID, "vqa") == pytest.approx(questions)
    assert asked_of(study, GRID, "quality") == sum(drawn.values()) - drawn["scales"] - drawn["captions"]


def test_minutes_and_memory_of_further_metrics_are_in_the_forecast() -> None:
    plain, more = (forecast_of(study, GRID, SD15, T4) for study in (read_study("sd15"), asking("pick_score vqa")))
    work = asked_of(more.study, GRID, "pick_score") * SHAPES["pick_score"].flop
    work += asked_of(more.study, GRID, "vqa") * SHAPES["vqa"].flop
    assert more.minutes.scoring - plain.minutes.scoring == pytest.approx(work / (8.1e12 * 0.5) / 60)
    assert more.minutes.training == plain.minutes.training and more.minutes.sampling == plain.minutes.sampling
    pick, vqa = more.further
    assert pick.bytes == CONTEXT + 4 * 986_109_441 + 32 * SHAPES["pick_score"].bytes
    assert vqa.bytes == CONTEXT + 4 * SHAPES["vqa"].parameters + vqa.at_once * SHAPES["vqa"].bytes
    assert "pick_score takes" in more.said() and "questions at once" in more.said() and not plain.further


def test_fewer_questions_are_asked_at_once_where_more_do_not_fit_and_none_where_one_does_not() -> None:
    small = asking("vqa")

    def asked(gib: float) -> tuple[int, str]:
        card = replace(T4, gib=gib)
        [found] = further_of(small, GRID, card)
        return found.at_once, found.said(card)

    [one], [most] = further_of(small, GRID, replace(T4, gib=1)), further_of(small, GRID, replace(T4, gib=80))
    spare = one.bytes - SHAPES["vqa"].bytes
    assert (one.at_once, most.at_once) == (1, 8) and spare == most.bytes - 8 * SHAPES["vqa"].bytes
    for count in (1, 2, 4):
        room = (spare + count * SHAPES["vqa"].bytes) / SHARE / 2**30
        assert asked(room + 0.001)[0] == count and "does not fit" not in asked(room + 0.001)[1]
    assert "does not fit" in asked(1)[1] and "scoring.extra" in asked(1)[1]


def test_of_a_model_that_is_not_known_nothing_is_made_up() -> None:
    other = Model(path="owner/other", revision="0" * 40).model_dump()
    [found] = further_of(asking("vqa", vqa=other), GRID, T4)
    assert (found.bytes, found.seconds) == (None, 0) and "not counted: scoring.vqa" in found.said(T4)
    assert set(SHAPES) == set(EXTRA_METRICS)


def test_epochs_are_steps_and_variants_of_other_steps_share_no_pack() -> None:
    """At equal epochs a variant of 25 images takes a quarter of the steps of one of a hundred."""
    epochs = [Variant(rank=8, alpha=8, images=n, epochs=10) for n in (25, 50, 100)]
    once = Variant(rank=8, alpha=8)
    study = read_study("sd15", training={"steps": 1000, "gradient_accumulation_steps": 1, "batch_size": 1})
    found, alone = (forecast_of(study, own, SD15, T4, 100) for own in ([*epochs, once], [once]))
    encoding = forecast_of(study, [once], SD15, T4, 0).minutes.training
    step = (encoding - 0) / 1000  # no image is encoded there
    steps = 10 * 25 + 10 * 50 + 10 * 100 + 1000
    assert found.minutes.training - alone.minutes.training == pytest.approx(step * (steps - 1000))
    assert (found.needs.packs, found.needs.variants, found.needs.groups) == (3, 2, 3)  # 1,000 steps twice
    assert "variants of 3 numbers of steps share none" in found.said() and "share none" not in alone.said()
    few = forecast_of(study, epochs[2:], SD15, T4, 40)
    assert few.minutes.training < found.minutes.training
