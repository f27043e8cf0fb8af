"""The gradient's way back through one wide layer: a linear map of second moments over the batch.

A feature's gradient over the batch, g (n,), has second moment Σ' = E g gᵀ. Back through Z = X Wᵀ → normalization → φ,

    Σ = σ² E[ J D Σ' D J ],    z ~ N(0, C),    D = diag φ'(ẑ),

J being the (symmetric) Jacobian of the normalization: H for recentering, √n/‖z‖ (I − ẑ ẑᵀ/n) for rescaling (H times
that for both), I for neither; σ² is the variance of the weights times the width. g is taken to be independent of the
forward pass (gradient independence, Schoenholz et al. 2017; Yang et al. 2019): so it is in the limit of wide layers.

Matrices are `GroupMatrix`, of m groups of exchangeable points: with all sizes 1 that is any matrix, and with a few
large groups 10⁶ points cost what ten do.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from normscope.theory.activations.kernel import Activation, Array
from normscope.theory.groups.groups import GroupMatrix

_STEP = 0.2  # of the trapezoidal rule in log s: error below 1e-14, see TiltedBackward
_NEGLIGIBLE = 44.0  # nats below the largest term
_ZERO = 1e-15  # eigenvalues smaller than this, relative to the largest, are rounding


class Backward(Protocol):
    """One layer, at one covariance of its pre-activations."""

    def __call__(self, moment: GroupMatrix) -> GroupMatrix:
        """Σ from Σ', for weights of variance 1/d."""


class PlainBackward:
    """Σ = H (Σ' ∘ K') H or Σ' ∘ K', K'_ij = E φ'(z_i)φ'(z_j): a layer without rescaling, any φ.

    Args:
        covariance: C, of the pre-activations behind the recentering.
        activation: φ.
        recenter: whether the layer recentres.
    """

    def __init__(self, covariance: GroupMatrix, activation: Activation, *, recenter: bool) -> None:
        self._recenter = recenter
        variances = np.maximum(covariance.diagonal, 0.0)
        self._own = activation.derivative_kernel(variances, variances, variances)
        self._pairs = activation.derivative_kernel(variances[:, None], variances, covariance.blocks)

    def __call__(self, moment: GroupMatrix) -> GroupMatrix:
        """Σ from Σ'."""
        after = from_entries(moment.sizes, moment.diagonal * self._own, moment.blocks * self._pairs)
        return centred(after) if self._recenter else after


class TiltedBackward:
    """A layer with rescaling and a φ of degree 1, exact up to a one-dimensional quadrature.

    1/‖z‖^2k = ∫ s^(k−1) exp(−s‖z‖²) ds / (k−1)!, and the exponential only tilts the Gaussian: its covariance becomes
    C_s = C (I + 2sC)^(−1), its mass det(I + 2sC)^(−1/2). As φ'(ẑ) = φ'(z), integrating products with z by parts gives

        Σ = n ∫ det(I + 2sC)^(−1/2) [ B_s N_s B_s − diag ρ + (s²/2) (Σ' : K) C_s ] ds,

    B_s = (I + sC)(I + 2sC)^(−1), N_s = Σ' ∘ K' + diag ρ, ρ_i = Σ_j Σ'_ij E φ''(z_i)φ(z_j), where K = E φφ, K' = E φ'φ'
    and E φ''φ = 2 ∂K/∂v1 are the activation's kernels at C_s (with H on both sides behind a recentering). The
    trapezoidal rule in log s converges geometrically, as the integrand is analytic for |Im log s| < π (there C_s has a
    definite imaginary part): relative error ≤ 1e-10, whatever the spread of the eigenvalues (normscope's derivation).

    Args:
        covariance: C, of the pre-activations behind the recentering.
        activation: φ, positively homogeneous of degree 1.
        recenter: whether the layer recentres.
        step: of the trapezoidal rule.

    Raises:
        ValueError: C has fewer than three directions: E 1/‖z‖² is infinite.
    """

    def __init__(self, covariance: GroupMatrix, activation: Activation, *, recenter: bool, step: float = _STEP) -> None:
        sizes = covariance.sizes
        contrasts = np.where(sizes > 1, covariance.contrasts, 0.0)
        values, basis = np.linalg.eigh(covariance.quotient)
        floor = _ZERO * max(contrasts.max(), values.max())
        contrasts, values = (np.where(x > floor, x, 0.0) for x in (contrasts, values))
        nodes, weights = _nodes(contrasts, values, sizes, step)
        self._recenter = recenter
        self._weights = weights * sizes.sum()
        self._squares = nodes**2 / 2
        self._tilted = GroupMatrix(sizes, _tilt(contrasts, nodes), _in_basis(_tilt(values, nodes), basis))
        self._outer = GroupMatrix(sizes, _shrink(contrasts, nodes), _in_basis(_shrink(values, nodes), basis))

        variances, blocks = self._tilted.diagonal, self._tilted.blocks
        rows, columns = variances[:, :, None], variances[:, None, :]
        self._own = activation.kernel(variances, variances, variances)
        self._own_slope = activation.derivative_kernel(variances, variances, variances)
        self._pairs = activation.kernel(rows, columns, blocks)
        self._pairs_slope = activation.derivative_kernel(rows, columns, blocks)
        self._curvature = 2 * activation.kernel_gradient(rows, columns, blocks)[0]
        self._pair_counts = sizes[:, None] * sizes - np.diag(sizes)  # ordered pairs of two different points

    def forward(self) -> GroupMatrix:
        """E φ(ẑ)φ(ẑ)ᵀ, the layer's Gram matrix: n ∫ det(I + 2sC)^(−1/2) K ds."""
        return self._integral(from_entries(self._tilted.sizes, self._own, self._pairs))

    def __call__(self, moment: GroupMatrix) -> GroupMatrix:
        """Σ from Σ'."""
        sizes, diagonal, blocks = moment.sizes, moment.diagonal, moment.blocks
        rho = np.sum(self._pair_counts / sizes[:, None] * blocks * self._curvature, axis=-1)
        mass = (diagonal * self._own) @ sizes + np.sum(self._pair_counts * blocks * self._pairs, axis=(-2, -1))
        inner = from_entries(sizes, diagonal * self._own_slope, blocks * self._pairs_slope)
        bend = GroupMatrix(sizes, rho, rho[:, :, None] * np.eye(sizes.size))
        outer, lift = self._outer, self._squares * mass
        around = outer @ _sum(inner, bend) @ outer
        after = self._integral(_sum(around, _times(bend, -np.ones_like(lift)), _times(self._tilted, lift)))
        return centred(after) if self._recenter else after

    def _integral(self, matrices: GroupMatrix) -> GroupMatrix:
        """Over s, of a matrix a node."""
        contrasts, quotient = self._weights @ matrices.contrasts, np.tensordot(self._weights, matrices.quotient, 1)
        return GroupMatrix(matrices.sizes, contrasts, quotient)


