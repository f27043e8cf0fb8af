"""The eigenvalues of a layer's derivative at a fixed point, with the multiplicities that permutations give them.

The changes of a symmetric n × n matrix split as `linearization` says: one block of shared changes, once; for each group
of k ≥ 2 one block of single points, k − 1 times; one number for pairs within it, k(k − 3)/2 times; one for each two
groups, (k_g − 1)(k_h − 1) times. With recentering, the n changes v 1ᵀ + 1 vᵀ go to 0. In all n(n + 1)/2 eigenvalues,
one less modulo scale.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from normscope.theory.groups.chart import Chart
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import Array, GroupGram
from normscope.theory.groups.linearization import Linearized

_DECIMALS = 10
_SAME = 1e-10  # eigenvalues closer than this are one, of the sum of the multiplicities

Values = NDArray[np.complex128] | NDArray[np.float64]


class Spectrum(NamedTuple):
    """Different eigenvalues by falling modulus, how often each occurs, and what belongs to shared changes alone."""

    values: Values
    multiplicities: NDArray[np.int64]
    shared: Values
    """Those of shared changes, which keep the groups exchangeable, without the zeros of recentering."""


def spectrum(layer: GroupMap, gram: GroupGram) -> Spectrum:
    """The eigenvalues of the layer's derivative at a fixed point, modulo scale where the layer is scale-free.

    Where the derivative does not exist because a tight group leaves it with infinite speed (φ with a jump; rescaling of
    points that span less than three dimensions), the eigenvalue is inf.

    Args:
        layer: the map.
        gram: a fixed point of it, up to scale if the layer is scale-free.
    """
    sizes, derivative = gram.sizes, Linearized(layer, gram)
    if _without_derivative(derivative):
        return _no_derivative(layer, sizes)
    steep = _steep(derivative, gram)
    shared, factor = _shared(derivative, gram, steep)

    found: list[tuple[Values, float]] = [(shared, 1)]
    for g, k in enumerate(sizes):
        if k > 1:
            block = derivative.single_points(g)
            if g in steep and k > 2:
                delta = 0 if layer.recenter else 1
                block = np.delete(np.delete(block, delta, 0), delta, 1)
            found.append((_eigenvalues(block / factor), k - 1))
    pairs = derivative.pairs() / factor
    for g, k in enumerate(sizes):
        if k > 3 and g not in steep:
            found.append((pairs[g, g, None], k * (k - 3) / 2))
        found += [
            (pairs[g, h, None], (k - 1) * (sizes[h] - 1))
            for h in range(g)
            if k > 1 and sizes[h] > 1 and not {g, h} <= steep
        ]
    if layer.recenter:
        found.append((np.zeros(1), sizes.sum()))
    directions = sum(sizes[g] - 1 for g in steep)
    if directions:
        found.append((np.full(1, np.inf), directions * (directions + 1) / 2))
    return Spectrum(*_joined(found), _with_infinite(shared, steep))


def shared_eigenvalues(derivative: Linearized, gram: GroupGram) -> Values:
    """Those of shared changes alone, as `Spectrum` has them, from the derivative at ``gram``."""
    if _without_derivative(derivative):
        return np.full(1, np.inf)
    steep = _steep(derivative, gram)
    return _with_infinite(_shared(derivative, gram, steep)[0], steep)


def _shared(derivative: Linearized, gram: GroupGram, steep: frozenset[int]) -> tuple[Values, float]:
    """Eigenvalues of shared changes that keep the groups in ``steep`` tight, and the growth of the fixed point."""
    layer = derivative.layer
    chart = Chart(gram.sizes, recenter=layer.recenter, tight=steep)
    point, after = chart.pack(gram), chart.pack(derivative.after)
    jacobian, factor = chart.jacobian(derivative), 1.0
    if layer.scale_free:
        largest = int(np.argmax(point))
        factor = float(after[largest] / point[largest])
        jacobian = jacobian - np.outer(point / point[largest], jacobian[largest])
        jacobian = np.delete(np.delete(jacobian, largest, 0), largest, 1)
    return _eigenvalues(jacobian / factor), factor


def _with_infinite(shared: Values, steep: frozenset[int]) -> Values:
    shared = np.concatenate([np.full(len(steep), np.inf), shared])
    return shared[_by_modulus(shared)]


def _steep(derivative: Linearized, gram: GroupGram) -> frozenset[int]:
    """The tight groups that spread with infinite slope."""
    tight = (g for g in range(gram.sizes.size) if gram.sizes[g] > 1 and gram.contrasts[g] == 0)
    return frozenset(g for g in tight if _leaves_at_once(derivative, g))


def _without_derivative(derivative: Linearized) -> bool:
    """Whether φ jumps where points of two groups are parallel or antiparallel."""
    return bool(np.any(derivative.steep & ~np.eye(derivative.sizes.size, dtype=bool)))


def _leaves_at_once(derivative: Linearized, group: int) -> bool:
    """Whether a tight group spreads with infinite slope: φ jumps, or z has so few dimensions that E 1/‖z‖² = ∞."""
    too_few = derivative.layer.tilts and derivative.mixture.rank <= 2
    return bool(np.any(derivative.steep[group, group]) or np.any(too_few))


def _no_derivative(layer: GroupMap, sizes: Array) -> Spectrum:
    """Where φ jumps and points are antiparallel, or parallel across groups: nothing but inf can be said."""
    n = sizes.sum()
    count = np.array([round(n * (n + 1) / 2) - layer.scale_free], dtype=np.int64)
    return Spectrum(np.full(1, np.inf), count, np.full(1, np.inf))


def _eigenvalues(block: Array) -> Values:
    values = np.linalg.eigvals(block) if block.size else np.zeros(0)
    if np.all(np.abs(values.imag) < 1e-12):
        return np.asarray(values.real, dtype=np.float64)
    return np.asarray(values, dtype=np.complex128)


def _by_modulus(values: Values) -> NDArray[np.intp]:
    """The order of falling modulus; of one modulus the larger first, so that rounding orders none."""
    return np.lexsort([-np.round(values.imag, _DECIMALS), -np.round(values.real, _DECIMALS), -_moduli(values)])


def _moduli(values: Values) -> Array:
    return np.asarray(np.round(np.abs(values), _DECIMALS))


def _joined(
    found: list[tuple[Values, float]],
) -> tuple[Values, NDArray[np.int64]]:
    """All eigenvalues by falling modulus, those that differ by rounding joined."""
    values = np.concatenate([part for part, _ in found])
    counts = np.concatenate([np.full(part.size, round(times), dtype=np.int64) for part, times in found])
    order = _by_modulus(values)
    values, counts = values[order], counts[order]
    kept: list[int] = []
    totals: list[int] = []
    for i, value in enumerate(values):
        same = [j for j, k in enumerate(kept) if values[k] == value or abs(values[k] - value) < _SAME]
        if same:
            totals[same[0]] += int(counts[i])
        else:
            kept.append(i)
            totals.append(int(counts[i]))
    return values[kept], np.array(totals, dtype=np.int64)
