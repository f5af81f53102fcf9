"""draws.py, loss.py: what a step sees is a function of the seed and the sample, and each option does what it says."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler

from caplora.study.training_settings import Training
from caplora.training.draws import Draw, draw_micro_batch, draw_samples, draw_validation, image_at
from caplora.training.loss import Objective
from tests.tiny import tiny_inputs, tiny_pipeline

PLAIN = Training(batch_size=4)


def losses(settings: Training, inputs=None, drawn=None, pipeline=None) -> torch.Tensor:  # type: ignore[no-untyped-def]
    inputs = inputs or tiny_inputs()
    drawn = drawn or draw_samples(settings, inputs, range(8), 1000)
    with torch.no_grad():
        return Objective(pipeline or tiny_pipeline(), settings).row_losses(inputs, drawn)


def test_draw_of_a_sample_does_not_depend_on_its_batch() -> None:
    both = draw_samples(PLAIN, tiny_inputs(), [10, 11], 1000)
    second = draw_samples(PLAIN, tiny_inputs(), [11], 1000)
    assert torch.equal(both.noise[1], second.noise[0]) and torch.equal(both.t[1:], second.t)
    assert torch.equal(both.posterior[1], second.posterior[0]) and both.images[1] == second.images[0]
    assert not torch.equal(both.noise[0], both.noise[1])
    other = draw_samples(Training(seed=4), tiny_inputs(), [11], 1000)
    assert not torch.equal(second.noise, other.noise)


def test_processes_share_what_one_process_would_see() -> None:
    whole = draw_micro_batch(PLAIN, tiny_inputs(), 3, 0, 1, 1000)
    parts = [draw_micro_batch(PLAIN, tiny_inputs(), 3, process, 2, 1000) for process in range(2)]
    assert torch.equal(torch.stack([p.noise for p in parts], 1).flatten(0, 1), whole.noise)
    assert torch.equal(torch.stack([p.images for p in parts], 1).flatten(), whole.images)


def test_every_epoch_shows_every_image_once() -> None:
    epochs = [[image_at(0, 1, epoch * 7 + i, 7) for i in range(7)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_options_leave_what_else_is_drawn_alone() -> None:
    plain = draw_samples(PLAIN, tiny_inputs(flips=2), range(50), 1000)
    turned = Training(batch_size=4, noise_offset=0.1, caption_dropout=0.5, snr_gamma=5.0)
    other = draw_samples(turned, tiny_inputs(flips=2), range(50), 1000)
    for name in ("images", "flipped", "t", "posterior"):
        assert torch.equal(getattr(plain, name), getattr(other, name))


def test_noise_offset_is_one_value_a_channel() -> None:
    plain = draw_samples(PLAIN, tiny_inputs(), range(400), 1000).noise
    added = draw_samples(Training(noise_offset=0.3), tiny_inputs(), range(400), 1000).noise - plain
    torch.testing.assert_close(added, added.mean((2, 3), keepdim=True).expand_as(added), rtol=0, atol=1e-5)
    assert added.std() == pytest.approx(0.3, rel=0.1)


def test_half_of_the_samples_are_mirrored_where_there_are_mirror_images() -> None:
    assert not draw_samples(PLAIN, tiny_inputs(), range(50), 1000).flipped.any()
    flipped = draw_samples(PLAIN, tiny_inputs(flips=2), range(400), 1000).flipped
    assert 0.4 < flipped.float().mean() < 0.6


def test_a_mirrored_sample_has_the_latents_of_the_mirror_image() -> None:
    inputs = tiny_inputs(flips=2)
    drawn = draw_samples(PLAIN, inputs, range(8), 1000)
    seen = losses(PLAIN, inputs, drawn)
    first = losses(PLAIN, inputs, type(drawn)(**{**vars(drawn), "flipped": torch.zeros(8, dtype=torch.bool)}))
    assert torch.equal(seen == first, ~drawn.flipped)


def test_caption_dropout_sees_the_empty_caption() -> None:
    inputs = tiny_inputs()
    share = draw_samples(Training(caption_dropout=0.3), inputs, range(1000), 1000).dropped.float().mean()
    assert 0.25 < share < 0.35
    dropped = losses(Training(caption_dropout=1.0), inputs)
    inputs.texts[:] = inputs.empty
    assert torch.equal(losses(PLAIN, inputs), dropped)
    assert not torch.equal(losses(PLAIN), dropped)


def test_min_snr_weighs_each_timestep_as_published() -> None:
    drawn = draw_samples(PLAIN, tiny_inputs(), range(40), 1000)
    plain, weighed = losses(PLAIN, drawn=drawn), losses(Training(snr_gamma=5.0), drawn=drawn)
    alphas = tiny_pipeline().scheduler.alphas_cumprod[drawn.t]
    snr = alphas / (1 - alphas)
    torch.testing.assert_close(weighed / plain, torch.minimum(snr, torch.tensor(5.0)) / snr, rtol=1e-4, atol=0)
    assert (weighed < plain).any() and torch.isclose(weighed, plain).any()


def test_velocity_is_what_is_predicted_where_the_base_says_so() -> None:
    pipeline, inputs = tiny_pipeline(), tiny_inputs()
    drawn = draw_samples(PLAIN, inputs, range(8), 1000)
    epsilon, plain = losses(PLAIN, inputs, drawn, pipeline), pipeline.scheduler.config
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(plain, prediction_type="v_prediction")
    seen = losses(PLAIN, inputs, drawn, pipeline)
    assert not torch.equal(seen, epsilon)
    mean, log_variance = inputs.moments[drawn.images, 0].chunk(2, 1)
    x0 = pipeline.vae.config.scaling_factor * (mean + (0.5 * log_variance).exp() * drawn.posterior)
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    a = scheduler.alphas_cumprod[drawn.t].view(-1, 1, 1, 1)
    with torch.no_grad():
        out = pipeline.unet(scheduler.add_noise(x0, drawn.noise, drawn.t), drawn.t, inputs.texts[drawn.images]).sample
    expected = ((out - (a.sqrt() * drawn.noise - (1 - a).sqrt() * x0)) ** 2).mean((1, 2, 3))
    torch.testing.assert_close(seen, expected, rtol=1e-5, atol=1e-6)


def test_validation_rows_spread_over_the_schedule_and_never_change() -> None:
    inputs = tiny_inputs(3)
    drawn = draw_validation(PLAIN, inputs, 4, 1000)
    assert drawn.images.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert (drawn.t.view(3, 4) // 250).tolist() == [[0, 1, 2, 3]] * 3
    again = draw_validation(Training(batch_size=2, noise_offset=0.5), inputs, 4, 1000)
    assert torch.equal(drawn.noise, again.noise) and torch.equal(drawn.t, again.t)


def test_rows_see_the_texts_that_they_are_captioned_with() -> None:
    inputs, other = tiny_inputs(), tiny_inputs(seed=1)
    drawn = draw_samples(PLAIN, inputs, range(8), 1000)
    both = replace(inputs, texts=torch.cat([inputs.texts, other.texts]))
    seen = losses(PLAIN, both, Draw.concatenated([drawn, drawn.captioned(5)]))
    assert torch.equal(losses(PLAIN, both, drawn), losses(PLAIN, inputs, drawn))
    torch.testing.assert_close(seen[:8], losses(PLAIN, inputs, drawn), rtol=1e-5, atol=0)
    torch.testing.assert_close(seen[8:], losses(PLAIN, replace(inputs, texts=other.texts), drawn), rtol=1e-5, atol=0)
