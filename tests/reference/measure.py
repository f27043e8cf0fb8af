"""Slow, obvious twins of the measures: definitions as loops over points, in float64 numpy.

Those of the Gram measures take the points (n, d), not the Gram matrix, and have the names of the registry.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def gram(x: Points) -> NDArray[np.float64]:
    n, d = x.shape
    return np.array([[math.fsum(x[i] * x[j]) / d for j in range(n)] for i in range(n)])


def cosine(a: Points, b: Points) -> float:
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def _nonzero(x: Points) -> list[int]:
    return [i for i in range(len(x)) if np.any(x[i] != 0)]


def _mean_pairwise(x: Points, indices: list[int]) -> float:
    return float(np.mean([cosine(x[i], x[j]) for i, j in itertools.combinations(indices, 2)]))


def mean_cosine(x: Points) -> float:
    indices = _nonzero(x)
    return _mean_pairwise(x, indices) if len(indices) >= 2 else math.nan


def orthogonality_gap(x: Points) -> float:
    g = x @ x.T
    return float(np.linalg.norm(g / np.trace(g) - np.eye(len(x)) / len(x), "fro")) if g.any() else math.nan


def isometry_gap(x: Points) -> float:
    if not x.any():
        return math.nan
    if np.linalg.matrix_rank(x) < len(x):
        return math.inf
    squared = np.linalg.svd(x, compute_uv=False) ** 2
    return float(np.log(np.mean(squared)) - np.mean(np.log(squared)))


def effective_rank(x: Points) -> float:
    sigma = np.linalg.svd(x, compute_uv=False)
    if not x.any():
        return math.nan
    p = sigma / sigma.sum()
    return math.exp(-sum(v * math.log(v) for v in p if v > 0))


def stable_rank(x: Points) -> float:
    return float((np.linalg.norm(x, "fro") / np.linalg.norm(x, 2)) ** 2) if x.any() else math.nan


def rank_collapse(x: Points) -> float:
    m = x.T @ x  # the other side: features by features
    return float(np.trace(m) ** 2 / np.linalg.norm(m, "fro") ** 2) if x.any() else math.nan


def condition_number(x: Points) -> float:
    if not x.any():
        return math.nan
    return float(np.linalg.cond(x)) if np.linalg.matrix_rank(x) == len(x) else math.inf


def odd_point(x: Points) -> tuple[int, float, float, float, float]:
    """Index, cosine, cluster cosine, norm ratio, score: by trying every point."""
    indices = _nonzero(x)
    if len(indices) < 3:
        return -1, math.nan, math.nan, math.nan, math.nan
    rest = {i: [j for j in indices if j != i] for i in indices}
    s = {i: float(np.mean([cosine(x[i], x[j]) for j in rest[i]])) for i in indices}
    t = {i: _mean_pairwise(x, rest[i]) for i in indices}
    g = {i: t[i] - s[i] for i in indices}
    first, second = sorted(g.values(), reverse=True)[:2]
    candidate = min(i for i in indices if g[i] >= first - 1e-6)
    norm = np.linalg.norm(x, axis=1)
    ratio = norm[candidate] / np.mean([norm[j] for j in rest[candidate]])
    index = candidate if first - second > 1e-6 else -1
    return index, s[candidate], t[candidate], float(ratio), min(1.0, first - second)


def odd_cosine(x: Points) -> float:
    return odd_point(x)[1]


def cluster_cosine(x: Points) -> float:
    return odd_point(x)[2]


def odd_norm_ratio(x: Points) -> float:
    return odd_point(x)[3]


def odd_score(x: Points) -> float:
    return odd_point(x)[4]


def channel_moments(x: NDArray[np.float64], channel_dim: int) -> tuple[list[float], list[float]]:
    means, variances = [], []
    for c in range(x.shape[channel_dim]):
        values = x.take(c, axis=channel_dim).ravel()
        mean = math.fsum(values) / len(values)
        means.append(mean)
        variances.append(math.fsum((v - mean) ** 2 for v in values) / len(values))
    return means, variances


def gradient_coherence(g: NDArray[np.float64]) -> float:
    entries = g.reshape(len(g), -1).T
    return sum(abs(math.fsum(e)) for e in entries) / sum(math.fsum(abs(e)) for e in entries)
