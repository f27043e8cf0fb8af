"""Expectations of any function of two correlated Gaussians, by quadrature in polar coordinates.

In coordinates in which the pair is standard, x = 0 and y = 0 are rays from the origin at angles π − θ and θ to each
other. On either side of them a φ with a kink or a jump at 0 is smooth, whatever θ is; and double-exponential rules
(Takahasi & Mori, 1974) in angle and radius gather their nodes at rays and origin, where a φ that saturates changes
fast. So neither a kink at 0 nor strong correlation nor a large variance costs accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from normscope.theory.activations.kernel import Array

Integrand = Callable[[Array, Array], Array]

TOLERANCE = 1e-11
"""Relative difference of two rules, the second twice as fine, at which refinement ends."""

LEVELS = 4
"""How often the coarsest rule may be doubled."""

_COARSEST = 24  # intervals of the coarsest rule
_ANGLE_END = 3.2  # the ends of the angular variable: nodes to 1e-17 from the rays
_RADIUS_ENDS = (-4.0, 6.5)  # radii² / 2 from 1e-26 to 660: even exp(0.49 x²) has vanished there
_CHUNK = 1 << 21  # values evaluated at a time
_NEAR = 0.1  # angle below which the second of two points is found by its distance from the first


def expectation(
    integrand: Integrand,
    v1: Array,
    v2: Array,
    theta: Array,
    *,
    dimension: float = np.inf,
    noise: ArrayLike = 0.0,
    levels: int = LEVELS,
) -> tuple[Array, Array]:
    """E f(x, y) for centred Gaussians of variances v1, v2 and correlation cos θ, and an estimate of its error.

    With a finite dimension m, (x, y) are two projections of a point uniform on a sphere in m dimensions instead, with
    the same second moments; as m → ∞ they are Gaussian.

    The error is the difference between the last two rules, and rounding. It is an estimate: a jump or kink of f at
    lines other than x = 0 and y = 0 makes convergence slow, and the estimate says so.

    Args:
        integrand: f, elementwise on two arrays of one shape.
        v1: variances of x, any shape.
        v2: variances of y, that shape.
        theta: arccos of the correlation, in [0, π], that shape.
        dimension: that of the sphere, at least 2.
        noise: for an f that is a square, the rounding of its root (that shape): no refinement helps against it.
        levels: how often the rule may be doubled. With 0 it is one rule of some four digits, whose error is not known.

    Returns:
        values and errors, of that shape.

    Raises:
        ValueError: f is not finite, or grows so fast that the expectation does not exist.
    """
    pairs = np.stack([np.sqrt(v1).ravel(), np.sqrt(v2).ravel(), theta.ravel()])
    value, error = _rule(integrand, pairs, 0, dimension)[0], np.full(pairs.shape[1], np.inf)
    open_, blur = np.arange(pairs.shape[1]), np.broadcast_to(noise, theta.shape).ravel()
    for level in range(1, levels + 1):
        finer, size = _rule(integrand, pairs[:, open_], level, dimension)
        rounding = 1e-15 * size + blur[open_] * (np.sqrt(size) + blur[open_])
        error[open_] = np.abs(finer - value[open_]) + rounding
        value[open_] = finer
        open_ = open_[error[open_] > TOLERANCE * size + 2 * rounding]
        if open_.size == 0:
            break
    return value.reshape(theta.shape), error.reshape(theta.shape)


def expectation_of_one(function: Callable[[Array], Array], variances: Array) -> Array:
    """E f(x) for x ~ N(0, v): the radial rule of `expectation` on both half-lines, refined alike.

    Args:
        function: f, elementwise on an array.
        variances: v, any shape.

    Returns:
        values, of that shape.

    Raises:
        ValueError: f is not finite, or grows so fast that the expectation does not exist.
    """
    scales = np.sqrt(variances).ravel()
    value = _half_lines(function, scales, 0)[0]
    open_ = np.arange(scales.size)
    for level in range(1, LEVELS + 1):
        finer, size = _half_lines(function, scales[open_], level)
        settled = np.abs(finer - value[open_]) <= TOLERANCE * size
        value[open_] = finer
        open_ = open_[~settled]
        if open_.size == 0:
            break
    return value.reshape(variances.shape)


def _half_lines(function: Callable[[Array], Array], scales: Array, level: int) -> tuple[Array, Array]:
    """The integral at each scale, and that of the function's absolute value."""
    radii, weights = _radius_rule(level, np.inf)
    weights = weights / radii / np.sqrt(2 * np.pi)  # that rule is for an integral over the plane
    step = max(1, _CHUNK // radii.size)
    parts = []
    for at in range(0, scales.size, step):
        x = scales[at : at + step, None] * radii
        with np.errstate(all="ignore"):
            terms = (function(x) + function(-x)) * weights
            sizes = (np.abs(function(x)) + np.abs(function(-x))) * weights
        _require_moment(sizes, scales[at : at + step] ** 2)
        parts.append(np.stack([terms.sum(axis=-1), sizes.sum(axis=-1)]))
    value, size = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))
    return value, size


