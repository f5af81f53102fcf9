"""Vectors of unit length → groups that are alike on average, in memory that grows with the vectors and not their pairs.

Average linkage (Sokal and Michener 1958) by chains of nearest neighbours (Murtagh 1983): of groups A and B the mean of
all cosines is the product of the mean of A and the mean of B. This file does not know faces.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


class Join(NamedTuple):
    """Two groups became one: a vector of each by its place, and the mean of the cosines between the two."""

    one: int
    other: int
    cosine: float


def joined(vectors: Float[np.ndarray, "n d"]) -> list[Join]:
    """The joins that make one group of all vectors, n − 1 of them, in no particular order."""
    means, sizes = vectors.astype(np.float64), np.ones(len(vectors))
    there = np.ones(len(vectors), bool)  # a group is where the first of its vectors is
    found: list[Join] = []
    chain: list[int] = []
    while len(found) < len(vectors) - 1:
        if not chain:
            chain = [int(there.argmax())]
        cosines = np.where(there, means @ means[chain[-1]], -np.inf)
        cosines[[*chain[:-2], chain[-1]]] = -np.inf  # back in the chain only rounding could lead
        nearest = int(cosines.argmax())
        if len(chain) < 2 or cosines[nearest] > cosines[chain[-2]]:
            chain.append(nearest)
            continue
        one, other = sorted((chain.pop(), chain.pop()))  # each is the other's nearest
        found.append(Join(one, other, float(cosines[nearest])))
        sizes[one] += sizes[other]
        means[one] += (means[other] - means[one]) * sizes[other] / sizes[one]
        there[other] = False
    return found


def groups(joins: list[Join], cosine: float) -> Int64[np.ndarray, " n"]:
    """The number of each vector's group, from 0, where those joined at a mean cosine from `cosine` on are one."""
    near = [(join.one, join.other) for join in joins if join.cosine >= cosine]
    one, other = np.array(near, np.int64).reshape(-1, 2).T
    count = len(joins) + 1
    pairs = coo_array((np.ones(len(near), bool), (one, other)), (count, count))
    return connected_components(pairs, directed=False)[1].astype(np.int64)
