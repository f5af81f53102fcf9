"""How far a set of pictures is from a set of real ones: KID and CMMD, two squared maximum mean discrepancies.

A set is its embeddings, in float64. No FID: at a hundred pictures its bias is larger than what is looked for (Chong and
Forsyth, arXiv 1911.07023). Of two paired sets, which of a pair stands where is a coin's toss if nothing tells them
apart; the difference of their distances is then a sum of signs times `swap_weights`, which makes its test exact.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SIGMA, SCALE = 10, 1000  # of CMMD

Kernel = Callable[[Tensor, Tensor], Tensor]


def kid(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """Kernel Inception distance of two whole sets, unbiased, so about 0 and below for sets alike.

    MMD² with the kernel (x·y / d + 1)³ (Bińkowski et al. 2018, section 4), on whatever embeddings are given; two of
    each are needed.
    """
    return float(_discrepancy(polynomial, a, b, unbiased=True))


def cmmd(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """CLIP maximum mean discrepancy, 0 and above (Jayasumana et al. 2024, arXiv 2401.09603).

    MMD² × 1000 with a Gaussian kernel of σ = 10 on embeddings of unit length, the diagonal included as in its
    published code, so that a set of few pictures is never at 0 from another.
    """
    return float(SCALE * _discrepancy(gaussian, F.normalize(a, dim=1), F.normalize(b, dim=1), unbiased=False))


def polynomial(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """The kernel of KID."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def gaussian(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """The kernel of CMMD."""
    return torch.exp(-(torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist") ** 2) / (2 * SIGMA**2))


def _discrepancy(kernel: Kernel, a: Tensor, b: Tensor, unbiased: bool) -> Tensor:
    return _within(kernel(a, a), unbiased) + _within(kernel(b, b), unbiased) - 2 * kernel(a, b).mean()


def _within(k: Float[Tensor, "n n"], unbiased: bool) -> Tensor:
    """The mean of a set's own kernel, without each picture's with itself if that is to bias nothing."""
    return (k.sum() - k.trace()) / (len(k) * (len(k) - 1)) if unbiased else k.mean()


def kid_weights(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], real: Float[Tensor, "m d"]) -> Float[Tensor, " n"]:
    """What each pair adds to kid(a, real) − kid(b, real): the `swap_weights` of KID."""
    return swap_weights(polynomial, a, b, real, unbiased=True)


def cmmd_weights(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], real: Float[Tensor, "m d"]) -> Float[Tensor, " n"]:
    """What each pair adds to cmmd(a, real) − cmmd(b, real): the `swap_weights` of CMMD."""
    a, b, real = (F.normalize(x, dim=1) for x in (a, b, real))
    return SCALE * swap_weights(gaussian, a, b, real, unbiased=False)


def swap_weights(
    kernel: Kernel, a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], real: Float[Tensor, "m d"], unbiased: bool
) -> Float[Tensor, " n"]:
    """w with Σ w = MMD²(a, real) − MMD²(b, real), and Σ s·w the same once the pairs with s = −1 have changed places.

    A product of two signs stands in both discrepancies and drops out of their difference, which is therefore linear.
    """
    ab = kernel(a, b)
    own = kernel(a, a) + ab - ab.T - kernel(b, b)
    own = (own - own.diag().diag()).sum(1) / (len(a) - 1) if unbiased else own.mean(1)
    return (own - 2 * (kernel(a, real) - kernel(b, real)).mean(1)) / len(a)
