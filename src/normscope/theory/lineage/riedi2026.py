"""What hyperplanes through the mean separate: Riedi, Balestriero and Baraniuk (PMLR 334, 2026).

A unit of a recentered layer with a Gaussian weight vector w cuts its input space by {x : ⟨w, x − g⟩ = 0}, g the mean of
the batch: a hyperplane through g with a uniformly random normal.
"""

from __future__ import annotations

import operator
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, erfc

Array = NDArray[np.float64]


def separation_probability(u: ArrayLike, v: ArrayLike, g: ArrayLike = 0.0) -> Array:
    """P[u and v on different sides] = ∠(u − g, v − g) / π: 1 when g is between them on their line.

    Args:
        u: Points, (..., d).
        v: Points, (..., d), broadcast against ``u``.
        g: The point that the hyperplane goes through, (..., d) or a number.

    Returns:
        (...), right to rounding also for tiny angles and near π.

    Raises:
        ValueError: ``u`` or ``v`` is a number, not a vector, or coincides with ``g``, where the angle is undefined.
    """
    a, b = (np.asarray(p, dtype=np.float64) - np.asarray(g, dtype=np.float64) for p in (u, v))
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError("points are vectors, (..., d), got a number")
    a, b = _unit(a), _unit(b)
    # Kahan's formula: arccos of the product would lose half of the digits at both ends
    return np.asarray(2 / np.pi * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)))


def cluster_separation_bound(points: SupportsIndex, half_distance: ArrayLike, spread: ArrayLike) -> Array:
    """P[two clusters not separated] <= (2/π) (2K − 1) / (r/δ − 1), clipped to 1, as published, for r > 2δ.

    K points within δ of the centre ±r e of their cluster, the hyperplane through the midpoint. The bound says nothing
    (it is 1) unless r/δ > 1 + (2/π)(2K − 1).

    Args:
        points: K, in each cluster, at least 1.
        half_distance: r > 2δ, any shape.
        spread: δ >= 0, any shape that broadcasts.

    Returns:
        In [0, 1], of the common shape.

    Raises:
        ValueError: ``points`` < 1, ``spread`` < 0 or ``half_distance`` <= 2 ``spread``.
    """
    k, r, delta = _clusters(points, half_distance, spread)
    if np.any(r <= 2 * delta):
        raise ValueError("the bound holds for a half distance of more than twice the spread; none was proved below it")
    return np.asarray(np.minimum(2 / np.pi * (2 * k - 1) * delta / (r - delta), 1.0))


def sharper_cluster_separation_bound(points: SupportsIndex, half_distance: ArrayLike, spread: ArrayLike) -> Array:
    """P[two clusters not separated] <= (2K/π) arcsin(δ/r), clipped to 1, for r > δ.

    A hyperplane that separates none of the 2K points from the centre of its cluster separates the clusters, as it
    separates the centres; and each of these pairs has an angle of at most arcsin(δ/r). Always below the published
    bound, by about a half for large K.

    Args, returns as `cluster_separation_bound`.

    Raises:
        ValueError: ``points`` < 1, ``spread`` < 0 or ``half_distance`` <= ``spread``.

    Source: derived here.
    """
    k, r, delta = _clusters(points, half_distance, spread)
    return np.asarray(np.minimum(2 * k / np.pi * np.arcsin(delta / r), 1.0))


def ball_separation_probability(dimension: ArrayLike, half_distance: ArrayLike, radius: ArrayLike) -> Array:
    """P[two balls separated] = P(|u_1| > δ/r) = 1 − I_(δ²/r²)(1/2, (K − 1)/2), exact for every dimension K.

    Balls of radius δ around ±r e in K dimensions, the hyperplane through the midpoint. It misses the balls if and
    only if |⟨w, r e⟩| > δ ‖w‖; ⟨w, e⟩/‖w‖ is a coordinate u_1 of a uniform unit vector, and u_1² a Beta(1/2, (K −
    1)/2) variable. In a space of more dimensions the balls of a K-dimensional subspace that holds e are separated
    with the same probability.

    Args:
        dimension: K >= 1, whole or not, any shape.
        half_distance: r > δ, any shape that broadcasts.
        radius: δ >= 0, any shape that broadcasts.

    Raises:
        ValueError: ``dimension`` < 1, ``radius`` < 0 or ``half_distance`` <= ``radius``, where the balls meet.
    """
    k, r, delta = _balls(dimension, half_distance, radius)
    ratio = (delta / r) ** 2
    several = np.where(k > 1, k, 2.0)  # in one dimension the normal is ±e, and the balls are always separated
    return np.asarray(np.where(k > 1, betainc((several - 1) / 2, 0.5, 1 - ratio), 1.0))


def ball_separation_limit(dimension: ArrayLike, half_distance: ArrayLike, radius: ArrayLike) -> Array:
    """P(|Z| > t), t = (δ/r) √K, Z standard normal: the limit of `ball_separation_probability` for K → ∞ at fixed t.

    As √K u_1 → Z. A limit with t = (δ/r) √(2K), as the sequel states it, belongs to r that is √2 times half of the
    distance: the norm of two orthogonal centres, for instance. Here r is half the distance, and the exact probability
    decides.

    Args and errors are those of `ball_separation_probability`.

    Raises:
        ValueError: ``dimension`` < 1, ``radius`` < 0 or ``half_distance`` <= ``radius``.
    """
    k, r, delta = _balls(dimension, half_distance, radius)
    return np.asarray(erfc(delta / r * np.sqrt(k / 2)))


def _unit(a: Array) -> Array:
    largest = np.abs(a).max(axis=-1, keepdims=True)
    if not np.all(largest > 0):
        raise ValueError("a point coincides with the point that the hyperplane goes through (or is not a number)")
    a = a / largest
    return np.asarray(a / np.linalg.norm(a, axis=-1, keepdims=True))


def _clusters(points: SupportsIndex, half_distance: ArrayLike, spread: ArrayLike) -> tuple[int, Array, Array]:
    k = operator.index(points)
    if k < 1:
        raise ValueError(f"a cluster has at least 1 point, got {k}")
    return k, *_apart(half_distance, spread, "spread")


def _balls(dimension: ArrayLike, half_distance: ArrayLike, radius: ArrayLike) -> tuple[Array, Array, Array]:
    k = np.asarray(dimension, dtype=np.float64)
    if not np.all(k >= 1):
        raise ValueError(f"a ball has at least 1 dimension, got {k[~(k >= 1)].flat[0]:g}")
    return k, *_apart(half_distance, radius, "radius")


def _apart(half_distance: ArrayLike, size: ArrayLike, name: str) -> tuple[Array, Array]:
    r, delta = np.broadcast_arrays(np.asarray(half_distance, np.float64), np.asarray(size, np.float64))
    if not np.all(delta >= 0):
        raise ValueError(f"{name} is at least 0, got {delta[~(delta >= 0)].flat[0]:g}")
    wrong = ~(r > delta)
    if np.any(wrong):
        raise ValueError(f"the half distance {r[wrong].flat[0]:g} is not more than the {name} {delta[wrong].flat[0]:g}")
    return r, delta
