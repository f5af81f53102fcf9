"""optimizer.py: every row moves as torch's AdamW would move it alone, and nothing is read back from the device."""

import pytest
import torch
from torch import Tensor, nn

from caplora.study.training_settings import Training
from caplora.training.optimizer import FIRST_SCALE, GRADIENT, LONGEST, LOSS, OVERFLOW, Optimizer, rates

SETTINGS = Training(steps=60, learning_rate=1e-3, lr_scheduler="cosine", lr_warmup_steps=5)
FINITE = torch.ones(2)


def two_rows(fp16: bool = False) -> Optimizer:
    """An optimizer of two variants of three weights."""
    return Optimizer(torch.ones(2, 3), [Training(steps=60)] * 2, fp16)


@pytest.mark.parametrize(
    ("rate", "rules"),
    [
        ("linear", [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("constant_with_warmup", [0, 0.5, 1, 1, 1, 1]),
        ("piecewise_constant", [1, 1, 1, 0.1, 0.1, 0.1]),
        ("polynomial", [1 - 0.999 * step / 6 for step in range(6)]),
    ],
)
def test_rate_follows_its_schedule(rate: str, rules: list[float]) -> None:
    own = {"lr_warmup_steps": 2} if "warmup" in rate else {}
    own |= {"lr_step_rules": "1:3,0.1"} if rate == "piecewise_constant" else {}
    settings = Training(steps=6, lr_scheduler=rate, **own)
    assert [found / 1e-4 for found in rates(settings)] == pytest.approx(rules)


def test_rows_move_as_adamw_moves_each_alone() -> None:
    """torch's AdamW and clipping, a variant at a time; large and small gradients, two rates."""
    g = torch.Generator().manual_seed(0)
    own = [SETTINGS, SETTINGS.model_copy(update={"learning_rate": 3e-3})]
    weights = torch.randn(2, 500, generator=g)
    alone = [nn.Parameter(row.clone()) for row in weights]
    theirs = [
        torch.optim.AdamW([p], lr=s.learning_rate, weight_decay=s.weight_decay) for p, s in zip(alone, own, strict=True)
    ]
    ours = Optimizer(weights, own, fp16=False)
    for step in range(60):
        gradient = torch.randn(2, 500, generator=g) * (0.01 if step % 2 else 3)
        ours.step(FINITE, gradient)
        for parameter, optimizer, settings, row in zip(alone, theirs, own, gradient, strict=True):
            optimizer.param_groups[0]["lr"] = rates(settings)[step]
            parameter.grad = row.clone()
            nn.utils.clip_grad_norm_(parameter, 1.0)
            optimizer.step()
    torch.testing.assert_close(weights, torch.stack([p.detach() for p in alone]), rtol=1e-5, atol=1e-7)


def test_a_gradient_is_clipped_to_its_own_norm() -> None:
    optimizer = two_rows()
    optimizer.step(FINITE, torch.tensor([[50.0] * 3, [0.1] * 3]))
    assert optimizer.state.mean[0].tolist() == pytest.approx([0.1 / 3**0.5] * 3, rel=1e-4)
    assert optimizer.state.mean[1].tolist() == pytest.approx([0.01] * 3, rel=1e-4)


def test_fp16_overflow_skips_the_step_of_that_variant_alone() -> None:
    optimizer = two_rows(fp16=True)
    before = optimizer.state.weights.clone()
    optimizer.step(FINITE, torch.stack([torch.full((3,), torch.inf), torch.ones(3)]))
    state = optimizer.state
    assert torch.equal(state.weights[0], before[0]) and not torch.equal(state.weights[1], before[1])
    assert state.scale.tolist() == [FIRST_SCALE / 2, FIRST_SCALE] and state.updates.tolist() == [0, 1]
    assert not state.mean[0].any() and state.cause.tolist() == [0, 0]


def test_fp16_scale_does_not_change_what_is_learned() -> None:
    scaled, plain = two_rows(fp16=True), two_rows()
    for step in range(5):
        gradient = torch.full((2, 3), 0.3 + step)
        plain.step(FINITE, gradient)
        scaled.step(FINITE, gradient * scaled.state.scale[:, None])
    torch.testing.assert_close(scaled.state.weights, plain.state.weights, rtol=1e-6, atol=0)


def test_fp16_scale_doubles_after_long_calm() -> None:
    optimizer = two_rows(fp16=True)
    optimizer.state.calm[0] = LONGEST - 1
    optimizer.step(FINITE, torch.ones(2, 3))
    assert optimizer.state.scale.tolist() == [2 * FIRST_SCALE, FIRST_SCALE]
    assert optimizer.state.calm.tolist() == [0, 1]


def test_fp16_that_overflows_at_every_scale_ends_the_variant() -> None:
    optimizer, infinite = two_rows(fp16=True), torch.stack([torch.full((3,), torch.inf), torch.ones(3)])
    for _ in range(16):  # halvings from 2^16 to 1
        optimizer.step(FINITE, infinite)
    assert optimizer.state.cause.tolist() == [0, 0]
    optimizer.step(FINITE, infinite)
    assert optimizer.state.cause.tolist() == [OVERFLOW, 0] and optimizer.state.since.tolist() == [17, 0]
    assert torch.equal(optimizer.state.weights[0], torch.ones(3))


@pytest.mark.fault(1)
def test_a_loss_that_is_not_finite_puts_back_the_weights_of_the_last_finite_one() -> None:
    optimizer = two_rows()
    for _ in range(2):
        known = optimizer.state.weights.clone()
        optimizer.step(FINITE, torch.ones(2, 3))
    assert optimizer.step(torch.tensor([torch.nan, 1.0]), torch.ones(2, 3)).tolist() == [LOSS, 0]
    assert torch.equal(optimizer.state.weights[0], known[0]) and optimizer.state.since[0] == 3
    for _ in range(2):
        optimizer.step(FINITE, torch.ones(2, 3))
    assert torch.equal(optimizer.state.weights[0], known[0]) and optimizer.state.updates.tolist() == [2, 5]


def test_a_gradient_that_is_not_finite_ends_a_variant_where_it_stands() -> None:
    optimizer = two_rows()
    optimizer.step(FINITE, torch.ones(2, 3))
    known = optimizer.state.weights.clone()
    optimizer.step(FINITE, torch.tensor([[torch.nan, 1, 1], [1, 1, 1]]))
    state = optimizer.state
    assert state.cause.tolist() == [GRADIENT, 0] and torch.equal(state.weights[0], known[0])
    assert state.mean.isfinite().all() and not torch.equal(state.weights[1], known[1])


def test_a_step_reads_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = two_rows(fp16=True)

    def refused(self: Tensor, *args: object) -> None:
        raise AssertionError("a number was read back from the device")

    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "cpu", "numpy"):
        monkeypatch.setattr(Tensor, name, refused)
    optimizer.step(FINITE, torch.ones(2, 3))
