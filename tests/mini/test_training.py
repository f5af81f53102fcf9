"""mini/training/: how the small models are trained, whatever interrupts it, and how good the shipped ones are."""

import json
from collections.abc import Iterator
from pathlib import Path

import papermill
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from caplora.mini.training.fitting import batch_of, fit
from caplora.mini.training.identity import CROP, Student, lesson, new_encoder, new_teacher, waves
from caplora.mini.training.judge import attribute_loss, named_labels
from caplora.mini.training.measure import MODELS, TARGETS
from caplora.mini.world.world import ATTRIBUTES
from caplora.study.reading import PROJECT


def steps_of(folder: Path, model: nn.Module, steps: int, seed: int = 0) -> Iterator[tuple[int, float]]:
    def loss(generator: torch.Generator) -> Tensor:
        x = batch_of(generator, 100, 8)[:, None].float() / 100
        return (model(x) - 3 * x).square().mean()

    return fit(model, loss, steps, 1e-2, folder, seed=seed, averaging=0.9)


def line() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(1, 1)


def test_interrupted_fit_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole, cut, resumed = line(), line(), line()
    losses = [loss for _, loss in steps_of(tmp_path / "whole", whole, 600)]
    for step, _ in steps_of(tmp_path / "cut", cut, 600):
        if step == 333:
            break
    rest = list(steps_of(tmp_path / "cut", resumed, 600))
    assert rest[0][0] == 251 and [loss for _, loss in rest] == losses[250:]
    assert torch.equal(whole.weight, resumed.weight) and torch.equal(whole.bias, resumed.bias)
    assert losses[-1] < losses[0] / 10


@pytest.mark.parametrize("steps", [300, 200])
def test_finished_fit_gives_its_average_again(tmp_path: Path, steps: int) -> None:
    first, second = line(), line()
    list(steps_of(tmp_path, first, 300))
    assert list(steps_of(tmp_path, second, steps)) == []  # fewer steps than were done need no more either
    assert torch.equal(first.weight, second.weight)


def test_a_student_sees_maps_of_its_teachers_shape() -> None:
    teacher, encoder = new_teacher().eval(), new_encoder()
    x = torch.randn(3, 3, CROP, CROP)
    taught, guessed = lesson(teacher, x), Student(encoder, teacher)(x)
    assert [t.shape for t in taught] == [g.shape for g in guessed]


def test_no_two_places_have_the_same_waves() -> None:
    places = waves(10)
    assert torch.pdist(places).min() > 0.5


@pytest.mark.long
def test_notebook_00_makes_every_model_from_nothing(tmp_path: Path) -> None:
    little = {
        f"{name}_steps": 2 for name in ("vae", "decoder", "diffusion", "judge", "blip", "clip", "teacher", "identity")
    }
    papermill.execute_notebook(
        PROJECT / "notebooks" / "00_mini_stack.ipynb",
        tmp_path / "out.ipynb",
        little
        | {
            "study": str(tmp_path / "run"),
            "models": str(tmp_path / "made"),
            "people": 8,
            "held_out_people": 6,
            "samples": 8,
        },
        progress_bar=False,
        start_timeout=300,  # seconds; a busy machine starts a kernel slowly
    )
    shipped = {p.relative_to(MODELS).as_posix() for p in MODELS.rglob("*.*") if p.is_file()}
    assert {p.relative_to(tmp_path / "made").as_posix() for p in (tmp_path / "made").rglob("*.*")} == shipped
    assert set(json.loads((tmp_path / "made" / "figures.json").read_text())) == set(TARGETS)


def test_the_shipped_models_are_16_bit_and_within_30_megabytes() -> None:
    files = list(MODELS.rglob("*.safetensors"))
    assert sum(p.stat().st_size for p in MODELS.rglob("*") if p.is_file()) < 30e6
    for path in files:
        with safe_open(path, framework="pt") as file:
            kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
        assert kinds <= {"F16", "I64"}, path


def test_the_shipped_models_reach_what_the_card_says_they_should() -> None:
    figures = json.loads((MODELS / "figures.json").read_text())
    assert {name for name, least in TARGETS.items() if figures[name] < least} == set()
    card = (MODELS / "README.md").read_text(encoding="utf-8")
    assert all(f"| {name} | {least:g} | {figures[name]:.3f} |" in card for name, least in TARGETS.items())


def test_an_attribute_that_no_caption_names_leaves_the_loss_finite() -> None:
    labels = named_labels(["", "with red hair in a bun"])
    assert (labels[0] == -100).all() and (labels[1] >= 0).sum() == 2  # hair and its colour
    logits = torch.zeros(2, sum(len(values) for values in ATTRIBUTES.values()), requires_grad=True)
    loss = attribute_loss(logits, labels)
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and not logits.grad[0].any() and logits.grad[1].any()
