"""The tight cluster with an odd point: Nachum et al., Batch Normalization Decomposed (arXiv 2412.02843).

The infinite-width map of recentering + ReLU on Gram matrices (C = H G H, then the arc-cosine kernel), restricted to one
point and m = n − 1 exchangeable others. Recentered, such a batch has two numbers, and up to scale one:

    C = v vᵀ + s P,    v = (m, −1, …, −1) / √(m n),    t = n (m − 1) s,

P projecting on the contrasts within the cluster. t = 0: the cluster is one point; t = n (n − 2): no point is odd.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from normscope.theory.activations.arccos import relu_cosine, relu_derivative_cosine

_GRID = 4000  # values of t between which a root is looked for: fixed points are few and far apart
_HALVINGS = 60

Array = NDArray[np.float64]


class OddPointConfiguration(NamedTuple):
    """A batch of one odd point and a cluster of n − 1 exchangeable points, behind the ReLU."""

    cluster_cosine: float
    """Cosine of two points of the cluster."""
    odd_cosine: float
    """Cosine of the odd point to each of them."""
    norm_ratio: float
    """Norm of the odd point over that of the others."""
    mean_cosine: float
    """Mean over all pairs of the batch."""
    rate: float
    """Largest |eigenvalue| of the Jacobian modulo scale: what is left of a small deviation after one more layer."""


def odd_point_configuration(n: int) -> OddPointConfiguration | None:
    """The odd-point configuration to which recentering + ReLU draws nearby batches, in a wide network.

    A fixed point t' = t of the map of this module at which all eigenvalues of the Jacobian modulo scale are inside the
    unit circle. As n → ∞ the cosines go to 1 and 0 and the norm ratio to n − 1: the idealized configuration of the
    paper, which at every n is a fixed point too (t = 0), but a repelling one: 1 − cluster cosine grows by
    n² / ((n − 1)² + 1) per layer. Other batches are drawn to the symmetric point, which is stable as well.

    Args:
        n: batch size, at least 3.

    Returns:
        The configuration, its root found to rounding; None where there is no such fixed point (n <= 6).

    Raises:
        ValueError: n < 3, where no point is odd.

    Source: the map is recentering and the kernel of Cho & Saul (2009); fixed point and spectrum are normscope's own.
    """
    if n < 3:
        raise ValueError(f"one point is odd among at least 3, got n = {n}")
    grid = np.geomspace(1 / n**2, n * (n - 2), _GRID, endpoint=False)
    rising = _next(n, grid) > grid
    falls = np.flatnonzero(rising[:-1] & ~rising[1:])
    if falls.size == 0:
        return None
    t = _root(n, grid[falls[0]], grid[falls[0] + 1])
    rate = float(np.abs(_spectrum(n, t)).max())
    return _configuration(n, t, rate) if rate < 1 else None


def _recentered(n: int, t: Any) -> tuple[float, float, Any, Any]:
    """The entries of C: odd point squared, odd with another, another squared, two others."""
    m = n - 1
    s = t / (n * (m - 1))
    return m / n, -1 / n, 1 / (m * n) + s * (1 - 1 / m), 1 / (m * n) - s / m


def _cosines(n: int, t: Any) -> tuple[Array, Array]:
    """Cosines in C: of the odd point to another, and of two others."""
    return -1 / np.sqrt(1 + t), (1 - t / (n - 2)) / (1 + t)


def _eigenvalues(n: int, t: Any) -> tuple[Array, Array]:
    """Those of the next C, along v and within the cluster, from those of this one, 1 and s."""
    m = n - 1
    odd, _, other, _ = _recentered(n, t)
    to_odd, to_others = _cosines(n, t)
    across, between = np.sqrt(odd * other) * relu_cosine(to_odd), other * relu_cosine(to_others)
    return (m * odd - 2 * m * across + other + (m - 1) * between) / n, other * _one_minus_relu_cosine(n, t)


def _one_minus_relu_cosine(n: int, t: Any) -> Array:
    """1 − J of two others, without the cancellation where they nearly coincide."""
    gap = t * (n - 1) / ((n - 2) * (1 + t))  # 1 − cosine
    angle = 2 * np.arcsin(np.sqrt(gap / 2))
    value: Array = gap + (angle * np.cos(angle) - np.sin(angle)) / np.pi
    return value


def _next(n: int, t: Any) -> Array:
    """t', one layer on."""
    along, within = _eigenvalues(n, t)
    return n * (n - 2) * within / along


def _root(n: int, low: float, high: float) -> float:
    """Where t' = t, between a ``low`` that rises and a ``high`` that falls."""
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if _next(n, middle) > middle else (low, middle)
    return low


def _configuration(n: int, t: float, rate: float) -> OddPointConfiguration:
    odd, _, other, _ = _recentered(n, t)
    across, within = (float(relu_cosine(c)) for c in _cosines(n, t))
    # of the n (n − 1)/2 pairs, n − 1 hold the odd point
    mean = (2 * across + (n - 2) * within) / n
    return OddPointConfiguration(within, across, float(np.sqrt(odd / other)), mean, rate)


def _spectrum(n: int, t: float) -> Array:
    """The different eigenvalues of the Jacobian modulo scale at the fixed point ``t``, for n >= 5.

    Perturbations of C keep its row sums zero. Under the permutations of the cluster they fall into those of t; those of
    single points, w_i with Σ w = 0, given by dC_ii = α w_i and dC_ij = γ (w_i + w_j) (each n − 2 times); and those of
    pairs, which change neither a norm nor the odd point's row.
    """
    m = n - 1
    odd, _, other, _ = _recentered(n, t)
    to_odd, to_others = _cosines(n, t)
    slope_odd, slope = float(relu_derivative_cosine(to_odd)), float(relu_derivative_cosine(to_others))
    # how a kernel entry √(ab) J follows a: √(b/a) (J − c J') / 2, and J − c J' = √(1 − c²)/π
    lift_odd = np.sqrt((1 - to_odd**2) * odd / other) / (2 * np.pi)
    lift = np.sqrt(1 - to_others**2) / (2 * np.pi)
    along, within = _eigenvalues(n, t)

    # of t: s changes the squared norm of the others by 1 − 1/m, their products by −1/m
    norm, product = 1 - 1 / m, slope * (-1 / m) + 2 * lift * (1 - 1 / m)
    d_along = (-2 * m * lift_odd * norm + norm + (m - 1) * product) / n
    of_t = ((norm - product) * along - within * d_along) / along**2

    columns = []
    for alpha, gamma in ((1.0, 0.0), (0.0, 1.0)):
        beta = -alpha - (m - 2) * gamma  # of the odd point's row: the row sums are zero
        next_beta, next_gamma = slope_odd * beta + lift_odd * alpha, slope * gamma + lift * alpha
        surplus = (alpha + next_beta + (m - 2) * next_gamma) / n  # the next recentering takes it out
        columns.append((alpha - 2 * surplus, next_gamma - surplus))
    of_points = np.linalg.eigvals(np.array(columns).T) / along
    return np.array([of_t, *of_points, slope / along])
