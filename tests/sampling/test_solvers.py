"""solvers.py: a study's solver is diffusers' own, decides the key of a picture and is said in A1111's words."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)
from PIL import ImageChops

from caplora.lora.adapter import NOTHING
from caplora.sampling.arms import Arm, claim
from caplora.sampling.drawing import Denoiser, decode, draw_batch, sampling_key
from caplora.sampling.jobs import plan_jobs, sample
from caplora.sampling.prompts import texts_of_arms
from caplora.sampling.samples import parameters, wanted_samples
from caplora.sampling.solvers import SOLVERS, scheduler_of, solver_called
from caplora.study.sampling_settings import Sampling
from tests.tiny import FAMILIES, tiny_pipeline

SETTINGS = Sampling(
    development=("a photo",), test=("a photo of a man", "a lake"), seeds=(0,), num_inference_steps=4, guidance_scale=3.0
)


def solved_by(solver: str) -> Sampling:
    return SETTINGS.model_copy(update={"solver": solver})


def test_a_study_may_choose_the_solvers_that_there_are() -> None:
    assert set(get_args(Sampling.model_fields["solver"].annotation)) == set(SOLVERS)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_solver_draws_what_diffusers_draws_with_it(family: str, solver: str) -> None:
    pipeline, prompts = FAMILIES[family](), list(SETTINGS.test)
    ours, _ = decode(pipeline, draw_batch(pipeline, 1, prompts, [0, 5], solved_by(solver))[0])
    pipeline.scheduler = scheduler_of(pipeline, solver)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 5)]
    theirs = pipeline(
        prompts, num_inference_steps=4, guidance_scale=3.0, height=32, width=32, output_type="pil", generator=generators
    ).images
    for a, b in zip(ours, theirs, strict=True):
        assert max(high for _, high in ImageChops.difference(a, b).getextrema()) <= 1


ODD: tuple[tuple[type[SchedulerMixin], dict[str, Any]], ...] = (  # what a base model's own scheduler may be
    (
        DPMSolverMultistepScheduler,
        {"use_karras_sigmas": True, "algorithm_type": "sde-dpmsolver++", "solver_order": 3, "solver_type": "heun",
         "euler_at_final": True, "lower_order_final": False, "final_sigmas_type": "sigma_min", "thresholding": True},
    ),
    (DPMSolverMultistepScheduler, {"use_exponential_sigmas": True}),
    (DPMSolverMultistepScheduler, {"use_lu_lambdas": True}),
    (
        EulerDiscreteScheduler,
        {"use_beta_sigmas": True, "interpolation_type": "log_linear", "sigma_min": 0.1, "sigma_max": 9.0},
    ),
    (UniPCMultistepScheduler, {"predict_x0": False, "solver_type": "bh1", "disable_corrector": [0, 1]}),
    (DDIMScheduler, {"clip_sample": True, "thresholding": True}),
)  # fmt: skip


def seeded(solver: str) -> dict[str, torch.Generator]:
    return {"generator": torch.Generator().manual_seed(0)} if SOLVERS[solver].ancestral else {}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize(("kind", "odd"), ODD)
def test_solver_is_what_its_name_says_whatever_the_base_says(
    solver: str, kind: type[SchedulerMixin], odd: dict[str, Any], loaded: bool
) -> None:
    pipeline, usual_base = tiny_pipeline(), dict(tiny_pipeline().scheduler.config)
    pipeline.scheduler = kind.from_config(usual_base)
    usual = scheduler_of(pipeline, solver)
    pipeline.scheduler = kind.from_config(usual_base, **odd)
    assert all(pipeline.scheduler.config[key] == value for key, value in odd.items())
    if loaded:  # as `load_base` leaves it
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    unusual = scheduler_of(pipeline, solver)
    for scheduler in (usual, unusual):
        scheduler.set_timesteps(4)
    assert usual.timesteps.tolist() == unusual.timesteps.tolist()
    steps = [torch.full((1, 4, 2, 2), 2.0)] * 2
    for t in usual.timesteps:
        given = [s.scale_model_input(latents, t) for s, latents in zip((usual, unusual), steps, strict=True)]
        steps = [
            s.step(torch.sin(noisy), t, latents, **seeded(solver)).prev_sample
            for s, noisy, latents in zip((usual, unusual), given, steps, strict=True)
        ]
    assert torch.equal(*steps)


def test_noise_of_later_steps_is_of_the_seed_and_the_same_for_every_arm() -> None:
    two = draw_batch(tiny_pipeline(), 2, list(SETTINGS.test), [0, 5], solved_by("euler_a"))
    torch.testing.assert_close(two[0], two[1], rtol=0, atol=0)
    alone = draw_batch(tiny_pipeline(), 1, list(SETTINGS.test)[1:], [5], solved_by("euler_a"))
    torch.testing.assert_close(two[0, 1], alone[0, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_negative_prompt_is_what_diffusers_draws_away_from(family: str) -> None:
    pipeline, negative = FAMILIES[family](), "a blurry photo"
    denoiser = Denoiser(pipeline, 1, SETTINGS, negative=negative)
    texts = texts_of_arms(pipeline, 1, denoiser.asked(["a lake"]))
    [ours], _ = decode(pipeline, denoiser.latents(texts, [5])[0])
    pipeline.scheduler = scheduler_of(pipeline, "dpmsolver++")
    told = {"num_inference_steps": 4, "guidance_scale": 3.0, "height": 32, "width": 32, "output_type": "pil"}
    generator = torch.Generator().manual_seed(5)
    [theirs] = pipeline("a lake", negative_prompt=negative, generator=generator, **told).images
    assert max(high for _, high in ImageChops.difference(ours, theirs).getextrema()) <= 1


def test_every_step_is_told_and_may_end_the_drawing() -> None:
    told: list[int] = []

    def stepped(count: int) -> None:
        told.append(count)
        if sum(told) >= 6:  # two pictures, three steps
            raise InterruptedError

    pipeline = tiny_pipeline()
    denoiser = Denoiser(pipeline, 1, SETTINGS, stepped=stepped)
    texts = texts_of_arms(pipeline, 1, denoiser.asked(list(SETTINGS.test)))
    with pytest.raises(InterruptedError):
        denoiser.latents(texts, [0, 5])
    assert 6 <= sum(told) < 8


def test_a_solver_is_found_by_what_a1111_wrote_of_it_then_and_now() -> None:
    for name, solver in SOLVERS.items():
        assert solver_called(solver.sampler, solver.schedule or "Automatic") == name
    assert solver_called("DPM++ 2M Karras") == "dpmsolver++_karras"
    assert solver_called("Heun") is None


def test_another_solver_is_another_key_and_the_first_is_what_a_key_without_one_means(tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    keys = [sampling_key(solved_by(solver), pipeline) for solver in SOLVERS]
    without = {"num_inference_steps": 4, "guidance_scale": 3.0}  # as it was when there was no choice
    assert keys[0]["sampling"] == without and len({str(key) for key in keys}) == len(SOLVERS)
    arms = [Arm(tmp_path, NOTHING, wanted_samples(SETTINGS), key | {"model": "", "adapter": None}) for key in keys]
    claim(arms[:1])
    list(sample(pipeline, plan_jobs(arms[:1], SETTINGS), SETTINGS))
    claim(arms[:1])
    assert plan_jobs(arms[:1], SETTINGS) == []
    claim(arms[1:], redraw=True)
    assert len(plan_jobs(arms[1:], SETTINGS)) > 0


@pytest.mark.parametrize(
    ("solver", "said"),
    [
        ("dpmsolver++", "Sampler: DPM++ 2M, CFG"),
        ("dpmsolver++_karras", "Sampler: DPM++ 2M, Schedule type: Karras, CFG"),
    ],
)
def test_picture_names_its_solver_as_a1111_does(solver: str, said: str) -> None:
    made = {**sampling_key(solved_by(solver), tiny_pipeline()), "model": "tiny", "adapter": None}
    assert said in parameters(wanted_samples(SETTINGS)[0], (32, 32), "baseline", made)
