"""set_metrics.py: KID and CMMD are the published ones, and what each pair adds is what changing places changes."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

from caplora.scoring.set_metrics import cmmd, cmmd_weights, kid, kid_weights

Distance = Callable[[Tensor, Tensor], float]
PAIRS = [(kid, kid_weights), (cmmd, cmmd_weights)]


def drawn(n: int, seed: int, shift: float = 0.0, d: int = 24) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0])
@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all extracted features")
def test_kid_is_that_of_torchmetrics_with_one_subset_of_everything(shift: float) -> None:
    real, fake = drawn(40, 0), drawn(40, 1, shift)
    theirs = KernelInceptionDistance(feature=nn.Identity(), subsets=1, subset_size=40)
    theirs.set_dtype(torch.float64)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert kid(real, fake) == pytest.approx(float(theirs.compute()[0]), abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0])
def test_cmmd_is_the_published_code_in_numpy(shift: float) -> None:
    x, y = drawn(30, 0).numpy(), drawn(17, 1, shift).numpy()
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        squares = ((a[:, None] - b[None]) ** 2).sum(-1)
        return np.exp(-squares / (2 * 10**2)).mean()

    expected = 1000 * (k(x, x) + k(y, y) - 2 * k(x, y))
    assert cmmd(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(expected, abs=1e-9)
    assert cmmd(3 * torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(expected, abs=1e-9)


def test_kid_of_two_draws_of_one_distribution_is_zero_on_average_and_cmmd_never_below() -> None:
    values = [kid(drawn(20, 2 * i), drawn(20, 2 * i + 1)) for i in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(cmmd(drawn(5, i), drawn(4, i + 50)) for i in range(20)) > 0
    assert cmmd(drawn(5, 0), drawn(5, 0)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("distance", "weights"), PAIRS, ids=["kid", "cmmd"])
def test_changing_places_changes_the_difference_by_the_signs_of_the_weights(
    distance: Distance, weights: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> None:
    a, b, real = drawn(6, 0, 0.4), drawn(6, 1), drawn(9, 2)
    w = weights(a, b, real)
    for signs in product([1, -1], repeat=6):
        stays = torch.tensor(signs)[:, None] > 0
        x, y = torch.where(stays, a, b), torch.where(stays, b, a)
        expected = distance(x, real) - distance(y, real)
        assert float((w * torch.tensor(signs)).sum()) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("distance", "weights"), PAIRS, ids=["kid", "cmmd"])
def test_a_set_that_moves_towards_the_real_one_is_nearer(
    distance: Distance, weights: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> None:
    far, near, real = drawn(30, 0, 2.0), drawn(30, 0, 0.5), drawn(20, 1)
    assert distance(near, real) < distance(far, real)
    assert float(weights(near, far, real).sum()) < 0
