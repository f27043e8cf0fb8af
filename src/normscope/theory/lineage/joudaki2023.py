"""Non-linearity and layer normalization make points orthogonal: Joudaki, Daneshmand and Bach (NeurIPS 2023).

A wide layer with Gaussian weights and layer normalization (mean and scale over the features of each point) maps the
cosine ρ of two points to κ(ρ) = Σ_(k>=1) c_k² ρ^k / Σ_(k>=1) c_k², c_k the Hermite coefficients of φ: the mean over the
features takes c_0 out. The strength of the non-linearity is β₀ = 2 − c_1² / Σ_(k>=1) c_k², from 1 (affine) to 2.

What decays like β₀^(−l). Let μ be the smallest eigenvalue of the matrix M of cosines. By the binomial theorem for
entrywise powers of M = μ I + R, R positive semidefinite, λ_min(κ(M)) >= 1 − κ(1 − μ), and
κ(ε) / (1 − κ(ε)) <= β₀⁻¹ ε / (1 − ε) for 0 <= ε < 1, as κ(ε) <= ε (c + (1 − c) ε) with c = 2 − β₀. So 1/μ − 1 shrinks
by at least β₀ in each layer, and with it an upper bound of the isometry gap, −ln(det M)/n <= −ln μ. The gap itself need
not: of two nearly parallel points it falls by ln(κ'(1))/2 a layer, a number, however large it is. It shrinks by
a factor where it is small, and then by (c_1² / Σ_(k>=1) c_k²)² = (2 − β₀)², faster than β₀^(−1).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.theory.activations.activation import Activation, activation

Array = NDArray[np.float64]

_REACH = 14.0  # exp(−14²/2) is 1e-43: also what grows like exp(|x|) is whole
_PANELS_PER_UNIT = 2  # edges at all multiples of 1/2, where kinks usually are
_NODES = 24


class HermiteExpansion(NamedTuple):
    """φ = Σ c_k h_k in the orthonormal Hermite polynomials, x a standard normal variable."""

    coefficients: Array
    """c_0 … c_K, c_k = E φ(x) h_k(x)."""
    second_moment: float
    """E φ(x)² = Σ c_k² over all k."""
    error: float
    """Estimate of the largest absolute error of all of these: the difference to a rule of half as many nodes."""


class NonlinearityStrength(NamedTuple):
    """β₀ of an activation."""

    value: float
    error: float
    """Estimate of its absolute error."""


def hermite_coefficients(
    phi: str | Activation | Callable[..., object], order: SupportsIndex, *, kinks: Iterable[float] = ()
) -> HermiteExpansion:
    """c_k = E φ(x) h_k(x), k = 0 … order, h_k the orthonormal (probabilists') Hermite polynomials.

    Gauss–Legendre on panels whose edges are the multiples of 1/2 and ``kinks``: for φ smooth between these, right to
    rounding. Another kink shows in the error.

    Args:
        phi: A name, an `Activation` or an elementwise function.
        order: The largest k, at least 0.
        kinks: Where else φ or a derivative of it jumps.

    Raises:
        ValueError: ``order`` < 0; φ unknown, or not finite on (−14, 14).
    """
    top = operator.index(order)
    if top < 0:
        raise ValueError(f"the order of a Hermite coefficient is at least 0, got {top}")
    f = activation(phi)
    edges = _edges(kinks)
    fine, coarse = (_expand(f, top, edges, nodes) for nodes in (_NODES, _NODES // 2))
    error = max(float(np.abs(fine[0] - coarse[0]).max()), abs(fine[1] - coarse[1]))
    rounding = 1e-15 * float(np.sqrt(fine[1]) + fine[1])
    return HermiteExpansion(fine[0], fine[1], error + rounding)


def nonlinearity_strength(
    phi: str | Activation | Callable[..., object], *, kinks: Iterable[float] = ()
) -> NonlinearityStrength:
    """β₀ = 2 − c_1² / Σ_(k>=1) c_k² = 2 − (E xφ)² / Var φ(x), x a standard normal variable.

    1 for affine φ, 2 for φ without a linear part (even ones). ReLU: 2 − π / (2 (π − 1)) = 1.2665.

    Args:
        phi: A name, an `Activation` or an elementwise function.
        kinks: Where φ or a derivative of it jumps, but at multiples of 1/2.

    Raises:
        ValueError: φ is constant; or as `hermite_coefficients`.
    """
    (c0, c1), second, error = hermite_coefficients(phi, 1, kinks=kinks)
    variance = second - c0**2
    if variance <= 10 * error:
        raise ValueError("the activation is constant to rounding: it hands no information on and has no strength")
    # c_1² <= Var φ (Cauchy–Schwarz): beyond it there is only rounding
    linear = min(c1**2 / variance, 1.0)
    change = (2 * abs(c1) + linear * (1 + 2 * abs(c0))) * error / variance
    return NonlinearityStrength(2 - float(linear), float(change) + 1e-15)


def isometry_gap_bound(depth: ArrayLike, strength: float, smallest_eigenvalue: float) -> Array:
    """Ln(1 + (1/μ − 1) β₀^(−l)) >= the isometry gap behind l layers, at infinite width.

    Args:
        depth: l >= 0, any shape.
        strength: β₀ in [1, 2].
        smallest_eigenvalue: μ in (0, 1], of the matrix of cosines of the points that enter the first layer, the mean
            over the features taken out of each.

    Returns:
        In nats, the shape of ``depth``.

    Raises:
        ValueError: an argument out of its range.

    Source: derived in the docstring of this module; the rate is that of the paper, with what it holds for made
    explicit.
    """
    levels = np.asarray(depth, dtype=np.float64)
    if not np.all(levels >= 0):
        raise ValueError(f"depth is at least 0, got {levels[~(levels >= 0)].flat[0]:g}")
    if not 1 <= strength <= 2:
        raise ValueError(f"the strength of a non-linearity lies in [1, 2], got {strength:g}")
    if not 0 < smallest_eigenvalue <= 1:
        raise ValueError(
            f"the smallest eigenvalue of a matrix of cosines lies in (0, 1] if the points are independent, "
            f"got {smallest_eigenvalue:g}"
        )
    return np.asarray(np.log1p((1 / smallest_eigenvalue - 1) * strength**-levels))


def normalization_gain(squared_norms: ArrayLike) -> float:
    """Ln(mean ‖x_i‖²) − mean ln ‖x_i‖² >= 0: by how much dividing each point by its norm lowers the isometry gap.

    Exact for any points that are linearly independent: with D = diag(‖x_i‖), det D⁻¹ G D⁻¹ = det G / Π ‖x_i‖², and
    the trace becomes n. As the mean of squares is at least the squared mean, the isometry e^(−gap) grows at least by
    1 + Var ‖x‖ / (mean ‖x‖)², as the paper has it.

    Args:
        squared_norms: (n,), above 0, finite.

    Returns:
        In nats.

    Raises:
        ValueError: no norms, or one that is not above 0.
    """
    values = np.asarray(squared_norms, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"squared norms are a vector of at least one number, got shape {values.shape}")
    if not np.all((values > 0) & np.isfinite(values)):
        raise ValueError("a squared norm is 0, negative or not finite: that point has no direction")
    logs = np.log(values) - np.log(values.max())
    return float(np.log(np.exp(logs).mean()) - logs.mean())


def _edges(kinks: Iterable[float]) -> Array:
    extra = np.array([float(k) for k in kinks])
    if not np.all(np.isfinite(extra)):
        raise ValueError("a kink is a finite number")
    regular = np.linspace(-_REACH, _REACH, round(2 * _REACH * _PANELS_PER_UNIT) + 1)
    return np.unique(np.concatenate([regular, extra[np.abs(extra) < _REACH]]))


def _expand(phi: Activation, order: int, edges: Array, nodes: int) -> tuple[Array, float]:
    """c_0 … c_order and E φ², by Gauss–Legendre of so many nodes between all ``edges``."""
    inner, weights = np.polynomial.legendre.leggauss(nodes)
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half * (1 + inner)).ravel()
    root = np.exp(-(x**2) / 4) / (2 * np.pi) ** 0.25  # of the Gaussian density
    values = phi(x)
    if not np.all(np.isfinite(values)):
        raise ValueError(f"the activation is not finite at x = {x[~np.isfinite(values)][0]:g}")
    weighted = (half * weights).ravel() * values * root
    coefficients = np.empty(order + 1)
    before, function = np.zeros_like(x), root  # h_k times the root of the density: bounded for every k
    for k in range(order + 1):
        coefficients[k] = weighted @ function
        before, function = function, (x * function - np.sqrt(k) * before) / np.sqrt(k + 1)
    return coefficients, float(weighted @ (values * root))
