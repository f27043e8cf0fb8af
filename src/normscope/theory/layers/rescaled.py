"""Recentering or not, then rescaling, then an activation of degree 1: an integral over one variable.

1/‖z‖² = ∫_0^∞ exp(−s‖z‖²) ds, and the exponential turns z ~ N(0, C) into N(0, C_s), C_s = C (I + 2sC)⁻¹, times
det(I + 2sC)^(−1/2). For a φ of degree 1, with ẑ = √n z/‖z‖,

    E φ(ẑ_i)φ(ẑ_j) = n ∫_0^∞ det(I + 2sC)^(−1/2) E_{N(0, C_s)} φ(z_i)φ(z_j) ds,

and the same for (φ(ẑ_i) − φ(ẑ_j))². In u = ln s the integrand is analytic for |Im u| < π/2, so that the trapezoidal
rule of step h has a relative error of about exp(−π²/h): 1e-17 for h = 1/4.
"""

from __future__ import annotations

import numpy as np

from normscope.theory.activations.kernel import Activation, Array

STEP = 0.25
"""Step of the trapezoidal rule in ln s."""

_NEGLIGIBLE = 1e-18  # part of the largest term of the rule that no longer counts
_CHUNK = 1 << 22  # numbers held at a time


def rescaled_kernel(phi: Activation, points: Array, step: float = STEP) -> tuple[Array, Array]:
    """E φ(ẑ_i)² and E(φ(ẑ_i) − φ(ẑ_j))² for z ~ N(0, C) and ẑ = √n z/‖z‖; φ of degree 1.

    Args:
        phi: an activation of degree 1.
        points: of which C is the Gram matrix, along their principal axes (n, r), r >= 1.
        step: of the rule; halving it verifies it.

    Returns:
        squared norms (n,) and squared distances (n, n) of the next layer, of relative error below 1e-8.
    """
    n, eigenvalues = len(points), np.square(points).sum(axis=0)
    s, weights = tilts(eigenvalues, step)
    shrink = 1 / (1 + 2 * np.multiply.outer(eigenvalues, s))  # shape: (r, nodes)
    norms = np.square(points) @ shrink
    second = n * phi.second_moment(norms) @ weights
    rows, columns = np.triu_indices(n, 1)
    after = np.zeros((n, n))
    for part in np.array_split(np.arange(len(rows)), 1 + len(rows) * (len(s) + len(eigenvalues)) // _CHUNK):
        i, j = rows[part], columns[part]
        apart = np.square(points[i] - points[j]) @ shrink
        after[i, j] = after[j, i] = n * phi.distance_kernel(norms[i], norms[j], apart) @ weights
    return second, after


def tilts(eigenvalues: Array, step: float = STEP) -> tuple[Array, Array]:
    """Nodes s and weights of ∫_0^∞ f(s) det(I + 2sC)^(−1/2) ds, for f that falls like an eigenvalue of C_s.

    Args:
        eigenvalues: those of C that are not 0 (r,).
        step: of the trapezoidal rule in ln s.

    Returns:
        s and weights, each (nodes,), the determinant among the weights.
    """
    low = np.log(1e-17 / eigenvalues.sum())
    high = np.log(1 / eigenvalues.min()) + 3 + 80 / len(eigenvalues)
    u = np.arange(low, high, step)
    grown = np.log1p(2 * np.multiply.outer(eigenvalues, np.exp(u)))
    log_weights = u - grown.sum(axis=0) / 2
    terms = log_weights - grown  # of each eigenvalue's own integral
    kept = np.any(terms > terms.max(axis=1, keepdims=True) + np.log(_NEGLIGIBLE), axis=0)
    return np.exp(u[kept]), step * np.exp(log_weights[kept])
