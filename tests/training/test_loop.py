"""loop.py, states.py: each variant gets exactly the training that it would get alone, whatever interrupts it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import jaxtyping
import pytest
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from torch._dynamo.utils import counters

from caplora.lora.adapter import Adapter, fresh_adapter
from caplora.lora.layers import linear_layers, target_layers
from caplora.lora.pack import Pack
from caplora.models.base import parts_of
from caplora.models.memory import bytes_kept
from caplora.study.training_settings import Prior, Training
from caplora.study.variants import TARGETS, Variant
from caplora.training.checkpoints import Checkpoints
from caplora.training.draws import draw_micro_batch
from caplora.training.inputs import Inputs
from caplora.training.loop import REPORTED, Run, Step, train
from tests.tiny import captioned_inputs, noise_scheduler, tiny_inputs, tiny_pipeline, tiny_unet

SETTINGS = Training(steps=6, batch_size=2, learning_rate=1e-2, checkpointing_steps=2)
GENTLE = SETTINGS.model_copy(update={"steps": 20, "learning_rate": 1e-3, "checkpointing_steps": 20})
NINE = [Variant(rank=r, alpha=a * r) for r in (2, 5, 16) for a in (0.5, 1, 2)]


def new_pack(pipeline: StableDiffusionPipeline, variants: Sequence[Variant], settings: Training = SETTINGS) -> Pack:
    host, own = parts_of(pipeline), [settings.of(variant) for variant in variants]
    return Pack(host, [fresh_adapter(target_layers(host, o), v, o.seed) for v, o in zip(variants, own, strict=True)])


def steps_of(
    variants: Sequence[Variant],
    folder: Path,
    settings: Training = SETTINGS,
    inputs: Inputs | None = None,
    held_out: Inputs | None = None,
    pack: Pack | None = None,
    pipeline: StableDiffusionPipeline | None = None,
) -> Iterator[Step]:
    pipeline = pipeline or tiny_pipeline()
    pack = pack or new_pack(pipeline, variants, settings)
    places = [Checkpoints(folder / variant.name) for variant in variants]
    return train(pipeline, pack, inputs or tiny_inputs(), settings, places, held_out)


def run(
    variants: Sequence[Variant],
    folder: Path,
    settings: Training = SETTINGS,
    steps: int | None = None,
    inputs: Inputs | None = None,
    held_out: Inputs | None = None,
) -> list[Adapter]:
    """Train, stopping as if killed after `steps` if given; the adapters."""
    pipeline = tiny_pipeline()
    pack = new_pack(pipeline, variants, settings)
    for step in steps_of(variants, folder, settings, inputs, held_out, pack, pipeline):
        if step.number == steps:
            break
    return pack.adapters()


def losses_of(folder: Path, variant: Variant) -> torch.Tensor:
    place = Checkpoints(folder / variant.name)
    return place.read(place.steps()[-1])["losses"]


def flat(adapter: Adapter) -> torch.Tensor:
    return torch.cat([w.flatten() for _, pair in sorted(adapter.weights.items()) for w in pair])


def distance(a: Adapter, b: Adapter) -> float:
    """Relative."""
    return float((flat(a) - flat(b)).norm() / flat(b).norm())


R4 = Variant(rank=4, alpha=8)
R8 = Variant(rank=8, alpha=8)


@pytest.mark.parametrize(
    "variant", [Variant(rank=4, alpha=4), Variant(rank=4, alpha=16), Variant(rank=8, alpha=2, use_rslora=True)]
)
def test_pack_of_one_equals_peft_with_a_plain_loop(variant: Variant, tmp_path: Path) -> None:
    settings = GENTLE.model_copy(update={"steps": 50})
    [ours] = run([variant], tmp_path, settings)
    unet, inputs = tiny_unet(), tiny_inputs()
    names = list(linear_layers(unet, TARGETS["qv"]))
    start = fresh_adapter(target_layers(parts_of(tiny_pipeline()), settings), variant, 0)
    config = LoraConfig(r=variant.rank, lora_alpha=variant.alpha, use_rslora=variant.use_rslora, target_modules=names)
    unet.add_adapter(config)
    for name, (down, _) in start.weights.items():
        unet.get_submodule(name.removeprefix("unet.")).lora_A["default"].weight.data.copy_(down)
    weights = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=1e-2)
    losses = []
    for step in range(50):
        d = draw_micro_batch(settings, inputs, step, 0, 1, 1000)
        mean, log_variance = inputs.moments[d.images, 0].chunk(2, 1)
        latents = tiny_pipeline().vae.config.scaling_factor * (mean + (0.5 * log_variance).exp() * d.posterior)
        eps = unet(noise_scheduler().add_noise(latents, d.noise, d.t), d.t, inputs.texts[d.images]).sample
        loss = F.mse_loss(eps, d.noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    torch.testing.assert_close(losses_of(tmp_path, variant), torch.tensor(losses).double(), rtol=1e-6, atol=0)
    layers = [unet.get_submodule(name) for name in names]
    theirs = [(la.lora_A["default"].weight.data, la.lora_B["default"].weight.data) for la in layers]
    learned = Adapter(variant, dict(zip(ours.weights, theirs, strict=True)))
    assert distance(ours, learned) < 1e-6
    assert distance(ours, start) > 1e-2


def test_variant_in_a_pack_of_nine_equals_itself_alone(tmp_path: Path) -> None:
    together = run(NINE, tmp_path / "pack", GENTLE)
    for variant, adapter in zip(NINE, together, strict=True):
        [alone] = run([variant], tmp_path / "alone", GENTLE)
        assert distance(adapter, alone) < 1e-5
        losses = losses_of(tmp_path / "alone", variant)
        torch.testing.assert_close(losses_of(tmp_path / "pack", variant), losses, rtol=1e-5, atol=0)


def test_variants_that_differ_in_everything_equal_themselves_alone(tmp_path: Path) -> None:
    variants = [
        R4,
        Variant(rank=4, alpha=8, learning_rate=3e-3),
        Variant(rank=8, alpha=4, seed=5),
        Variant(rank=2, alpha=2, targets="qkvo", use_rslora=True),
        Variant(rank=4, alpha=8, targets="qv_cross", seed=1),
    ]
    together = run(variants, tmp_path / "pack", GENTLE)
    alone = [run([variant], tmp_path / "alone", GENTLE)[0] for variant in variants]
    assert all(distance(a, b) < 1e-5 for a, b in zip(together, alone, strict=True))
    assert all(a.weights.keys() == b.weights.keys() for a, b in zip(together, alone, strict=True))
    assert distance(together[0], together[1]) > 1e-2


def test_padding_stays_exactly_zero(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    variants = [Variant(rank=2, alpha=4), Variant(rank=8, alpha=4, targets="qkvo")]
    pack = new_pack(pipeline, variants)
    for _ in steps_of(variants, tmp_path, pack=pack, pipeline=pipeline):
        pass
    for name, layer in zip(pack.shapes, pack._layers, strict=True):
        own = 2 if name.endswith(("to_q", "to_v")) else 0
        assert layer.down is not None and layer.up is not None
        assert not layer.down[0, own:].any() and not layer.up[0, :, own:].any()
        assert layer.down[0, :own].any() == layer.up[0, :, :own].any() == bool(own)
        assert layer.down[1].any() and layer.up[1].any()


@pytest.mark.fault(20)
@pytest.mark.parametrize("killed_after", [1, 2, 3, 5])
def test_resumed_training_is_byte_identical(killed_after: int, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"lr_scheduler": "cosine", "lr_warmup_steps": 2, "caption_dropout": 0.3})
    whole = run([R4, R8], tmp_path / "whole", settings)
    run([R4, R8], tmp_path / "cut", settings, steps=killed_after)
    resumed = run([R4, R8], tmp_path / "cut", settings)
    assert all(torch.equal(flat(a), flat(b)) for a, b in zip(whole, resumed, strict=True))
    assert torch.equal(losses_of(tmp_path / "whole", R4), losses_of(tmp_path / "cut", R4))


def test_resume_takes_the_last_step_that_every_variant_has(tmp_path: Path) -> None:
    whole = run([R4, R8], tmp_path / "whole")
    run([R4, R8], tmp_path / "cut", steps=4)
    Checkpoints(tmp_path / "cut" / R8.name).remove(4)
    run([R4, R8], tmp_path / "old", steps=2)
    (tmp_path / "old" / R8.name / "step_000002").rename(tmp_path / "cut" / R8.name / "step_000002")
    (tmp_path / "old" / R4.name / "step_000002").rename(tmp_path / "cut" / R4.name / "step_000002")
    assert next(steps_of([R4, R8], tmp_path / "cut")).number == 3
    assert all(torch.equal(flat(a), flat(b)) for a, b in zip(whole, run([R4, R8], tmp_path / "cut"), strict=True))


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    [first] = run([R4], tmp_path)
    assert list(steps_of([R4], tmp_path)) == []
    [second] = run([R4], tmp_path)
    assert torch.equal(flat(first), flat(second))


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    run([R8], tmp_path, SETTINGS.model_copy(update={"steps": 60}))
    losses = losses_of(tmp_path, R8)
    assert losses[-20:].mean() < losses[:20].mean()


def test_two_micro_batches_equal_one_batch_of_both(tmp_path: Path) -> None:
    [one] = run([R4], tmp_path / "one", SETTINGS.model_copy(update={"batch_size": 4}))
    [two] = run([R4], tmp_path / "two", SETTINGS.model_copy(update={"gradient_accumulation_steps": 2}))
    assert distance(two, one) < 1e-3
    torch.testing.assert_close(losses_of(tmp_path / "one", R4), losses_of(tmp_path / "two", R4), rtol=1e-4, atol=0)


def test_validation_is_the_same_measurement_at_every_step(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"validation_steps": 2, "learning_rate": 1e-12})
    steps = list(steps_of([R4, R8], tmp_path, settings, held_out=tiny_inputs(3, seed=9)))
    measured = [step.validation for step in steps if step.validation]
    assert [bool(step.validation) for step in steps] == [False, True] * 3
    values = [value for each in measured for value in each.values()]
    assert values == pytest.approx([values[0]] * 6, rel=1e-6)
    other = next(s for s in steps_of([R4], tmp_path / "b", settings, held_out=tiny_inputs(3, seed=8)) if s.validation)
    assert other.validation[R4.name] != pytest.approx(values[0], rel=1e-3)


def test_best_checkpoint_by_validation_is_kept(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"steps": 12, "validation_steps": 1, "learning_rate": 0.3})
    run([R8], tmp_path, settings, held_out=tiny_inputs(3, seed=9))
    place = Checkpoints(tmp_path / R8.name)
    validation = {int(k): v for k, v in place.manifest(12)["validation"].items()}
    best = min(validation, key=lambda step: validation[step])
    assert best < 12, "a rate this large must overshoot for the test to say anything"
    assert place.steps() == [best, 12]


def not_finite_in_the_first(gradient: torch.Tensor) -> torch.Tensor:
    return torch.cat([gradient[:1] * float("nan"), gradient[1:]])


@pytest.mark.fault(1)
def test_variant_that_is_not_finite_stops_and_the_others_go_on(tmp_path: Path) -> None:
    alone = run([R8], tmp_path / "alone")[0]
    pipeline = tiny_pipeline()
    pack = new_pack(pipeline, [R4, R8])
    steps = steps_of([R4, R8], tmp_path / "pack", pack=pack, pipeline=pipeline)
    for _ in range(3):
        next(steps)
    hook = pack.parts[0].register_hook(not_finite_in_the_first)
    stopped = next(steps)
    hook.remove()
    last = list(steps)[-1]
    assert stopped.stopped.keys() == last.stopped.keys() == {R4.name}
    assert [step for step, name, _ in last.losses if name == R4.name] == []
    assert "gradient of r4_a8 is nan at step 4" in last.stopped[R4.name] and "step 3" in last.stopped[R4.name]
    r4, r8 = pack.adapters()
    assert distance(r8, alone) < 1e-4
    [after_three] = run([R4], tmp_path / "three", steps=3)
    assert distance(r4, after_three) < 1e-4
    resumed = run([R4, R8], tmp_path / "pack")
    assert torch.equal(flat(resumed[0]), flat(r4))


@pytest.mark.fault(1)
@pytest.mark.parametrize("injected", ["nan", "inf"])
def test_when_no_variant_is_left_training_ends_and_the_step_is_kept(injected: str, tmp_path: Path) -> None:
    inputs, settings = tiny_inputs(), SETTINGS.model_copy(update={"steps": 40, "checkpointing_steps": 40})
    steps = steps_of([R4], tmp_path, settings, inputs=inputs)
    next(steps), next(steps)
    inputs.texts.fill_(float(injected))
    last = list(steps)[-1]
    assert last.number == REPORTED + 1 and last.stopped == {
        "r4_a8": "the loss of r4_a8 is nan at step 3: lower its learning_rate; its weights of step 1 are kept"
    }
    assert Checkpoints(tmp_path / R4.name).steps() == [last.number] and len(losses_of(tmp_path, R4)) == 2


@pytest.mark.fault(27)
def test_out_of_memory_names_the_settings_changes_none_and_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed, real = [], Run.accumulate

    def full(self: Run, *drawn: torch.Tensor) -> torch.Tensor:
        passed.append(len(drawn[0]))
        if len(passed) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, *drawn)

    whole = run([R4, R8], tmp_path / "whole")
    monkeypatch.setattr(Run, "accumulate", full)
    with pytest.raises(torch.OutOfMemoryError, match=r"a step of 2 variants .*set training\.gradient_checkpointing"):
        run([R4, R8], tmp_path / "cut")
    assert passed == [4] * 4, "batches of two images for each of two variants, the one that failed too, and no other"
    monkeypatch.undo()
    assert Checkpoints(tmp_path / "cut" / R4.name).steps() == [2]
    resumed = run([R4, R8], tmp_path / "cut")
    assert all(torch.equal(flat(a), flat(b)) for a, b in zip(whole, resumed, strict=True))


@pytest.mark.parametrize("at_once", [1, 2, 3, 7])
def test_images_passed_in_parts_train_to_what_all_at_once_do(at_once: int, tmp_path: Path) -> None:
    whole = GENTLE.model_copy(update={"batch_size": 4, "gradient_accumulation_steps": 2, "steps": 8})
    parts = whole.model_copy(update={"images_at_once": at_once})
    variants = [R4, R8]
    together, apart = run(variants, tmp_path / "whole", whole), run(variants, tmp_path / "parts", parts)
    for one, other in zip(together, apart, strict=True):
        assert distance(other, one) < 1e-5
    for variant in variants:
        losses = [losses_of(tmp_path / way, variant) for way in ("whole", "parts")]
        torch.testing.assert_close(*losses, rtol=1e-5, atol=0)


def test_gradient_checkpointing_keeps_less_and_changes_nothing(tmp_path: Path) -> None:
    thrifty = SETTINGS.model_copy(update={"gradient_checkpointing": True})
    pipeline = tiny_pipeline()
    kept = []
    for settings in (SETTINGS, thrifty, SETTINGS):
        run_of = Run(pipeline, new_pack(pipeline, [R4]), tiny_inputs(), settings, [])
        kept.append(bytes_kept(lambda r=run_of: r.variant_losses(r.draw(0)).sum(), pipeline.unet))
    assert kept[1] < kept[0] / 2 and kept[0] == kept[2]
    [plain] = run([R4], tmp_path / "a")
    [other] = run([R4], tmp_path / "b", thrifty)
    assert distance(other, plain) < 1e-6


def test_text_encoder_is_trained_with_the_unet(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    ids = torch.randint(300, (5, 77), generator=torch.Generator().manual_seed(0))
    inputs = replace(tiny_inputs(), texts=ids, empty=ids[0] * 0)
    settings = SETTINGS.model_copy(update={"train_text_encoder": True})
    together = run([R4, R8], tmp_path, settings, inputs=inputs)
    [alone] = run([R8], tmp_path / "alone", settings, inputs=inputs)
    assert distance(together[1], alone) < 1e-5
    moved = {name: up.abs().max() > 0 for name, (_, up) in alone.weights.items()}
    assert all(moved.values()) and sum(name.startswith("text_encoder.") for name in moved) == 8
    assert next(pipeline.text_encoder.parameters()).grad is None


def test_class_images_are_seen_beside_the_others_with_their_weight(tmp_path: Path) -> None:
    inputs = tiny_inputs().with_class_images(tiny_inputs(3, seed=4))
    prior = SETTINGS.model_copy(update={"prior": Prior(prompt="a face", weight=0.5)})
    d = draw_micro_batch(prior, inputs, 0, 0, 1, 1000)
    assert (d.images[:2] < 5).all() and (d.images[2:] >= 5).all() and d.weights.tolist() == [1, 1, 0.5, 0.5]
    run([R4], tmp_path / "prior", prior, inputs=inputs)
    run([R4], tmp_path / "plain", inputs=inputs)
    assert losses_of(tmp_path / "prior", R4)[0] > losses_of(tmp_path / "plain", R4)[0] * 1.2


def test_compiled_unet_is_one_graph_that_is_made_once_and_trains_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = partial(torch.compile, backend="aot_eager")  # what inductor makes code of; that takes minutes
    monkeypatch.setattr(torch, "compile", traced)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the tests' checks of shapes cannot be traced
    torch._dynamo.reset()
    counters.clear()
    held_out, settings = tiny_inputs(3, seed=9), SETTINGS.model_copy(update={"validation_steps": 2})
    eager = run([R4, R8], tmp_path / "a", settings, held_out=held_out)
    compiled = run([R4, R8], tmp_path / "b", settings.model_copy(update={"compile": True}), held_out=held_out)
    assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"] and not counters["recompiles"]
    assert all(distance(one, other) < 1e-4 for one, other in zip(compiled, eager, strict=True))
    torch.testing.assert_close(losses_of(tmp_path / "a", R8), losses_of(tmp_path / "b", R8), rtol=1e-4, atol=0)


def test_losses_are_reported_now_and_then_and_none_is_left_out(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"steps": 25, "checkpointing_steps": 100, "learning_rate": 1e-3})
    steps = list(steps_of([R4, R8], tmp_path, settings))
    assert [step.number for step in steps if step.losses] == [REPORTED + 1, 2 * REPORTED + 1, 25]
    told = [(number, loss) for step in steps for number, name, loss in step.losses if name == R8.name]
    assert [number for number, _ in told] == list(range(1, 26))
    assert [loss for _, loss in told] == losses_of(tmp_path, R8).tolist()


def test_a_step_reads_nothing_back_from_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reports; what a draw is made of is on the host and may be looked at."""
    pipeline = tiny_pipeline()
    of_pack = Run(pipeline, new_pack(pipeline, [R4, R8]), tiny_inputs(), SETTINGS, [])
    drawn = of_pack.draw(0)
    monkeypatch.setattr(of_pack, "draw", lambda number: drawn)
    of_pack.optimise(0)

    def refused(self: torch.Tensor, *args: object) -> None:
        raise AssertionError("a number was read back from the device")

    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "__index__", "cpu", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, refused)
    of_pack.optimise(1)


