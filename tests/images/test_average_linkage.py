"""average_linkage.py: the groups are those of scipy, which looks at every pair."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from caplora.images.average_linkage import groups, joined


def faces(seed: int, count: int, persons: int, spread: float) -> np.ndarray:
    """Vectors of unit length around so many directions."""
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(persons, 128))[rng.integers(0, persons, count)] + spread * rng.normal(size=(count, 128))
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.mark.parametrize("spread", [0.05, 0.5, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_groups_are_scipys(seed: int, spread: float) -> None:
    vectors = faces(seed, 80, 7, spread)
    tree, joins = linkage(pdist(vectors, "cosine"), "average"), joined(vectors)
    assert sorted(1 - join.cosine for join in joins) == pytest.approx(np.sort(tree[:, 2]), abs=1e-12)
    for cosine in (-0.2, 0.0, 0.1, 0.363, 0.8, 0.95):
        pairs = {*zip(groups(joins, cosine).tolist(), fcluster(tree, 1 - cosine, "distance").tolist(), strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_copies_are_one_group_whatever_rounding_says() -> None:
    vectors = np.repeat(faces(0, 9, 9, 1.0), 30, axis=0)
    assert groups(joined(vectors), 0.95).max() == 8
    assert len({*groups(joined(vectors), 0.95)[:30].tolist()}) == 1


def test_one_vector_is_a_group_and_none_is_none() -> None:
    assert groups(joined(np.ones((1, 1))), 0.5).tolist() == [0]
