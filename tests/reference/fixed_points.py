"""Slow twins for fixed points: the whole Gram matrix, iterated, and its derivative by differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Layer = Callable[[np.ndarray], np.ndarray]


def dense_jacobian(layer: Layer, gram: np.ndarray, *, scale_free: bool, step: float = 1e-4) -> np.ndarray:
    """Five-point differences in all n(n + 1)/2 entries; with ``scale_free``, of the layer scaled to trace n."""
    n = len(gram)
    rows, columns = np.triu_indices(n)
    bumps = np.zeros((len(rows), n, n))
    bumps[range(len(rows)), rows, columns] = bumps[range(len(rows)), columns, rows] = step * np.trace(gram) / n

    def normalized(grams: np.ndarray) -> np.ndarray:
        after = layer(grams)
        return after * (n / np.trace(after, axis1=-2, axis2=-1)[..., None, None]) if scale_free else after

    near = normalized(gram + bumps) - normalized(gram - bumps)
    far = normalized(gram + 2 * bumps) - normalized(gram - 2 * bumps)
    slopes = (8 * near - far) / (12 * step * np.trace(gram) / n)
    return slopes[:, rows, columns].T


def largest_mismatch(expected: np.ndarray, values: np.ndarray, counts: np.ndarray) -> float:
    """Between eigenvalues and different eigenvalues with multiplicities, matched in the best way."""
    from scipy.optimize import linear_sum_assignment

    repeated = np.repeat(values.astype(complex), counts)
    costs = np.abs(expected[:, None] - repeated[None, :])
    rows, columns = linear_sum_assignment(costs)
    return float(costs[rows, columns].max())


def starts(n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Gram matrices of Gaussian batches of several ranks, of clusters, and of points that lie far out."""
    noise = 1e-2 * rng.standard_normal((n, n))
    for rank in (1, 2, 3, n, 4 * n):
        points = np.concatenate([rng.standard_normal((n, rank)), noise], axis=1)
        yield points @ points.T / rank
    for clusters in (2, 3):
        centres = rng.standard_normal((clusters, 6))
        points = np.concatenate([centres[rng.integers(0, clusters, n)], noise], axis=1)
        points[:, :6] += 0.1 * rng.standard_normal((n, 6))
        yield points @ points.T
    for far in (1, 2):
        points = np.concatenate([1 + 0.2 * rng.standard_normal((n, 6)), noise], axis=1)
        points[:far, :6] += 5 * rng.standard_normal((far, 6))
        yield points @ points.T


def shape(gram: np.ndarray) -> np.ndarray:
    """Norms over the largest, and cosines, each sorted: the same for batches that differ by order and scale."""
    norms = np.sqrt(np.diagonal(gram))
    cosines = (gram / np.outer(norms, norms))[np.triu_indices(len(gram), 1)]
    return np.concatenate([np.sort(norms / norms.max()), np.sort(cosines)])
