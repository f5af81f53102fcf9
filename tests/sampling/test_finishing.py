"""finishing.py: a job counts as done once its pictures are on disk, and an error in a thread is raised."""

import threading
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from caplora.lora.adapter import NOTHING
from caplora.sampling.arms import Arm
from caplora.sampling.drawing import decode
from caplora.sampling.finishing import Finisher, Job
from caplora.sampling.jobs import plan_jobs, sample
from caplora.sampling.samples import save_sample, wanted_samples
from caplora.study.sampling_settings import Sampling
from tests.tiny import tiny_pipeline

SETTINGS = Sampling(
    development=("an ink drawing of a woman",), test=("a photo", "a lake"), num_inference_steps=2, batch_size=4
)
MADE = {"sampling": {"num_inference_steps": 2, "guidance_scale": 7.5}, "model": "tiny", "adapter": None}


@pytest.fixture
def arm(tmp_path: Path) -> Arm:
    return Arm(tmp_path / "baseline", NOTHING, wanted_samples(SETTINGS), MADE)


@pytest.fixture(params=[False, True], ids=["at once", "beside"])
def finisher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Finisher:
    """One that finishes a job when it is added, and one that does so in a thread, as on a card."""
    made = Finisher(tiny_pipeline())
    made.beside = request.param
    return made


def latents_of(job: Job, seed: int = 0) -> Tensor:
    return torch.randn(len(job.arms), len(job.wanted), 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_jobs_come_in_their_order_each_with_its_pictures_on_disk(finisher: Finisher, arm: Arm) -> None:
    jobs, seen = plan_jobs([arm], SETTINGS), []
    with finisher:
        done = [own for job in jobs for own in finisher.add(job, latents_of(job))]
        for drawn in (*done, *finisher.rest()):
            for one in drawn:
                with Image.open(arm.folder / one.wanted.file_name) as kept:
                    assert kept.tobytes() == one.images[0].tobytes()
                seen.append(one.wanted)
    assert seen == [w for job in jobs for w in job.wanted] and len(jobs) == 3


def test_error_of_a_thread_is_raised(finisher: Finisher, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("caplora.sampling.finishing.save_sample", full)
    [job, *_] = plan_jobs([arm], SETTINGS)
    with finisher, pytest.raises(OSError, match="no space left"):
        [*finisher.add(job, latents_of(job)), *finisher.rest()]


def test_what_was_drawn_before_an_interruption_is_written_whole(
    finisher: Finisher, arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = threading.Event()

    def slow(*given: object) -> None:
        waiting.wait(0.2)
        save_sample(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("caplora.sampling.finishing.save_sample", slow)
    [job, *_] = plan_jobs([arm], SETTINGS)
    with suppress(KeyboardInterrupt), finisher:
        list(finisher.add(job, latents_of(job)))
        raise KeyboardInterrupt
    assert {p.name for p in arm.folder.iterdir()} == {w.file_name for w in job.wanted}


def test_pictures_that_do_not_fit_are_decoded_in_fewer_at_a_time(
    finisher: Finisher, arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def small_device(pipeline: object, latents: Tensor) -> object:
        sizes.append(len(latents))
        if len(latents) > 1:
            raise torch.OutOfMemoryError
        return decode(pipeline, latents)  # type: ignore[arg-type]

    [job, *_] = plan_jobs([arm], SETTINGS)
    expected, _ = finisher.decoded(latents_of(job).flatten(0, 1))
    monkeypatch.setattr("caplora.sampling.finishing.decode", small_device)
    with finisher:
        done = [*finisher.add(job, latents_of(job)), *finisher.rest()]
    for one, whole in zip(done[0], expected, strict=True):
        assert (torch.tensor(list(one.images[0].tobytes())) - torch.tensor(list(whole.tobytes()))).abs().max() <= 1
    assert sizes[-4:] == [1] * 4 and finisher.at_once == 1


@pytest.mark.gpu
def test_card_draws_what_the_same_work_draws_without_a_graph(
    arm: Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = tiny_pipeline().to("cuda")
    jobs = plan_jobs([arm], SETTINGS)
    assert len(list(sample(pipeline, jobs, SETTINGS))) == len(jobs)
    plain = Arm(tmp_path / "plain", NOTHING, arm.wanted, MADE)
    monkeypatch.setattr("caplora.sampling.drawing.Recorded", lambda function, *_: function)
    list(sample(pipeline, plan_jobs([plain], SETTINGS), SETTINGS))
    for wanted in arm.wanted:
        with Image.open(arm.folder / wanted.file_name) as own, Image.open(plain.folder / wanted.file_name) as other:
            a, b = (torch.tensor(list(x.tobytes())) for x in (own, other))
            assert (a - b).abs().max() <= 1
