"""blending.py: a blend changes every weight by the weighted sum of what its adapters change, to rounding."""

import pytest
import torch

from caplora.lora.adapter import NOTHING, Adapter, rescaled
from caplora.lora.blending import blend
from caplora.lora.merging import merge
from caplora.lora.pack import Pack
from caplora.models.base import parts_of
from caplora.study.training_settings import Training
from caplora.study.variants import Variant
from tests.lora.test_adapter_files import picture
from tests.tiny import host_of, tiny_pipeline, tiny_unet, trained_like


def test_a_blend_is_the_weighted_sum_layer_by_layer() -> None:
    """Of other ranks, scales and layers, one of them rank-stabilised."""
    host = host_of(tiny_unet())
    one = trained_like(host, 2, 8, seed=1)
    rs = Variant(rank=5, alpha=3, use_rslora=True)
    two = Adapter(rs, trained_like(host, 5, 3, seed=2, settings=Training(targets="qkvo_cross")).weights)
    blended = blend([one, two], [0.75, -0.5])
    assert blended.weights.keys() == one.weights.keys() | two.weights.keys()
    for layer in blended.weights:
        expected = sum(w * a.delta(layer) for a, w in ((one, 0.75), (two, -0.5)) if layer in a.weights)
        torch.testing.assert_close(blended.delta(layer), expected, rtol=0, atol=1e-6)
    assert {d.shape[0] for d, _ in blended.weights.values()} == {2, 5, 7} and blended.variant.scale == 1


def test_a_blend_of_convolutions_is_their_weighted_sum() -> None:
    def made(rank: int) -> Adapter:
        return Adapter(
            Variant(rank=rank, alpha=2 * rank),
            {"unet.conv_in": (torch.randn(rank, 4, 3, 3), torch.randn(8, rank, 1, 1))},
        )

    one, two = made(2), made(3)
    expected = one.delta("unet.conv_in") + 3 * two.delta("unet.conv_in")
    torch.testing.assert_close(blend([one, two], [1, 3]).delta("unet.conv_in"), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ones", [(False, True), (True, False)])
def test_a_layer_is_the_same_stored_as_a_1x1_convolution_or_as_a_matrix(ones: tuple[bool, bool]) -> None:
    layer, kernel = "unet.mid_block.attentions.0.proj_in", (1, 1)
    adapters = [
        Adapter(
            Variant(rank=r, alpha=2),
            {layer: (torch.randn(r, 6, *kernel[: 2 * c]), torch.randn(8, r, *kernel[: 2 * c]))},
        )
        for r, c in zip((2, 3), ones, strict=True)
    ]
    blended = blend(adapters, [2, -1])
    expected = 2 * adapters[0].delta(layer) - adapters[1].delta(layer)
    torch.testing.assert_close(blended.delta(layer), expected, rtol=1e-5, atol=1e-5)
    assert [tuple(matrix.shape) for matrix in blended.weights[layer]] == [(5, 6, 1, 1), (8, 5, 1, 1)]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_strength_that_is_not_finite_is_refused_by_its_value(bad: float) -> None:
    adapter = trained_like(parts_of(tiny_pipeline()), 2, 2)
    for multiplied in (
        lambda: blend([adapter, adapter], [1, bad]),
        lambda: rescaled(adapter, bad),
        lambda: merge(tiny_pipeline(), adapter, bad),
    ):
        with pytest.raises(ValueError, match=f"must be a finite number, got {bad}"):
            multiplied()


def test_a_blend_draws_what_both_laid_on_in_turn_draw() -> None:
    """The base carries one, its own weights the other."""
    one, two = (trained_like(parts_of(tiny_pipeline()), rank, 4, seed=rank) for rank in (2, 4))
    ours, theirs = tiny_pipeline(), tiny_pipeline()
    Pack(parts_of(ours), [blend([one, two], [1, 0.5])]).lay()
    merge(theirs, one)
    merge(theirs, two, 0.5)
    assert (picture(ours) - picture(theirs)).abs().max() <= 1 / 255


def test_a_blend_with_nothing_is_the_adapter() -> None:
    adapter = trained_like(host_of(tiny_unet()), 4, 4)
    for layer in adapter.weights:
        torch.testing.assert_close(blend([adapter, NOTHING], [1, 1]).delta(layer), adapter.delta(layer), rtol=0, atol=0)


def cross_attention(width: int) -> Adapter:
    layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    return Adapter(Variant(rank=1, alpha=1), {layer: (torch.ones(1, width), torch.ones(8, 1))})


def test_adapters_of_other_families_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Stable Diffusion 1 and Stable Diffusion XL fit no common base"):
        blend([cross_attention(2048), cross_attention(768)], [1, 1])
    with pytest.raises(ValueError, match=r"attn2\.to_k is \(24,\) → 8 and \(768,\) → 8 in the adapters"):
        blend([cross_attention(24), cross_attention(768)], [1, 1])
    with pytest.raises(ValueError, match=r"2 adapters and \[1\]"):
        blend([cross_attention(24)] * 2, [1])
