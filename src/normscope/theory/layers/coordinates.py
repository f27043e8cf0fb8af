"""Coordinates of points from their norms and distances, right to rounding also within tight clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from normscope.theory.activations.kernel import Array

_EPS = float(np.finfo(np.float64).eps)


def principal_coordinates(distances: Array, variances: Array | None) -> Array:
    """Y, of which Y Yᵀ is the Gram matrix and Yᵀ Y diagonal: the points along their principal axes, the longest first.

    An eigendecomposition of the Gram matrix has errors ε L², L the largest length: clusters tighter than √ε L vanish.
    Here the edges of a minimum spanning tree are orthogonalized, long ones first, so that a short edge is known as well
    as a long one: coordinates have errors ε L, small distances D relative errors ε L / √D. What remains lost is by how
    little far points miss a common line or plane, below about √(nε) L: norms and distances do not hold that, and it
    counts as 0.

    Args:
        distances: squared distances (n, n).
        variances: squared norms (n,), which say where the origin is; None: it is the mean of the points.

    Returns:
        Y (n, r), r the rank, 0 where all points are at the origin.
    """
    n = len(distances)
    every = distances if variances is None else _with_origin(distances, variances)
    ends, paths = _tree(every)
    points = paths @ _orthogonalized(_edge_gram(every, ends))
    points = points - points.mean(axis=0) if variances is None else points[1:]
    left, singular, _ = np.linalg.svd(points, full_matrices=False)
    rank = int(np.sum(singular > 4 * n * _EPS * singular.max(initial=0.0)))
    return np.asarray(left[:, :rank] * singular[:rank])


def _with_origin(distances: Array, variances: Array) -> Array:
    """The squared distances of the origin, in front, and the points."""
    n = len(variances)
    every = np.zeros((n + 1, n + 1))
    every[1:, 1:] = distances
    every[0, 1:] = every[1:, 0] = variances
    return every


def _tree(every: Array) -> tuple[NDArray[np.intp], Array]:
    """Edges (m − 1, 2) of a minimum spanning tree, parent to child, and which of them lead from node 0 to each node."""
    # sparse, and nowhere 0: of a dense matrix, scipy takes weights near 0 for no edge at all
    tree = minimum_spanning_tree(csr_array(np.maximum(every, np.finfo(np.float64).tiny)))
    order, parents = breadth_first_order(tree, 0, directed=False)
    count = len(every)
    paths = np.zeros((count, count - 1))
    for child in order[1:]:
        paths[child] = paths[parents[child]]
        paths[child, child - 1] = 1.0
    return np.column_stack([parents[1:], np.arange(1, count)]), paths


def _edge_gram(every: Array, ends: NDArray[np.intp]) -> Array:
    """⟨b − a, d − c⟩ = ((D_bc − D_bd) + (D_ad − D_ac)) / 2 of all pairs of edges from a to b and from c to d."""
    start, end = ends.T
    from_start, from_end = every[np.ix_(start, end)], every[np.ix_(end, end)]
    gram = ((every[np.ix_(end, start)] - from_end) + (from_start - every[np.ix_(start, start)])) / 2
    return np.asarray((gram + gram.T) / 2)


def _orthogonalized(gram: Array) -> Array:
    """A factor F with F Fᵀ = gram by pivoted Cholesky, the row of each edge right relative to that edge's length.

    What is left of an edge below the rounding of its products with the longest one is 0.
    """
    lengths = np.sqrt(np.diagonal(gram))
    floor = 8 * len(gram) * _EPS * lengths * lengths.max(initial=0.0)
    rest, factor = gram.copy(), np.zeros_like(gram)
    for column in range(len(gram)):
        left = np.diagonal(rest)
        alive = left > floor
        if not alive.any():
            return factor[:, :column]
        pivot = int(np.argmax(np.where(alive, left, 0.0)))
        factor[alive, column] = rest[alive, pivot] / np.sqrt(left[pivot])
        rest -= np.outer(factor[:, column], factor[:, column])
        floor[pivot] = np.inf
    return factor
