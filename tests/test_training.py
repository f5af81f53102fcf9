"""training.py: each variant gets exactly the training that it would get alone, whatever interrupts it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig

from caplora.dataset import Inputs
from caplora.lora import Adapter, Pack, fresh_adapter, target_layers
from caplora.study import Training, Variant
from caplora.training import draw, draws_of_step, image_at, losses_of, train, training_key
from tests.tiny import noise_scheduler, tiny_inputs, tiny_unet

SETTINGS = Training(steps=6, batch_size=2, learning_rate=1e-2, checkpointing_steps=2)
SCALE = 0.5


def run(
    variants: list[tuple[int, float]],
    folder: Path,
    settings: Training = SETTINGS,
    steps: int | None = None,
    inputs: Inputs | None = None,
) -> list[Adapter]:
    """Train, stopping as if killed after `steps` if given; the adapters."""
    unet = tiny_unet()
    layers = target_layers(unet)
    pack = Pack(unet, [fresh_adapter(layers, Variant(rank=r, alpha=a), settings.seed) for r, a in variants])
    for step in train(unet, pack, inputs or tiny_inputs(), noise_scheduler(), settings, SCALE, folder):
        if step.number == steps:
            break
    return [a for a in pack.adapters() if a]


def assert_same(a: Adapter, b: Adapter, rtol: float) -> None:
    x, y = (torch.cat([w.flatten() for pair in adapter.weights.values() for w in pair]) for adapter in (a, b))
    assert (x - y).norm() <= rtol * y.norm()


@pytest.mark.parametrize(("rank", "alpha"), [(4, 4.0), (4, 16.0), (8, 2.0)])
def test_pack_of_one_equals_peft_with_a_plain_loop(rank: int, alpha: float, tmp_path: Path) -> None:
    [ours] = run([(rank, alpha)], tmp_path)
    unet, inputs = tiny_unet(), tiny_inputs()
    start = fresh_adapter(target_layers(unet), Variant(rank=rank, alpha=alpha), 0)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(target_layers(tiny_unet()))))
    for name, (down, _) in start.weights.items():
        unet.get_submodule(name).lora_A["default"].weight.data.copy_(down)
    weights = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-2, weight_decay=1e-2)
    losses = []
    for step in range(6):
        [d] = draws_of_step(step, inputs, SETTINGS, 1000)
        mean, log_variance = inputs.moments[d.images].chunk(2, 1)
        latents = SCALE * (mean + (0.5 * log_variance).exp() * d.posterior)
        eps = unet(noise_scheduler().add_noise(latents, d.noise, d.t), d.t, inputs.texts[d.images]).sample
        loss = F.mse_loss(eps, d.noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    torch.testing.assert_close(losses_of(tmp_path)[0][:, 0], torch.tensor(losses), rtol=1e-5, atol=0)
    for name, (down, up) in ours.weights.items():
        layer = unet.get_submodule(name)
        torch.testing.assert_close(down, layer.lora_A["default"].weight.data, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(up, layer.lora_B["default"].weight.data, rtol=1e-4, atol=1e-5)


def test_variant_in_a_mixed_pack_equals_itself_alone(tmp_path: Path) -> None:
    together = run([(4, 8.0), (16, 16.0), (2, 1.0)], tmp_path / "pack")
    for i, variant in enumerate([(4, 8.0), (16, 16.0), (2, 1.0)]):
        [alone] = run([variant], tmp_path / str(i))
        assert_same(together[i], alone, 1e-5)


def test_padding_stays_exactly_zero(tmp_path: Path) -> None:
    unet = tiny_unet()
    layers = target_layers(unet)
    pack = Pack(unet, [fresh_adapter(layers, Variant(rank=r, alpha=4.0), 0) for r in (2, 8)])
    for _ in train(unet, pack, tiny_inputs(), noise_scheduler(), SETTINGS, SCALE, tmp_path):
        pass
    pack.lay()
    for layer in pack._layers:
        assert layer.down is not None and layer.up is not None
        assert not layer.down[0, 2:].any() and not layer.up[0, :, 2:].any()
        assert layer.down[0, :2].any() and layer.up[0, :, :2].any()


@pytest.mark.parametrize("killed_after", [1, 2, 3, 5])
def test_resumed_training_is_byte_identical(killed_after: int, tmp_path: Path) -> None:
    whole = run([(4, 8.0), (8, 8.0)], tmp_path / "whole")
    run([(4, 8.0), (8, 8.0)], tmp_path / "cut", steps=killed_after)
    resumed = run([(4, 8.0), (8, 8.0)], tmp_path / "cut")
    for a, b in zip(whole, resumed, strict=True):
        for name in a.weights:
            assert torch.equal(a.weights[name][0], b.weights[name][0])
            assert torch.equal(a.weights[name][1], b.weights[name][1])
    assert torch.equal(losses_of(tmp_path / "whole")[0], losses_of(tmp_path / "cut")[0])


def test_resumed_schedule_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"lr_scheduler": "cosine", "lr_warmup_steps": 2})
    [whole] = run([(4, 8.0)], tmp_path / "whole", settings)
    run([(4, 8.0)], tmp_path / "cut", settings, steps=3)
    [resumed] = run([(4, 8.0)], tmp_path / "cut", settings)
    assert_same(resumed, whole, 0.0)


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    [first] = run([(4, 8.0)], tmp_path)
    written = (tmp_path / "state.safetensors").stat().st_mtime_ns
    [second] = run([(4, 8.0)], tmp_path)
    assert_same(first, second, 0.0)
    assert (tmp_path / "state.safetensors").stat().st_mtime_ns == written


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    run([(8, 8.0)], tmp_path, SETTINGS.model_copy(update={"steps": 60}))
    losses = losses_of(tmp_path)[0][:, 0]
    assert losses[-20:].mean() < losses[:20].mean()


def test_two_micro_batches_equal_one_batch_of_both(tmp_path: Path) -> None:
    [one] = run([(4, 8.0)], tmp_path / "one", SETTINGS.model_copy(update={"batch_size": 4}))
    [two] = run([(4, 8.0)], tmp_path / "two", SETTINGS.model_copy(update={"gradient_accumulation_steps": 2}))
    assert_same(two, one, 1e-3)


def test_draw_of_a_sample_does_not_depend_on_its_batch() -> None:
    both = draw(3, 10, 2, 5, (4, 8, 8), 1000)
    second = draw(3, 11, 1, 5, (4, 8, 8), 1000)
    assert torch.equal(both.noise[1], second.noise[0]) and torch.equal(both.t[1:], second.t)
    assert not torch.equal(both.noise[0], both.noise[1])
    assert not torch.equal(second.noise, draw(4, 11, 1, 5, (4, 8, 8), 1000).noise)


def test_every_epoch_shows_every_image_once() -> None:
    epochs = [[image_at(0, epoch * 7 + i, 7) for i in range(7)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_full_caption_dropout_sees_only_the_empty_caption(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"caption_dropout": 1.0})
    inputs = tiny_inputs()
    empty = replace(inputs, texts=inputs.empty.expand_as(inputs.texts))
    [dropped] = run([(4, 8.0)], tmp_path / "a", settings)
    [never_captioned] = run([(4, 8.0)], tmp_path / "b", inputs=empty)
    [kept] = run([(4, 8.0)], tmp_path / "c")
    assert_same(dropped, never_captioned, 0.0)
    with pytest.raises(AssertionError):
        assert_same(dropped, kept, 1e-3)


def test_the_same_pack_trained_again_without_a_checkpoint_begins_anew(tmp_path: Path) -> None:
    unet = tiny_unet()
    pack = Pack(unet, [fresh_adapter(target_layers(unet), Variant(rank=4, alpha=8.0), 0)])
    first = train(unet, pack, tiny_inputs(), noise_scheduler(), SETTINGS, SCALE, tmp_path / "a")
    next(first)  # interrupted before anything was kept
    for _ in train(unet, pack, tiny_inputs(), noise_scheduler(), SETTINGS, SCALE, tmp_path / "a"):
        pass
    [anew] = run([(4, 8.0)], tmp_path / "b")
    [again] = [a for a in pack.adapters() if a]
    assert_same(again, anew, 0.0)


def test_gradient_that_is_not_finite_stops_before_it_reaches_the_weights(tmp_path: Path) -> None:
    unet = tiny_unet()
    pack = Pack(unet, [fresh_adapter(target_layers(unet), Variant(rank=4, alpha=8.0), 0)])
    steps = train(unet, pack, tiny_inputs(), noise_scheduler(), SETTINGS, SCALE, tmp_path)
    next(steps), next(steps)
    pack.flat[0].register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(FloatingPointError, match=r"the gradient of r4_a8 is .* at step 3"):
        next(steps)
    assert torch.isfinite(pack.flat[0]).all()


def test_loss_that_is_not_finite_names_the_variant_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    unet, inputs = tiny_unet(), tiny_inputs()
    pack = Pack(unet, [fresh_adapter(target_layers(unet), Variant(rank=4, alpha=8.0), 0)])
    steps = train(unet, pack, inputs, noise_scheduler(), SETTINGS, SCALE, tmp_path)
    next(steps), next(steps)
    kept = (tmp_path / "state.safetensors").read_bytes()
    inputs.texts.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"r4_a8 is nan at step 3"):
        next(steps)
    assert (tmp_path / "state.safetensors").read_bytes() == kept


def test_a_change_of_anything_is_another_training() -> None:
    unet = tiny_unet()
    layers = target_layers(unet)

    def key(settings: Training = SETTINGS, rank: int = 4, inputs_seed: int = 0, base: str = "b") -> str:
        pack = Pack(unet, [fresh_adapter(layers, Variant(rank=rank, alpha=4.0), 0)])
        return training_key(settings, pack, tiny_inputs(seed=inputs_seed), base)

    other = SETTINGS.model_copy(update={"learning_rate": 2e-2})
    assert len({key(), key(other), key(rank=8), key(inputs_seed=1), key(base="c")}) == 5
    assert key() == key(SETTINGS.model_copy(update={"checkpointing_steps": 50}))
