"""loop.py and graphs.py on a CUDA card: the recorded step trains as the step itself, and makes nobody wait."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from caplora.training.inputs import Inputs
from caplora.training.loop import Run
from tests.tiny import tiny_inputs, tiny_pipeline
from tests.training.test_loop import R4, R8, SETTINGS, losses_of, new_pack, steps_of

pytestmark = pytest.mark.gpu


def inputs_there() -> Inputs:
    """Inputs as encoders leave them on a card."""
    made = tiny_inputs()
    return replace(made, moments=made.moments.cuda(), texts=made.texts.cuda(), empty=made.empty.cuda())


def run_on_the_card(recorded: bool) -> Run:
    """Two variants on the card, two steps taken."""
    pipeline = tiny_pipeline().to("cuda")
    made = Run(pipeline, new_pack(pipeline, [R4, R8]), inputs_there(), SETTINGS, [])
    for own in made.recorded.values():
        own.records = recorded
    for step in range(2):
        made.optimise(step)
    return made


def trained(folder: Path, steps: int | None = None) -> None:
    """Train on the card, stopping as if killed after `steps` if given."""
    for step in steps_of([R4, R8], folder, inputs=inputs_there(), pipeline=tiny_pipeline().to("cuda")):
        if step.number == steps:
            break


def test_a_recorded_step_moves_the_weights_as_the_step_itself() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a step that cannot be recorded warns
        recorded, eager = run_on_the_card(True), run_on_the_card(False)
        for step in (2, 3):
            recorded.optimise(step)
            eager.optimise(step)
    assert all(own.records for own in recorded.recorded.values())
    torch.testing.assert_close(recorded.pack.weights, eager.pack.weights, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(recorded.optimizer.state.losses, eager.optimizer.state.losses, rtol=1e-3, atol=0)


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "eager"])
def test_a_step_makes_the_host_wait_for_nothing(recorded: bool) -> None:
    made = run_on_the_card(recorded)
    torch.cuda.set_sync_debug_mode("error")
    try:
        made.optimise(2)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_training_on_the_card_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    trained(tmp_path / "whole")
    trained(tmp_path / "cut", steps=3)
    trained(tmp_path / "cut")
    for variant in (R4, R8):
        losses = [losses_of(tmp_path / way, variant) for way in ("whole", "cut")]
        torch.testing.assert_close(*losses, rtol=1e-3, atol=0)
