"""pack.py, layers.py: what a pack adds to the UNet, and what it leaves alone."""

from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig

from caplora.lora.adapter import NOTHING, fresh_adapter
from caplora.lora.layers import linear_layers, refuse_rank, target_layers
from caplora.lora.pack import Pack
from caplora.models.base import weights_hash
from caplora.study.training_settings import Training
from caplora.study.variants import TARGETS, Variant
from tests.tiny import TRAINING, host_of, tiny_unet, trained_like

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
    Pack(host_of(unet), [fresh_adapter(target_layers(host_of(unet), TRAINING), Variant(rank=4, alpha=8), 0)]).lay()
    assert torch.equal(unet(**batch()).sample, before)


@torch.no_grad()
def test_baseline_arm_is_the_base_model_beside_a_trained_one() -> None:
    unet = tiny_unet()
    before = unet(**batch()).sample
    Pack(host_of(unet), [NOTHING, trained_like(host_of(unet), 4, 8)]).lay()
    baseline, adapted = unet(**repeated(batch(), 2)).sample.chunk(2)
    torch.testing.assert_close(baseline, before, rtol=1e-6, atol=1e-6)
    assert (adapted - before).abs().max() > 1e-3


@torch.no_grad()
def test_lifted_unet_is_the_base_model() -> None:
    unet = tiny_unet()
    before, name = unet(**batch()).sample, weights_hash(unet)
    pack = Pack(host_of(unet), [trained_like(host_of(unet), 4, 8)])
    pack.lay()
    pack.lift()
    assert torch.equal(unet(**batch()).sample, before)
    assert weights_hash(unet) == name


@torch.no_grad()
@pytest.mark.parametrize(("rank", "alpha"), [(4, 4), (4, 16), (8, 2)])
def test_adapter_adds_what_peft_adds(rank: int, alpha: float) -> None:
    ours, theirs = tiny_unet(), tiny_unet()
    adapter = trained_like(host_of(ours), rank, alpha)
    Pack(host_of(ours), [adapter]).lay()
    theirs.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(linear_layers(theirs, TARGETS["qv"]))))
    for name, (down, up) in adapter.weights.items():
        layer = theirs.get_submodule(name.removeprefix("unet."))
        layer.lora_A["default"].weight.copy_(down)
        layer.lora_B["default"].weight.copy_(up)
    torch.testing.assert_close(ours(**batch()).sample, theirs(**batch()).sample, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_mixed_ranks_in_a_pack_give_what_each_gives_alone() -> None:
    unet = tiny_unet()
    host = host_of(unet)
    adapters = [trained_like(host, rank, alpha, seed) for seed, (rank, alpha) in enumerate([(2, 4), (8, 8), (5, 1)])]
    alone = []
    for adapter in adapters:
        Pack(host_of(unet), [adapter]).lay()
        alone.append(unet(**batch()).sample)
    Pack(host_of(unet), adapters).lay()
    torch.testing.assert_close(unet(**repeated(batch(), 3)).sample, torch.cat(alone), rtol=1e-5, atol=1e-6)


def test_adapters_come_out_of_a_pack_as_they_went_in() -> None:
    unet = tiny_unet()
    adapters = [trained_like(host_of(unet), 2, 4), NOTHING, trained_like(host_of(unet), 8, 8)]
    for put, got in zip(adapters, Pack(host_of(unet), adapters).adapters(), strict=True):
        assert got.variant == put.variant and got.weights.keys() == put.weights.keys()
        for name, (down, up) in put.weights.items():
            assert torch.equal(got.weights[name][0], down) and torch.equal(got.weights[name][1], up)


@pytest.mark.parametrize("rank", [4, 16])
def test_sd15_trains_99648_weights_per_rank_in_64_layers(rank: int) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD15)
    layers = target_layers(host_of(unet), TRAINING)
    assert len(layers) == 64
    assert sum(rank * (layer.in_features + layer.out_features) for layer in layers.values()) == 99_648 * rank


