"""How many regions there are layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition

_DRAWS = 200


def regions_through(partition: Partition) -> NDArray[np.int64]:
    """Number of regions by folds 0 … k, for every fold k: what only later folds divide counts as one.

    Returns:
        One number a fold of the model, in order; those of folds that were not done repeat the last one.
    """
    return np.array([merged_regions(partition, k).max(initial=-1) + 1 for k in range(len(partition.folds))])


def merged_regions(partition: Partition, fold: int) -> NDArray[np.int64]:
    """Of each region of the partition, the number (0, 1, …) of the region by folds 0 … ``fold`` that holds it.

    Args:
        partition: any.
        fold: index of the last fold that counts.
    """
    edges = partition.edges
    left, right = edges["left"].to_numpy(), edges["right"].to_numpy()
    later = (edges["fold"].to_numpy() > fold) & (left >= 0) & (right >= 0)
    count = len(partition.area)
    graph = coo_array((np.ones(later.sum(), bool), (left[later], right[later])), shape=(count, count))
    numbers: NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return numbers.astype(np.int64)


def born_through(partition: Partition, fold: int) -> NDArray[np.int64]:
    """Of each region, the last of folds 0 … ``fold`` that cut the region by these folds that holds it; −1: none.

    It is the last one on its border: the fold that cut a region last has an edge there, which no later one took away.
    """
    edges = partition.edges
    merged, made = merged_regions(partition, fold), edges["fold"].to_numpy()
    found: NDArray[np.int64] = np.full(merged.max() + 1, -1)
    for side in ("left", "right"):
        region = edges[side].to_numpy()
        counts = (region >= 0) & (made <= fold)
        np.maximum.at(found, merged[region[counts]], made[counts])
    return found[merged]


def apart(partition: Partition, merged: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Of each region a number below ``count``: the same within a merged region, and different at its neighbours.

    Numbers are drawn, and drawn again where neighbours share one. A region with more neighbours than there are numbers
    may go on sharing one with some.

    Args:
        partition: any.
        merged: (R,), as `merged_regions` gives.
        count: how many numbers there are.
    """
    edges = partition.edges
    sides = edges[["left", "right"]].to_numpy()
    pairs = merged[sides[(sides >= 0).all(axis=1)]]
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    draw = np.random.default_rng(0)
    numbers = draw.integers(0, count, merged.max() + 1)
    for _ in range(_DRAWS):
        again = np.unique(pairs[numbers[pairs[:, 0]] == numbers[pairs[:, 1]], 1])
        if not again.size:
            break
        numbers[again] = draw.integers(0, count, len(again))
    found: NDArray[np.int64] = numbers[merged]
    return found
