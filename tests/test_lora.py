"""lora.py: what a pack adds to the UNet, and what it leaves alone."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig

from caplora.lora import Pack, detach, fresh_adapter, target_layers
from caplora.study import Variant
from tests.tiny import tiny_unet, trained_like

SD15 = {  # the published config of Stable Diffusion 1.5's UNet, where it differs from the class's defaults
    "sample_size": 64,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}


def batch(n: int = 2) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(7)
    return {
        "sample": torch.randn(n, 4, 8, 8, generator=g),
        "timestep": torch.randint(1000, (n,), generator=g),
        "encoder_hidden_states": torch.randn(n, 7, 24, generator=g),
    }


def repeated(inputs: dict[str, torch.Tensor], times: int) -> dict[str, torch.Tensor]:
    return {k: v.repeat(times, *[1] * (v.ndim - 1)) for k, v in inputs.items()}


@torch.no_grad()
def test_fresh_adapter_changes_nothing() -> None:
    unet = tiny_unet()
    before = unet(**batch()).sample
    Pack(unet, [fresh_adapter(target_layers(unet), Variant(rank=4, alpha=8), 0)]).lay()
    assert torch.equal(unet(**batch()).sample, before)


@torch.no_grad()
def test_baseline_arm_is_the_base_model_beside_a_trained_one() -> None:
    unet = tiny_unet()
    before = unet(**batch()).sample
    Pack(unet, [None, trained_like(unet, 4, 8)]).lay()
    baseline, adapted = unet(**repeated(batch(), 2)).sample.chunk(2)
    torch.testing.assert_close(baseline, before, rtol=1e-6, atol=1e-6)
    assert (adapted - before).abs().max() > 1e-3


@torch.no_grad()
def test_lifted_and_detached_unet_is_the_base_model() -> None:
    unet = tiny_unet()
    before, names = unet(**batch()).sample, [n for n, _ in unet.named_parameters()]
    pack = Pack(unet, [trained_like(unet, 4, 8)])
    pack.lay()
    pack.lift()
    assert torch.equal(unet(**batch()).sample, before)
    detach(unet)
    assert [n for n, _ in unet.named_parameters()] == names


@torch.no_grad()
@pytest.mark.parametrize(("rank", "alpha"), [(4, 4), (4, 16), (8, 2)])
def test_adapter_adds_what_peft_adds(rank: int, alpha: float) -> None:
    ours, theirs = tiny_unet(), tiny_unet()
    adapter = trained_like(ours, rank, alpha)
    Pack(ours, [adapter]).lay()
    theirs.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(target_layers(theirs))))
    for name, (down, up) in adapter.weights.items():
        layer = theirs.get_submodule(name)
        layer.lora_A["default"].weight.copy_(down)
        layer.lora_B["default"].weight.copy_(up)
    torch.testing.assert_close(ours(**batch()).sample, theirs(**batch()).sample, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_mixed_ranks_in_a_pack_give_what_each_gives_alone() -> None:
    unet = tiny_unet()
    adapters = [trained_like(unet, rank, alpha, seed) for seed, (rank, alpha) in enumerate([(2, 4), (8, 8), (5, 1)])]
    alone = []
    for adapter in adapters:
        Pack(unet, [adapter]).lay()
        alone.append(unet(**batch()).sample)
    Pack(unet, adapters).lay()
    torch.testing.assert_close(unet(**repeated(batch(), 3)).sample, torch.cat(alone), rtol=1e-5, atol=1e-6)


def test_adapters_come_out_of_a_pack_as_they_went_in() -> None:
    unet = tiny_unet()
    adapters = [trained_like(unet, 2, 4), None, trained_like(unet, 8, 8)]
    for put, got in zip(adapters, Pack(unet, adapters).adapters(), strict=True):
        if put is None:
            assert got is None
            continue
        assert got is not None and got.variant == put.variant
        for name, (down, up) in put.weights.items():
            assert torch.equal(got.weights[name][0], down) and torch.equal(got.weights[name][1], up)


@pytest.mark.parametrize("rank", [4, 16])
def test_sd15_trains_99648_weights_per_rank_in_64_layers(rank: int) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD15)
    layers = target_layers(unet)
    assert len(layers) == 64
    assert sum(rank * (layer.in_features + layer.out_features) for layer in layers.values()) == 99_648 * rank


def test_trained_parameters_do_not_count_padding() -> None:
    unet = tiny_unet()
    layers = target_layers(unet)
    pack = Pack(unet, [fresh_adapter(layers, Variant(rank=r, alpha=1.0), 0) for r in (2, 8)])
    assert pack.trained_parameters()[1] == 4 * pack.trained_parameters()[0]


def test_targets_that_match_nothing_are_an_error_that_names_them() -> None:
    with pytest.raises(ValueError, match="to_nothing"):
        target_layers(tiny_unet(), "to_nothing$")
