"""prompts.py: what is read of a prompt is made once, and what is drawn with it is the same to the bit."""

from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from caplora.lora.adapter import NOTHING
from caplora.lora.pack import Pack
from caplora.models.base import parts_of
from caplora.models.family import Pipeline
from caplora.models.texts import text_encoders
from caplora.sampling.arms import Arm
from caplora.sampling.drawing import draw_batch
from caplora.sampling.jobs import Drawing, plan_jobs, sample
from caplora.sampling.prompts import Kept, Texts, answering, text_layers, texts_of_arms
from caplora.sampling.samples import wanted_samples
from caplora.study.sampling_settings import Sampling
from caplora.study.training_settings import Training
from tests.tiny import FAMILIES, tiny_pipeline, trained_like

SETTINGS = Sampling(
    development=("an ink drawing of a woman",),
    test=("an ink drawing of a man, smiling", "a photo"),
    seeds=(0, 5),
    num_inference_steps=3,
    guidance_scale=3.0,
    batch_size=4,
)
PROMPTS = list(SETTINGS.test)


def calls(monkeypatch: pytest.MonkeyPatch, layers: list[nn.Module]) -> list[nn.Module]:
    """A list that grows with each time that one of the layers computes something."""
    made: list[nn.Module] = []
    real = nn.Linear.forward

    def counted(layer: nn.Linear, x: Tensor) -> Tensor:
        if any(layer is own for own in layers):
            made.append(layer)
        return real(layer, x)

    monkeypatch.setattr(nn.Linear, "forward", counted)
    return made


@pytest.mark.parametrize("targets", ["qv", "qkvo", "qv_cross"])
@pytest.mark.parametrize("family", FAMILIES)
def test_kept_keys_and_values_draw_to_the_bit_what_computing_them_at_each_step_draws(
    family: str, targets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline: Pipeline = FAMILIES[family]()
    host, settings = parts_of(pipeline), Training(targets=targets)
    Pack(host, [NOTHING, *(trained_like(host, 4, 8, seed, settings) for seed in (0, 1))]).lay()
    kept = draw_batch(pipeline, 3, PROMPTS, [0, 5], SETTINGS)
    monkeypatch.setattr("caplora.sampling.drawing.answering", lambda *_: nullcontext())
    assert torch.equal(kept, draw_batch(pipeline, 3, PROMPTS, [0, 5], SETTINGS))
    assert (kept[1] - kept[0]).abs().max() > 1e-3  # the adapters say something


def test_keys_and_values_are_computed_once_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = tiny_pipeline()
    layers = text_layers(pipeline.unet)
    made = calls(monkeypatch, layers)
    draw_batch(pipeline, 1, PROMPTS, [0, 5], SETTINGS)
    assert len(layers) == 2 * 7 and len(made) == len(layers)  # seven blocks of attention, three steps


def test_layers_compute_again_after_an_error() -> None:
    layer, kept = nn.Linear(2, 2), Kept()
    kept.answers = [torch.zeros(1)]
    with suppress(RuntimeError), answering([layer], kept):
        assert torch.equal(layer(torch.ones(2)), torch.zeros(1))
        raise RuntimeError("on the way")
    assert layer(torch.ones(2)).shape == (2,)


@pytest.mark.parametrize("family", FAMILIES)
def test_embedding_of_a_prompt_is_the_same_to_the_bit_whatever_else_is_drawn(family: str) -> None:
    pipeline = FAMILIES[family]()
    alone, among = Texts(pipeline), Texts(pipeline)
    among(["", "a photo", *PROMPTS])
    for prompt in ("", *PROMPTS):
        assert torch.equal(alone([prompt]), among([prompt]))
        torch.testing.assert_close(texts_of_arms(pipeline, 2, [prompt, "a"])[1, :1], alone([prompt]))


def test_prompt_is_encoded_once_a_run_however_many_arms_and_batches_draw_it(tmp_path: Path) -> None:
    pipeline, encoded = tiny_pipeline(), []
    pipeline.text_encoder.register_forward_hook(lambda _, given, out: encoded.append(len(out[0])))
    adapters = [NOTHING, *(trained_like(parts_of(pipeline), 4, 8, seed) for seed in range(5))]
    arms = [Arm(tmp_path / f"{i}", own, wanted_samples(SETTINGS), made_with()) for i, own in enumerate(adapters)]
    jobs = plan_jobs(arms, SETTINGS)
    assert len(jobs) > 4 and len(list(sample(pipeline, jobs, SETTINGS))) == len(jobs)
    assert encoded == [1] * 4  # three prompts and the empty one


def made_with() -> dict:
    return {"sampling": {"num_inference_steps": 3, "guidance_scale": 3.0}, "model": "tiny", "adapter": None}


@pytest.mark.parametrize("count", [1, 3], ids=["merged", "packed"])
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_arm_reads_prompts_with_its_own_text_encoder_where_its_adapter_changes_that(family: str, count: int) -> None:
    pipeline = FAMILIES[family]()
    host, settings = parts_of(pipeline), Training(train_text_encoder=True)
    adapters = [trained_like(host, 4, 8, seed, settings) for seed in range(count)]
    wanted = wanted_samples(SETTINGS)[:2]
    together = Drawing(pipeline, adapters, SETTINGS, Texts(pipeline)).latents(wanted)
    Pack(host, adapters).lay()
    expected = draw_batch(pipeline, count, [w.prompt for w in wanted], [w.noise for w in wanted], SETTINGS)
    torch.testing.assert_close(together, expected, rtol=1e-4, atol=1e-4)
    for encoder in text_encoders(pipeline):  # the same without what was learned by the text encoders
        for layer in encoder.modules():
            if hasattr(layer, "down"):
                layer.down = layer.up = None
    without = draw_batch(pipeline, count, [w.prompt for w in wanted], [w.noise for w in wanted], SETTINGS)
    assert (without - together).abs().max() > 1e-3