@pytest.mark.parametrize(
    ("targets", "per_rank"), [("qv_cross", 49_728), ("qkvo", 199_296), (r"mid_block.*attn2\.to_k$", 768 + 1280)]
)
def test_sd15_targets_have_their_published_number_of_weights(targets: str, per_rank: int) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD15)
    layers = target_layers(host_of(unet), Training(targets=targets)).values()
    assert sum(layer.in_features + layer.out_features for layer in layers) == per_rank


def test_layers_are_found_again_once_they_are_wrapped() -> None:
    unet = tiny_unet()
    before = list(linear_layers(unet, "attn1"))
    Pack(host_of(unet), [trained_like(host_of(unet), 2, 4)])
    assert list(linear_layers(unet, "attn1")) == before


@torch.no_grad()
def test_variants_of_other_targets_share_a_pack() -> None:
    unet = tiny_unet()
    host = host_of(unet)
    adapters = [trained_like(host, 4, 8, settings=Training(targets=t)) for t in ("qv_cross", "qkvo", "attn1.*to_k$")]
    alone = []
    for adapter in adapters:
        Pack(host, [adapter]).lay()
        alone.append(unet(**batch()).sample)
    Pack(host, adapters).lay()
    torch.testing.assert_close(unet(**repeated(batch(), 3)).sample, torch.cat(alone), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_new_pack_lifts_what_an_earlier_one_laid() -> None:
    unet = tiny_unet()
    before = unet(**batch()).sample
    Pack(host_of(unet), [trained_like(host_of(unet), 4, 8, settings=Training(targets="qkvo"))]).lay()
    assert not torch.equal(unet(**batch()).sample, before)
    Pack(host_of(unet), [NOTHING]).lay()
    assert torch.equal(unet(**batch()).sample, before)


def test_variants_of_one_seed_start_from_the_same_directions() -> None:
    host = host_of(tiny_unet())
    low = fresh_adapter(target_layers(host, Training(targets="qv_cross")), Variant(rank=2, alpha=1), 7)
    high = fresh_adapter(target_layers(host, TRAINING), Variant(rank=8, alpha=4), 7)
    for name, (down, _) in low.weights.items():
        assert torch.equal(down, high.weights[name][0][:2])
    other = fresh_adapter(target_layers(host, TRAINING), Variant(rank=8, alpha=4), 8)
    assert all(not torch.equal(down, other.weights[name][0]) for name, (down, _) in high.weights.items())


def test_targets_that_match_nothing_are_an_error_that_names_them() -> None:
    with pytest.raises(ValueError, match="to_nothing"):
        target_layers(host_of(tiny_unet()), Training(targets="to_nothing$"))


def test_adapter_of_another_base_names_the_layer_and_what_is_there() -> None:
    adapter = trained_like(host_of(tiny_unet()), 2, 4)
    name, (down, up) = next(iter(adapter.weights.items()))
    with pytest.raises(ValueError, match=rf"{name} of 5 → {up.shape[0]}.* was it trained on another base model"):
        Pack(host_of(tiny_unet()), [replace(adapter, weights={name: (down[:, :5], up)})])
    with pytest.raises(ValueError, match=r"unet\.nowhere\.to_q .* no such layer"):
        Pack(host_of(tiny_unet()), [replace(adapter, weights={"unet.nowhere.to_q": (down, up)})])


def test_a_rank_above_a_layers_width_is_refused_and_the_width_itself_is_not() -> None:
    layers = target_layers(host_of(tiny_unet()), TRAINING)  # the narrowest are 16 → 16
    refuse_rank(layers, Variant(rank=16, alpha=1))
    few = sum(16 in (layer.in_features, layer.out_features) for layer in layers.values())
    said = rf"r17_a1: rank 17 .* unet\.down_blocks\.0\S+ .*\(16 → 16, so at most 16; {few} of its {len(layers)} layers"
    with pytest.raises(ValueError, match=said):
        refuse_rank(layers, Variant(rank=17, alpha=1))
