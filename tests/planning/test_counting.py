"""counting.py: passes of the real shapes, counted without weights, are what other counts say."""

import pytest

from benchmarks.shapes import base_configs
from caplora.planning.counting import (
    count_forward,
    count_training,
    count_vae,
    lora_weights,
    text_parameters,
    transformer_flop,
)

SD15 = base_configs("sd15")


@pytest.mark.parametrize(
    ("resolution", "tera", "trained", "kept"), [(512, 0.803, 1.718, 1.04), (384, 0.423, 0.877, 0.59)]
)
def test_stable_diffusion_15_costs_what_it_is_known_to_cost(
    resolution: int, tera: float, trained: float, kept: float
) -> None:
    unet = count_forward(SD15, resolution)
    assert unet.parameters == 859_520_964
    assert unet.passes["forward"].flop / 1e12 == pytest.approx(tera, rel=0.001)
    step = count_training(SD15, resolution, "qv", 8, False)
    assert step.flop / 1e12 == pytest.approx(trained, rel=0.05)
    assert 0.75 * kept < step.bytes / 1e9 < kept  # which was counted under autocast: it normalises in fp32, we do not


def test_the_vae_costs_what_it_is_known_to_cost() -> None:
    vae = count_vae(SD15.vae, 512)
    assert vae.parameters == 83_653_863
    assert vae.passes["encode"].flop / 1e12 == pytest.approx(1.12, abs=0.005)
    assert vae.passes["decode"].flop / 1e12 == pytest.approx(2.51, abs=0.005)


def test_checkpointing_keeps_less_and_computes_the_forward_pass_again() -> None:
    plain, light = (count_training(SD15, 384, "qv", 8, light) for light in (False, True))
    assert light.bytes < 0.75 * plain.bytes
    assert light.flop - plain.flop == pytest.approx(count_forward(SD15, 384).passes["forward"].flop, rel=0.35)


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
