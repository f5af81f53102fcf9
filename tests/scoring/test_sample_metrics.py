"""sample_metrics.py: CLIPScore and what is like it, on vectors whose values can be worked out by hand."""

import torch

from caplora.scoring.sample_metrics import clip_scores, mean_distances, nearest, ref_clip_scores

A = torch.tensor([[1.0, 0.0], [1.0, 0.0], [3.0, 4.0]])
B = torch.tensor([[2.0, 0.0], [-1.0, 0.5], [4.0, 3.0]])


def test_clipscore_is_zero_below_orthogonal_and_two_and_a_half_at_best() -> None:
    torch.testing.assert_close(clip_scores(A, B), torch.tensor([2.5, 0.0, 2.5 * 24 / 25]))


def test_refclipscore_is_the_harmonic_mean_with_the_best_reference_and_zero_where_either_is() -> None:
    score, best = 2.4, 0.8  # of the third pair: 2.5 · 24/25, and (4, 3)/5 · (1, 0)
    expected = torch.tensor([2 * 2.5 / 3.5, 0.0, 2 * score * best / (score + best)])
    torch.testing.assert_close(ref_clip_scores(A, B, torch.tensor([[5.0, 0.0], [-1.0, 0.0]])), expected)
    assert ref_clip_scores(A, B, torch.tensor([[-4.0, -3.0]])).tolist()[2] == 0


def test_nearest_is_the_largest_cosine_and_where_it_is() -> None:
    values, places = nearest(A[2:], torch.tensor([[0.0, 1.0], [30.0, 40.0]]))
    assert values.tolist() == [1.0] and places.tolist() == [1]


def test_mean_distance_of_two_is_their_distance() -> None:
    torch.testing.assert_close(mean_distances(torch.tensor([[1.0, 0.0], [0.0, 2.0]])), torch.tensor([1.0, 1.0]))
