"""Embeddings → the metrics of a single sample: CLIPScore, RefCLIPScore, likeness, memorisation, diversity, drift."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

WEIGHT = 2.5  # w of CLIPScore


def cosines(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Raw cosine of each pair, −1 … 1."""
    return F.cosine_similarity(a, b, dim=1)


def all_cosines(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """Raw cosine of each `a` to each `b`, −1 … 1."""
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def clip_scores(images: Float[Tensor, "n d"], texts: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """CLIPScore of each image-text pair of embeddings, in 0 … 2.5 (Hessel et al. 2021, equation 1)."""
    return WEIGHT * cosines(images, texts).clamp(min=0)


def ref_clip_scores(
    images: Float[Tensor, "n d"], texts: Float[Tensor, "n d"], references: Float[Tensor, "m d"]
) -> Float[Tensor, " n"]:
    """RefCLIPScore of each image-text pair, in 0 … 1.43 (Hessel et al. 2021, equation 2).

    The harmonic mean of its CLIPScore and its text's largest cosine to a reference, clipped at 0; 0 where both are.
    """
    score, best = clip_scores(images, texts), all_cosines(texts, references).amax(1).clamp(min=0)
    return 2 * score * best / (score + best).clamp(min=torch.finfo(score.dtype).tiny)


def mean_cosines(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, " n"]:
    """Mean raw cosine of each `a` to all `b`, −1 … 1 (CLIP-I, DINO: Ruiz et al. 2023, section 4.2)."""
    return all_cosines(a, b).mean(1)


def nearest(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Raw cosine of each `a` to the `b` most like it, −1 … 1, and which that is."""
    best = all_cosines(a, b).max(1)
    return best.values, best.indices


def mean_distances(a: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Mean distance, 1 − cosine, of each to all others, 0 … 2: their mean is the mean pairwise distance."""
    return (1 - all_cosines(a, a)).fill_diagonal_(0).sum(1) / (len(a) - 1)