def from_entries(sizes: Array, diagonal: Array, blocks: Array) -> GroupMatrix:
    """The matrix with these diagonal entries, (…, m), and others, (…, m, m)."""
    contrasts = diagonal - np.diagonal(blocks, axis1=-2, axis2=-1)
    root = np.sqrt(sizes)
    return GroupMatrix(sizes, contrasts, contrasts[..., None] * np.eye(sizes.size) + root[:, None] * root * blocks)


def centred(matrix: GroupMatrix) -> GroupMatrix:
    """H M H: contrasts sum to zero already, so that only the quotient changes."""
    mean = np.sqrt(matrix.sizes / matrix.sizes.sum())
    projection = np.eye(matrix.sizes.size) - np.outer(mean, mean)
    return GroupMatrix(matrix.sizes, matrix.contrasts, projection @ matrix.quotient @ projection)


def _nodes(contrasts: Array, values: Array, sizes: Array, step: float) -> tuple[Array, Array]:
    """Values of s and the weights det(I + 2sC)^(−1/2) ds, where they matter."""
    spectrum = np.concatenate([contrasts, values])
    counts = np.concatenate([sizes - 1, np.ones(len(values))])
    order = np.argsort(spectrum)[::-1]
    rank = counts[spectrum > 0].sum()
    if rank < 3:
        raise ValueError(
            f"the batch spans {int(rank)} of the at least 3 directions that it takes: behind its rescaling gradients "
            "have no second moment (E 1/‖z‖² is infinite)"
        )
    third = spectrum[order][np.searchsorted(np.cumsum(counts[order]), 3)]
    low = -np.log(2 * spectrum.max() * sizes.sum()) - _NEGLIGIBLE
    logs = np.arange(low, -np.log(2 * third) + 2.5 * _NEGLIGIBLE, step)
    masses = logs - 0.5 * np.log1p(2 * np.exp(logs)[:, None] * spectrum) @ counts
    logs, masses = (x[masses > masses.max() - _NEGLIGIBLE] for x in (logs, masses))
    return np.exp(logs), step * np.exp(masses)


def _tilt(values: Array, nodes: Array) -> Array:
    return np.asarray(values / (1 + 2 * nodes[:, None] * values))


def _shrink(values: Array, nodes: Array) -> Array:
    scaled = nodes[:, None] * values
    return np.asarray((1 + scaled) / (1 + 2 * scaled))


def _in_basis(values: Array, basis: Array) -> Array:
    """Basis diag(values) basisᵀ, for each node."""
    return np.asarray((basis * values[:, None, :]) @ basis.T)


def _times(matrices: GroupMatrix, factors: Array) -> GroupMatrix:
    contrasts, quotient = matrices.contrasts * factors[:, None], matrices.quotient * factors[:, None, None]
    return GroupMatrix(matrices.sizes, contrasts, quotient)


def _sum(*matrices: GroupMatrix) -> GroupMatrix:
    contrasts, quotient = sum(m.contrasts for m in matrices), sum(m.quotient for m in matrices)
    return GroupMatrix(matrices[0].sizes, np.asarray(contrasts), np.asarray(quotient))
