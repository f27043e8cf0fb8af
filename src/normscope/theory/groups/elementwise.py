"""Fixed points without recentering and rescaling: each entry of the Gram matrix is mapped for itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.optimize import brentq

from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import Array, GroupGram

_VARIANCES = np.geomspace(1e-9, 1e9, 721)
_COSINES = np.linspace(-1, 1, 401)[1:-1]
_EXACT = 1e-12


@lru_cache(maxsize=64)  # the same for groups of all sizes
def fixed_variances(layer: GroupMap) -> Array:
    """Squared norms v that one layer leaves as they are, in 1e-9 … 1e9: v = E φ(z)², z ~ N(0, σ_w² v + σ_b²)."""

    def drift(v: Array) -> Array:
        return layer.activation.second_moment(layer.weight_variance * v + layer.bias_variance) / v - 1

    return _crossings(drift, _VARIANCES)


@lru_cache(maxsize=64)
def fixed_cosines(layer: GroupMap, variance: float) -> tuple[float, ...]:
    """Cosines of two points of this fixed squared norm that one layer leaves as they are, from 1 down."""
    w, b, phi = layer.weight_variance, layer.bias_variance, layer.activation
    before = w * variance + b

    def drift(cosine: Array) -> Array:
        return phi.kernel(before, before, w * variance * cosine + b) / variance - cosine

    inner = [float(c) for c in _crossings(drift, _COSINES)]
    ends = [float(c) for c in (1.0, -1.0) if abs(float(drift(np.array(c)))) < _EXACT]
    return tuple(sorted({*inner, *ends}, reverse=True))


def grams(layer: GroupMap, sizes: Array) -> list[GroupGram]:
    """Every Gram matrix of groups of these sizes whose points all have one fixed norm, and pairs fixed cosines.

    Those are left out in which two groups cannot be told apart, and those that are not positive semidefinite.
    """
    found = []
    first, second = np.triu_indices(sizes.size)
    pairs = [(g, h) for g, h in zip(first, second, strict=True) if g != h or sizes[g] > 1]
    for variance in fixed_variances(layer):
        for cosines in product(fixed_cosines(layer, float(variance)), repeat=len(pairs)):
            distances = np.zeros((sizes.size, sizes.size))
            for (g, h), cosine in zip(pairs, cosines, strict=True):
                distances[g, h] = distances[h, g] = 2 * variance * (1 - cosine)
            gram = GroupGram(sizes, np.full(sizes.size, variance), distances)
            if _possible(gram) and not merged(gram):
                found.append(gram)
    return found


def merged(gram: GroupGram, tolerance: float = 1e-9) -> bool:
    """Whether two of the groups are one: all their points are exchangeable."""
    v, d = gram.variances, gram.distances
    m = gram.sizes.size
    for g in range(m):
        for h in range(g):
            others = [a for a in range(m) if a not in (g, h)]
            same = [v[g] - v[h], *(d[g, others] - d[h, others])]
            same += [d[a, a] - d[g, h] for a in (g, h) if gram.sizes[a] > 1]
            if np.all(np.abs(same) < tolerance * (v[g] + v[h])):
                return True
    return False


def _possible(gram: GroupGram) -> bool:
    matrix = gram.matrix
    return bool(np.linalg.eigvalsh(matrix.quotient)[0] > -1e-9 * gram.trace)


def _crossings(function: Callable[[Array], Array], grid: Array) -> Array:
    values = np.asarray(function(grid))
    places = np.flatnonzero(np.isfinite(values[:-1] * values[1:]) & (np.sign(values[:-1]) * np.sign(values[1:]) < 0))
    roots = [
        brentq(lambda x: float(function(np.array(x))), grid[i], grid[i + 1], xtol=1e-15, rtol=1e-14) for i in places
    ]
    on_grid = grid[values == 0]
    return np.sort(np.concatenate([np.array(roots), on_grid]))