def _require_moment(shells: Array, variances: Array) -> None:
    """Whether an integral of nonnegative ``shells`` (…, radii) has converged where its rule ends.

    Raises:
        ValueError: it has not, or is not finite.
    """
    if not np.all(np.isfinite(shells)) or np.any(shells[..., -1] > 1e-12 * shells.max(axis=-1)):
        raise ValueError(
            f"the activation is not finite or grows too fast for Gaussian input of variance {np.max(variances):g}: "
            "its second moment does not exist in float64"
        )


def _rule(integrand: Integrand, pairs: Array, level: int, dimension: float) -> tuple[Array, Array]:
    """The integral of each pair, and that of the integrand's absolute value."""
    fractions, rests, angle_weights = _angle_rule(level)
    radii, radius_weights = _radius_rule(level, dimension)
    step = max(1, _CHUNK // (fractions.size * radii.size))
    parts = [
        _chunk(integrand, pairs[:, at : at + step], (fractions, rests, angle_weights), (radii, radius_weights))
        for at in range(0, pairs.shape[1], step)
    ]
    value, size = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))
    return value, size


def _chunk(
    integrand: Integrand,
    pairs: Array,
    angles: tuple[Array, Array, Array],
    radial: tuple[Array, Array],
) -> Array:
    s1, s2, theta = (row[:, None] for row in pairs)
    fractions, rests, angle_weights = angles
    radii, radius_weights = radial
    same = _same_side(s1, s2, theta, fractions, rests)
    opposite = s1 * np.sin(theta * fractions), -s2 * np.sin(theta * rests)
    total = np.zeros((2, len(s1)))
    for (x, y), width in ((same, np.pi - theta[:, 0]), (opposite, theta[:, 0])):
        for side in (1.0, -1.0):
            with np.errstate(all="ignore"):
                f = integrand(side * x[..., None] * radii, side * y[..., None] * radii)
                shells = np.stack([angle_weights @ f, angle_weights @ np.abs(f)]) * radius_weights
            _require_moment(shells[1], pairs[:2] ** 2)
            total += shells.sum(axis=-1) * width / (2 * np.pi)
    return total


def _same_side(s1: Array, s2: Array, theta: Array, fractions: Array, rests: Array) -> tuple[Array, Array]:
    """X and y at radius 1 in the sector in which both are positive: s1 sin β and s2 sin(π − θ − β).

    For close points the one further from its ray is the other one and their difference, which keeps its accuracy.
    """
    width = np.pi - theta
    x, y = s1 * np.sin(width * fractions), s2 * np.sin(width * rests)
    gamma = width * (fractions - 0.5)
    apart = (s1 - s2) * np.cos(theta / 2) * np.cos(gamma) + (s1 + s2) * np.sin(theta / 2) * np.sin(gamma)
    first = fractions < 0.5
    near = theta < _NEAR
    return np.where(near & ~first, y + apart, x), np.where(near & first, x - apart, y)


@lru_cache(maxsize=LEVELS + 1)
def _angle_rule(level: int) -> tuple[Array, Array, Array]:
    """Tanh-sinh: nodes p in (0, 1), 1 − p, and weights."""
    t, step = _grid(-_ANGLE_END, _ANGLE_END, level)
    bend = np.pi * np.sinh(t)
    p, rest = 1 / (1 + np.exp(-bend)), 1 / (1 + np.exp(bend))
    return p, rest, step * np.pi * np.cosh(t) * p * rest


@lru_cache(maxsize=64)
def _radius_rule(level: int, dimension: float) -> tuple[Array, Array]:
    """Radii R and weights for ∫_0^∞ f(R) R exp(−R²/2) dR, by u = R²/2 = exp(t − exp(−t)).

    On a sphere of radius √m, the squared part in a plane, R²/m, has density ∝ (1 − R²/m)^(m/2 − 2): the same weights
    exp(−u) at 1 − R²/m = exp(−2u / (m − 2)).
    """
    t, step = _grid(*_RADIUS_ENDS, level)
    u = np.exp(t - np.exp(-t))
    weights = step * u * (1 + np.exp(-t)) * np.exp(-u)
    if dimension == np.inf:
        return np.sqrt(2 * u), weights
    if dimension == 2:
        return np.full_like(u, np.sqrt(2.0)), weights
    return np.sqrt(-dimension * np.expm1(-2 * u / (dimension - 2))), weights


def _grid(low: float, high: float, level: int) -> tuple[Array, float]:
    intervals = _COARSEST << level
    return np.linspace(low, high, intervals + 1), (high - low) / intervals
