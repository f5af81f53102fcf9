"""What counting says of the real shapes is what other counts say; what is chosen from it, and that it is said.

In one file, since a pass that was counted once in a process is known there: each takes seconds.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import yaml

from benchmarks.shapes import TEXTS, VAES, base_configs, unet_config
from caplora.commands.app import main
from caplora.commands.plan import Name
from caplora.planning.cards import CARDS, UTILISATION, known
from caplora.planning.configs import BaseConfigs
from caplora.planning.counting import (
    count_forward,
    count_training,
    count_vae,
    lora_weights,
    text_parameters,
    transformer_flop,
)
from caplora.planning.minutes import picture_seconds
from caplora.planning.pictures import pictures, pictures_of
from caplora.planning.plan import forecast_of
from caplora.study.reading import PROJECT
from caplora.study.study import read_study
from caplora.study.variants import Variant, read_variants
from tests.tiny import tiny_pipeline

STUDY, GRID, SD15 = read_study("sd15"), list(read_variants("grid")), base_configs("sd15")
RANK = max(variant.rank for variant in GRID)  # what the plan of the grid counts


@pytest.mark.parametrize(
    ("resolution", "tera", "trained", "kept"), [(512, 0.803, 1.718, 1.04), (384, 0.423, 0.877, 0.59)]
)
def test_stable_diffusion_15_costs_what_it_is_known_to_cost(
    resolution: int, tera: float, trained: float, kept: float
) -> None:
    unet = count_forward(SD15, resolution)
    assert unet.parameters == 859_520_964
    assert unet.passes["forward"].flop / 1e12 == pytest.approx(tera, rel=0.001)
    step = count_training(SD15, resolution, "qv", RANK, False)
    assert step.flop / 1e12 == pytest.approx(trained, rel=0.05)
    assert 0.75 * kept < step.bytes / 1e9 < kept  # which was counted under autocast: it normalises in fp32, we do not


def test_the_vae_costs_what_it_is_known_to_cost() -> None:
    vae = count_vae(SD15.vae, 512)
    assert vae.parameters == 83_653_863
    assert vae.passes["encode"].flop / 1e12 == pytest.approx(1.12, abs=0.005)
    assert vae.passes["decode"].flop / 1e12 == pytest.approx(2.51, abs=0.005)


def test_checkpointing_keeps_less_and_computes_the_forward_pass_again() -> None:
    plain, light = (count_training(SD15, 512, "qv", RANK, light) for light in (False, True))
    assert light.bytes < 0.75 * plain.bytes
    assert light.flop - plain.flop == pytest.approx(count_forward(SD15, 512).passes["forward"].flop, rel=0.35)


@pytest.mark.parametrize(
    ("name", "parameters"), [("sd15", 859_520_964), ("sd21", 865_910_724), ("sdxl", 2_567_463_684)]
)
def test_a_unet_has_the_weights_that_are_published(name: str, parameters: int) -> None:
    assert count_forward(base_configs(name), 256).parameters == parameters


def test_an_adapter_of_stable_diffusion_15_has_99648_weights_a_rank() -> None:
    assert [lora_weights(SD15, "qv", rank) for rank in (1, 8)] == [99_648, 8 * 99_648]


def test_transformers_are_counted_by_their_matrices() -> None:
    assert text_parameters(SD15.text_encoders[0]) == pytest.approx(123_060_480, rel=0.002)
    assert transformer_flop(768, 3072, 12, 50) / 1e9 == pytest.approx(8.8, rel=0.05)  # ViT-B/32


def test_the_grid_of_six_fits_a_t4_as_one_pack() -> None:
    found = forecast_of(STUDY, GRID, SD15, CARDS["T4"])
    assert (found.needs.packs, found.needs.variants, found.needs.checkpointing) == (1, 6, False)
    assert found.needs.fit(CARDS["T4"])
    assert "one pack of 6 variants, gradient checkpointing off, fp16" in found.said()


def test_less_memory_means_more_packs_then_checkpointing_then_a_clear_sentence() -> None:
    def needed(gib: float) -> tuple[int, bool, bool]:
        card = replace(CARDS["T4"], gib=gib)
        needs = forecast_of(STUDY, GRID, SD15, card).needs
        return needs.packs, needs.checkpointing, needs.fit(card)

    assert needed(7) == (2, False, True)
    assert needed(3.7)[1:] == (True, True)
    small = replace(CARDS["T4"], gib=3)
    found = forecast_of(STUDY, GRID, SD15, small)
    assert not found.needs.fit(small) and found.needs.checkpointing
    assert "does not fit" in found.said() and "images.resolution" in found.said()
    assert found.row()[-1] == "–"


def test_where_checkpointing_is_not_enough_the_images_are_passed_in_parts() -> None:
    eight = STUDY.model_copy(update={"training": STUDY.training.model_copy(update={"batch_size": 8})})
    card = replace(CARDS["T4"], gib=6)
    found = forecast_of(eight, GRID, SD15, card)
    assert found.needs.fit(card) and found.needs.checkpointing and found.needs.at_once in (2, 4)
    assert f"{found.needs.at_once} images of a variant at once" in found.said()
    assert forecast_of(eight, GRID, SD15, CARDS["H100"]).needs.at_once == 8


def test_a_picture_takes_two_passes_a_step_and_a_decoding() -> None:
    unet, vae = count_forward(SD15, 512).passes["forward"].flop, count_vae(SD15.vae, 512).passes["decode"].flop
    expected = 2 * STUDY.sampling.num_inference_steps * unet / (65e12 * UTILISATION) + vae / (8.1e12 * 0.5)
    assert picture_seconds(STUDY, SD15, CARDS["T4"]) == pytest.approx(expected)


def test_every_arm_draws_every_suite_and_only_finalists_do_if_there_are_any() -> None:
    every, two = (STUDY.sampling.model_copy(update={"finalists": limit}) for limit in (None, 2))
    (dev, test), seeds = (len(every.development), len(every.test)), len(every.seeds)
    assert pictures(every, 6)["development"] == pictures(two, 6)["development"] == 7 * dev * seeds
    assert (pictures(every, 6)["test"], pictures(two, 6)["test"]) == (7 * test * seeds, 3 * test * seeds)
    assert pictures(every, 6)["scales"] == pictures(two, 1)["scales"] == 3 * dev + 4 * len(every.unrelated)


@pytest.mark.parametrize(
    ("name", "half"),
    [("Tesla T4", 65), ("NVIDIA L4", 121), ("NVIDIA A100-SXM4-80GB", 312), ("NVIDIA H100 80GB HBM3", 989)],
)
def test_a_card_is_known_by_the_name_that_torch_gives_it(name: str, half: float) -> None:
    card = known(name, 10 * 2**30)
    assert card is not None and (card.half, card.gib) == (half, 10)


def test_a_card_that_is_not_known_is_not_guessed() -> None:
    assert known("NVIDIA T400 4GB", 4 * 2**30) is None


def test_plan_of_the_mini_study_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "mini", "--card", "T4", "L4"]) == 0
    said = capsys.readouterr().out
    assert "| T4 |" in said and "| L4 |" in said and "one pack of 6 variants" in said
    assert "506 pictures" in said


def test_plan_is_said_from_any_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CLIPs of the mini study lie in folders of the project."""
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "mini", "--card", "T4"]) == 0
    assert "minutes for 02" in capsys.readouterr().out


