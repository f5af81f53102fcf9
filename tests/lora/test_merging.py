"""merging.py: a merged model is the base with its adapter, and what is taken out is what was put in."""

import pytest
import torch

from caplora.lora.adapter import Adapter
from caplora.lora.blending import blend
from caplora.lora.merging import extract, merge, resize
from caplora.lora.pack import Pack
from caplora.models.base import parts_of
from caplora.sampling.drawing import wear
from caplora.study.training_settings import Training
from caplora.study.variants import Variant
from tests.lora.test_adapter_files import picture
from tests.tiny import tiny_pipeline, trained_like

BOTH = Training(train_text_encoder=True, targets="qkvo")


def small(rank: int = 4, alpha: float = 8) -> Adapter:
    return trained_like(parts_of(tiny_pipeline()), rank, alpha, settings=BOTH)


def test_merged_model_draws_what_the_adapter_draws() -> None:
    live, merged = tiny_pipeline(), tiny_pipeline()
    Pack(parts_of(live), [small()]).lay()
    before = picture(merged)
    merge(merged, small())
    assert (picture(merged) - picture(live)).abs().max() <= 1 / 255
    assert (picture(merged) - before).abs().max() > 1e-4


def test_a_1x1_convolution_that_is_stored_as_a_matrix_is_drawn_in_16_bits_too() -> None:
    """A pack lies on linear layers alone, so it is the base's layer that decides, not how a file stores the adapter."""
    base, layer = tiny_pipeline(), "unet.mid_block.attentions.0.proj_in"
    base.unet.half()
    weight = base.unet.mid_block.attentions[0].proj_in.weight
    out, into = weight.shape[:2]
    adapter, own = (
        Adapter(Variant(rank=2, alpha=4), {layer: (torch.randn(2, into), torch.randn(out, 2))}),
        weight.clone(),
    )
    wear(base, [adapter]).lay()
    expected = own.double().flatten(1) + adapter.delta(layer)
    torch.testing.assert_close(weight.double().flatten(1), expected, rtol=1e-3, atol=1e-3)


def test_merging_and_taking_out_again_is_the_base() -> None:
    base, merged = tiny_pipeline(), tiny_pipeline()
    merge(merged, small(), 0.5)
    merge(merged, small(), -0.5)
    for a, b in zip(base.unet.parameters(), merged.unet.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_extracted_adapter_is_the_one_that_was_merged() -> None:
    base, merged, adapter = tiny_pipeline(), tiny_pipeline(), small()
    merge(merged, adapter)
    found = {layer: (weights, lost) for layer, weights, lost in extract(base, merged, 4)}
    assert found.keys() == adapter.weights.keys()
    extracted = Adapter(Variant(rank=4, alpha=4), {layer: weights for layer, (weights, _) in found.items()})
    for layer in found:
        torch.testing.assert_close(extracted.delta(layer), adapter.delta(layer), rtol=1e-3, atol=1e-5)
    assert max(lost for _, lost in found.values()) < 1e-4
    assert list(extract(base, tiny_pipeline(), 4)) == []


def test_resized_adapter_is_the_nearest_of_its_rank() -> None:
    adapter = small(8, 4)
    low, lost = resize(adapter, 3)
    shares = []
    for layer in adapter.weights:
        left = (adapter.delta(layer) - low.delta(layer)).norm() / adapter.delta(layer).norm()
        singular = torch.linalg.svdvals(adapter.delta(layer))
        assert left == pytest.approx(float(singular[3:].norm() / singular.norm()), abs=1e-5)
        shares.append(float(left))
    assert lost == pytest.approx(max(shares), abs=1e-5) and low.variant == Variant(rank=3, alpha=3)
    with pytest.raises(ValueError, match="below the adapter's own, 8, got 8"):
        resize(adapter, 8)


def test_merging_into_another_model_names_the_layer() -> None:
    adapter = small()
    name, (down, up) = next(iter(adapter.weights.items()))
    with pytest.raises(ValueError, match=r"no layer unet\.elsewhere\.to_q"):
        merge(tiny_pipeline(), Adapter(adapter.variant, {"unet.elsewhere.to_q": (down, up)}))
    with pytest.raises(ValueError, match=rf"{name} is .* in the model"):
        merge(tiny_pipeline(), Adapter(adapter.variant, {name: (down[:, :3], up)}))


def test_a_layer_of_a_lower_rank_keeps_it_when_the_others_are_resized() -> None:
    host = parts_of(tiny_pipeline())
    mixed = blend([trained_like(host, 6, 6, settings=Training(targets="qv_cross")), trained_like(host, 2, 2)], [1, 1])
    low, _ = resize(mixed, 4)
    assert {down.shape[0] for down, _ in mixed.weights.values()} == {2, 8}
    for layer, (down, _) in mixed.weights.items():
        assert low.weights[layer][0].shape[0] == min(4, down.shape[0])
        if down.shape[0] == 2:
            torch.testing.assert_close(low.delta(layer), mixed.delta(layer), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rank", [0, -1, 65])
def test_extracting_a_rank_that_no_layer_can_use_is_refused(rank: int) -> None:
    """The widest layer of the tiny base is the second of its time embedding, 64 → 64."""
    with pytest.raises(ValueError, match=rf"rank must be 1 to 64, .* got {rank}"):
        list(extract(tiny_pipeline(), tiny_pipeline(), rank))
    with pytest.raises(ValueError, match=r"at least 1 and below the adapter's own, 4, got"):
        resize(small(), min(rank, 4) if rank > 0 else rank)


def test_a_model_that_is_not_finite_gives_no_adapter() -> None:
    base, tuned = tiny_pipeline(), tiny_pipeline()
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_k"
    tuned.unet.get_submodule(name).weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=rf"unet\.{name} is NaN or infinite"):
        list(extract(base, tuned, 4))