def test_batch_that_processes_cannot_share_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caplora.training.loop.Accelerator.num_processes", 3)
    with pytest.raises(ValueError, match=r"training\.batch_size: 2 images cannot be shared by 3 processes"):
        next(steps_of([R4], tmp_path))


CAPTIONED = [R4, *(Variant(rank=4, alpha=8, captions=kind) for kind in ("none", "shuffled"))]


@pytest.mark.parametrize("trained_text", [False, True], ids=["texts", "tokens"])
def test_variant_on_the_ledgers_captions_is_the_same_beside_others(trained_text: bool, tmp_path: Path) -> None:
    """Alone to the byte, whatever other captions lie beside its own; in a pack with those to rounding."""
    inputs, settings = tiny_inputs(), GENTLE.model_copy(update={"train_text_encoder": trained_text, "steps": 6})
    if trained_text:
        ids = torch.randint(300, (5, 77), generator=torch.Generator().manual_seed(0))
        inputs = replace(inputs, texts=ids, empty=ids[0] * 0)
    beside = captioned_inputs(inputs, "none", "shuffled")
    [before] = run([R4], tmp_path / "before", settings, inputs=inputs)
    [after] = run([R4], tmp_path / "after", settings, inputs=beside)
    assert torch.equal(flat(before), flat(after))
    pack = run(CAPTIONED, tmp_path / "pack", settings, inputs=beside)
    assert distance(pack[0], before) < 1e-5
    assert min(distance(pack[1], before), distance(pack[2], before), distance(pack[1], pack[2])) > 1e-3