def test_plan_reads_configs_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    for folder, config in (("unet", unet_config("sd15")), ("vae", VAES["sd15"]), ("text_encoder", TEXTS["sd15"][0])):
        (model / folder).mkdir(parents=True)
        (model / folder / "config.json").write_text(json.dumps(config))
    content = yaml.safe_load((PROJECT / "params" / "studies" / "sd15.yaml").read_text())
    content |= {"name": "own", "base": {"path": str(model)}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    assert main(["plan", str(tmp_path / "own.yaml"), "--card", "T4"]) == 0
    said = capsys.readouterr().out
    assert "| T4 | 15.7 |" in said and "one pack of 6 variants" in said and "minutes for 02" in said


def test_plan_without_a_card_says_which_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["plan", "sd15"]) == 2
    assert "--card T4 or L4" in capsys.readouterr().err


def test_the_command_knows_every_card() -> None:
    assert get_args(Name) == tuple(CARDS)


def test_a_rank_above_a_layers_width_is_named_before_anything_is_planned() -> None:
    """Stable Diffusion 1.5's narrowest projections are 320 wide, those of its mid block 1280 → 1280."""
    with pytest.raises(ValueError, match=r"r321_a1: rank 321 .* unet\..* at most 320; 20 of its 64 layers"):
        forecast_of(STUDY, [Variant(rank=320, alpha=1), Variant(rank=321, alpha=1)], SD15, CARDS["H100"])
    tiny = tiny_pipeline()  # 16 wide, and 32 in the mid block
    own = BaseConfigs.of(dict(tiny.unet.config), dict(tiny.vae.config), [tiny.text_encoder.config.to_dict()])
    for most in (Variant(rank=16, alpha=1), Variant(rank=17, alpha=1, targets=r"mid_block.*attn1\.to_q$")):
        forecast_of(STUDY, [most], own, CARDS["H100"])
    with pytest.raises(ValueError, match=r"r17_a1: rank 17 .* at most 16"):
        forecast_of(STUDY, [Variant(rank=16, alpha=1), Variant(rank=17, alpha=1)], own, CARDS["H100"])


def test_arms_of_an_experiment_draw_every_suite_and_kept_steps_the_development_prompts() -> None:
    study = read_study("mini", training={"keep": (60, 120)})
    asked = [Variant(rank=8, alpha=8), Variant(rank=8, alpha=8, images=10), Variant(rank=8, alpha=8, images=25)]
    suites, seeds = study.sampling.suites, len(study.sampling.seeds)
    drawn = pictures_of(study, asked)
    assert drawn["test"] == 4 * len(suites["test"]) * seeds  # the baseline, the finalist and both arms
    assert drawn["development"] == 4 * len(suites["development"]) * seeds
    few = len(suites["development"]) + len(suites["unrelated"])
    assert drawn["kept steps"] == 2 * few + len(suites["unrelated"])
    assert drawn["captions"] == (1 + 3 + 1 + 3) * 2 * study.sampling.captions  # one training at every step; three arms
