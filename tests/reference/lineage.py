"""Slow, obvious twins of the lineage: polynomial roots, multiple precision, enumeration, explicit layers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Array = NDArray[np.float64]


def fuss_catalan_density(factors: int, x: float) -> float:
    """Im ω / (πx), ω the root of ω^(M+1) = x (ω − 1) of the smallest positive argument.

    ω = z G(z), G the resolvent; the branch with ω → 1 for z → ∞.
    """
    polynomial = np.zeros(factors + 2)
    polynomial[0], polynomial[-2], polynomial[-1] = 1, -x, x
    upper = [root for root in np.roots(polynomial) if root.imag > 0]
    return float(min(upper, key=np.angle).imag / (np.pi * x))


def fuss_catalan_mass(factors: int, low: float, high: float) -> float:
    """The integral of the density, by adaptive quadrature in multiple precision."""

    def density(x: mpmath.mpf) -> mpmath.mpf:
        roots = mpmath.polyroots([1, *[0] * (factors - 1), -x, x], maxsteps=500, extraprec=200)
        upper = [root for root in roots if mpmath.im(root) > 0]
        return mpmath.im(min(upper, key=mpmath.arg)) / (mpmath.pi * x)

    with mpmath.workdps(20):
        return float(mpmath.quad(density, [low, (low + high) / 2, high]))


def fuss_catalan_point(factors: int, theta: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """ln x and P(X < x) at a = π − θ, in 400 digits; call it in their context."""
    angle = (mpmath.pi - mpmath.mpf(theta)) / (factors + 1)
    numerator, denominator = mpmath.sin((factors + 1) * angle), mpmath.sin(factors * angle)
    log_x = (factors + 1) * mpmath.log(numerator) - mpmath.log(mpmath.sin(angle)) - factors * mpmath.log(denominator)
    return log_x, 1 - ((factors + 1) * angle - factors * numerator * mpmath.sin(angle) / denominator) / mpmath.pi


def log_singular_values(matrices: Sequence[Array], digits: int) -> Array:
    """Of the product, formed and decomposed in so many digits."""
    with mpmath.workdps(digits):
        product = mpmath.eye(len(matrices[0]))
        for matrix in matrices:
            product = mpmath.matrix(matrix.tolist()) * product
        return np.array([float(mpmath.log(s)) for s in mpmath.svd_r(product, compute_uv=False)])


def hermite_coefficient(phi: Callable[[mpmath.mpf], mpmath.mpf], k: int, kinks: Sequence[float] = (0,)) -> float:
    """E φ(x) He_k(x) / √k!, by adaptive quadrature."""

    def integrand(x: mpmath.mpf) -> mpmath.mpf:
        # mpmath.hermite is the physicists': He_k(x) = 2^(−k/2) H_k(x/√2)
        return phi(x) * mpmath.hermite(k, x / mpmath.sqrt(2)) * mpmath.mpf(2) ** (-k / 2) * mpmath.npdf(x)

    with mpmath.workdps(25):
        return float(mpmath.quad(integrand, [-20, -5, *kinks, 5, 20]) / mpmath.sqrt(mpmath.factorial(k)))


def rescaled_layer(x: Array, weight: Array) -> Array:
    """Each feature (row) of W X over its norm; X is (features, points)."""
    z = weight @ x
    return np.array([row / np.sqrt(np.sum(row**2)) for row in z])


def orthogonality_gap(x: Array) -> float:
    gram = x.T @ x
    return float(np.linalg.norm(gram / np.trace(gram) - np.eye(len(gram)) / len(gram)))


def isometry_gap(gram: Array) -> float:
    values = np.linalg.eigvalsh(gram)
    return float(np.log(values.mean()) - np.log(values).mean())


def regions(normals: Array, offsets: Array) -> tuple[int, int]:
    """Regions of the hyperplanes ⟨w_i, x⟩ = b_i, and the bounded ones: one linear program a sign pattern."""
    units, inputs = normals.shape
    count = bounded = 0
    for signs in itertools.product((-1, 1), repeat=units):
        rows = np.array(signs)[:, None] * normals
        # the largest margin t <= 1 with s_i (⟨w_i, x⟩ − b_i) >= t
        inside = linprog(
            [*[0] * inputs, -1],
            A_ub=np.column_stack([-rows, np.ones(units)]),
            b_ub=-np.array(signs) * offsets,
            bounds=[*[(None, None)] * inputs, (None, 1)],
        )
        if inside.status != 0 or inside.x[-1] <= 1e-9:
            continue
        count += 1
        # unbounded if and only if it holds a ray: a direction v with s_i ⟨w_i, v⟩ >= 0, some component ±1
        bounded += not any(_ray(rows, axis, end) for axis in np.eye(inputs) for end in (-1, 1))
    return count, bounded


def _ray(rows: Array, axis: Array, end: int) -> bool:
    free = [(None, None)] * rows.shape[1]
    nothing = np.zeros(rows.shape[1])
    found = linprog(nothing, A_ub=-rows, b_ub=np.zeros(len(rows)), A_eq=axis[None], b_eq=[end], bounds=free)
    return bool(found.status == 0)