def test_each_arm_of_an_ablation_is_the_training_on_its_captions_alone(tmp_path: Path) -> None:
    inputs = captioned_inputs(tiny_inputs(), "none", "shuffled")
    pack = run(CAPTIONED, tmp_path / "pack", GENTLE, inputs=inputs)
    for number, arm in enumerate(pack):
        only = replace(inputs, texts=inputs.texts[5 * number : 5 * number + 5], others={})
        [alone] = run([R4], tmp_path / f"alone{number}", GENTLE, inputs=only)
        assert distance(arm, alone) < 1e-5


def test_arms_of_an_ablation_are_validated_by_the_ledgers_captions(tmp_path: Path) -> None:
    """At a rate that moves nothing, arms on other captions measure the same."""
    settings = SETTINGS.model_copy(update={"validation_steps": 6, "learning_rate": 1e-12})
    inputs = captioned_inputs(tiny_inputs(), "none", "shuffled")
    *_, last = steps_of(CAPTIONED, tmp_path, settings, inputs, held_out=tiny_inputs(3, seed=9))
    assert list(last.validation.values()) == pytest.approx([last.validation[R4.name]] * 3, rel=1e-6)
    losses = {name: loss for _, name, loss in last.losses}
    assert losses[R4.name] != pytest.approx(losses["r4_a8_none"], rel=1e-6)


def test_arms_of_an_ablation_see_the_same_class_images(tmp_path: Path) -> None:
    prior = SETTINGS.model_copy(update={"prior": Prior(prompt="a face"), "steps": 2})
    inputs = captioned_inputs(tiny_inputs(), "shuffled").with_class_images(tiny_inputs(3, seed=4))
    pack = new_pack(tiny_pipeline(), CAPTIONED[::2], prior)
    drawn = Run(tiny_pipeline(), pack, inputs, prior, []).draw(0)
    texts = inputs.texts[drawn.texts].view(2, 4, 7, 24)  # variants, own and class images
    assert torch.equal(texts[0, 2:], texts[1, 2:]) and not torch.equal(texts[0, :2], texts[1, :2])
