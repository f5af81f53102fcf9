"""solvers.py: a study's solver is diffusers' own, decides the key of a picture and is said in A1111's words."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import ImageChops

from caplora.lora.adapter import NOTHING
from caplora.sampling.arms import Arm, claim
from caplora.sampling.drawing import decode, draw_batch, sampling_key
from caplora.sampling.jobs import plan_jobs, sample
from caplora.sampling.samples import parameters, wanted_samples
from caplora.sampling.solvers import SOLVERS, scheduler_of
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
    claim(arms[1:])
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
