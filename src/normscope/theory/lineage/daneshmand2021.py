"""Rescaling makes points orthogonal: Daneshmand, Joudaki and Bach (NeurIPS 2021, arXiv 2106.03970).

The layer is linear, with rescaling and without recentering: H' = BN(WH)/√d on H of shape (d, n), W Gaussian and BN the
division of each row by its norm, so that ‖H'‖_F = 1. V = ‖HᵀH/‖H‖_F² − I/n‖_F is the orthogonality gap, λ the
eigenvalues of HᵀH, of sum 1. Given them, HᵀH of the next layer is the mean of d independent u uᵀ, u a unit vector of
shares p(λ) = E u_i² in the eigenbasis (`quadratic_forms.mean_shares`), from which all that is exact here follows.
"""

from __future__ import annotations

import operator
from typing import NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import poch

from normscope.theory.lineage.quadratic_forms import mean_shares

Array = NDArray[np.float64]


class Plateau(NamedTuple):
    """Of the orthogonality gap V in deep layers, to leading order in 1/width."""

    mean: float
    """E V."""
    rms: float
    """√(E V²)."""
    rate: float
    """n / (n + 2): what is left of E (HᵀH − I/n) after one more layer, exact to first order in it."""


def orthogonality_gap_bound(depth: ArrayLike, n: SupportsIndex, width: SupportsIndex, alpha: float) -> Array:
    """2 (1 − 2α/3)^l + 3n/(α√d) >= E V(H_(l+1)), as published.

    Where the bound is above √(1 − 1/n), the largest value of V, it says nothing; the second term alone exceeds 1 unless
    d > 9n²/α² >= 9n⁴.

    Args:
        depth: l >= 0, any shape.
        n: Points in the batch, at least 2.
        width: d, at least n.
        alpha: A lower bound, in (0, 1/n], of the smallest eigenvalue λ_n of HᵀH at layers 1 … l: the *squared* smallest
            singular value. The paper says singular value, its proof (Theorem 5 with 1/n − V̂ = σ_n²) uses the square.
            It has to hold with probability one; of Gaussian weights at finite width no α > 0 does.

    Returns:
        The shape of ``depth``.

    Raises:
        ValueError: an argument out of its range.

    Source: Theorem 1. `sharper_orthogonality_gap_bound` is what the same proof gives when nothing is rounded up.
    """
    levels, _, d = _checked(depth, n, width, alpha)
    return np.asarray(2 * (1 - 2 * alpha / 3) ** levels + 3 * operator.index(n) / (alpha * np.sqrt(d)))


def sharper_orthogonality_gap_bound(depth: ArrayLike, n: SupportsIndex, width: SupportsIndex, alpha: float) -> Array:
    """√(n(n−1)) (ρ^l (1/n − α) + √((1 − 1/n)/d) (1 − ρ^l)/(1 − ρ)) >= E V(H_(l+1)), ρ = 1 − 2nα/(n+2).

    The proof of the published bound with its own constants: V <= √(n(n−1)) (1/n − λ_n) for eigenvalues of sum 1;
    1/n − p_n <= (1 − 2nλ_n/(n+2)) (1/n − λ_n), where the paper puts 2/3 for 2n/(n+2); and E ‖HᵀH − E HᵀH‖_F² =
    (1 − ‖p‖²)/d <= (1 − 1/n)/d, where it puts 1/d. At α = 1/n, ρ is n/(n+2): the true rate close to orthogonality.

    Args, returns and errors are those of `orthogonality_gap_bound`.

    Raises:
        ValueError: an argument out of its range.
    """
    levels, points, d = _checked(depth, n, width, alpha)
    rho = 1 - 2 * points * alpha / (points + 2)
    noise = np.sqrt((1 - 1 / points) / d)
    smallest = rho**levels * (1 / points - alpha) + noise * (1 - rho**levels) / (1 - rho)
    return np.asarray(np.sqrt(points * (points - 1)) * smallest)


def expected_squared_gap(eigenvalues: ArrayLike, width: SupportsIndex) -> float:
    """E V² behind one more layer, exact at every width d: ‖p‖² + (1 − ‖p‖²)/d − 1/n, p = p(λ).

    From orthogonal points it is (1 − 1/n)/d.

    Args:
        eigenvalues: λ of the Gram matrix of the batch, (n,), up to scale.
        width: d, at least 1.

    Raises:
        ValueError: ``width`` < 1; no eigenvalues, negative ones, or all zero.
    """
    d = operator.index(width)
    if d < 1:
        raise ValueError(f"a layer has a width of at least 1, got {d}")
    shares = mean_shares(eigenvalues)
    uneven = float(((shares - 1 / len(shares)) ** 2).sum())  # ‖p‖² − 1/n, without the cancellation
    return uneven + (1 - 1 / len(shares) - uneven) / d


def orthogonality_plateau(n: SupportsIndex, width: SupportsIndex) -> Plateau:
    """Where V stays in deep layers, d ≫ n: √(E V²) = (n + 2)/2 · √((n − 1) / (n (n + 1) d)).

    HᵀH − I/n is multiplied by κ = n/(n+2) in each layer and gains noise of squared norm (1 − 1/n)/d, so E V² =
    (1 − 1/n) / (d (1 − κ²)). In wide layers the noise is Gaussian and the same in all m = n(n+1)/2 − 1 directions of
    symmetric matrices of trace 0, so V is a chi variable of m degrees of freedom. Corrections are relative of order
    n²/d.

    Args:
        n: Points in the batch, at least 2.
        width: d, at least n.

    Raises:
        ValueError: an argument out of its range.

    Source: derived here; the paper has the scaling 1/√d (its fitted slope is −0.46) and the bound 3n/(α√d).
    """
    points, d = _checked_batch(n, width)
    rms = (points + 2) / 2 * np.sqrt((points - 1) / (points * (points + 1) * d))
    freedom = points * (points + 1) / 2 - 1
    mean = rms * np.sqrt(2 / freedom) * poch(freedom / 2, 0.5)
    return Plateau(float(mean), float(rms), points / (points + 2))


def rank_collapse_from_gap(gap: ArrayLike, n: SupportsIndex) -> Array:
    """The lower bound Tr(M)² / ‖M‖_F² of the rank from the orthogonality gap: r = 1 / (V² + 1/n).

    r is the measure of Daneshmand et al., Batch normalization provably avoids rank collapse (NeurIPS 2020), and an
    identity ties it to V: one plateau is the other. Without rescaling V goes to √(1 − 1/n) and r to 1.

    Args:
        gap: V in [0, √(1 − 1/n)], any shape.
        n: Points in the batch, at least 1.

    Returns:
        r in [1, n], the shape of ``gap``.

    Raises:
        ValueError: ``n`` < 1, or a gap that no batch of n points has.
    """
    points = operator.index(n)
    if points < 1:
        raise ValueError(f"a batch has at least 1 point, got n = {points}")
    v = np.asarray(gap, dtype=np.float64)
    largest = np.sqrt(1 - 1 / points)
    wrong = ~((v >= 0) & (v <= largest * (1 + 1e-12)))
    if np.any(wrong):
        raise ValueError(f"the orthogonality gap of {points} points lies in [0, {largest:g}], got {v[wrong].flat[0]:g}")
    return np.asarray(1 / (v**2 + 1 / points))


def _checked(depth: ArrayLike, n: SupportsIndex, width: SupportsIndex, alpha: float) -> tuple[Array, int, int]:
    points, d = _checked_batch(n, width)
    levels = np.asarray(depth, dtype=np.float64)
    if not np.all(levels >= 0):
        raise ValueError(f"depth is at least 0, got {levels[~(levels >= 0)].flat[0]:g}")
    if not 0 < alpha <= 1 / points:
        raise ValueError(
            f"alpha bounds the smallest of {points} eigenvalues of sum 1: it lies in (0, {1 / points:g}], got {alpha:g}"
        )
    return levels, points, d


def _checked_batch(n: SupportsIndex, width: SupportsIndex) -> tuple[int, int]:
    points, d = operator.index(n), operator.index(width)
    if points < 2:
        raise ValueError(f"points are orthogonal to others from n = 2 on, got n = {points}")
    if d < points:
        raise ValueError(f"no more than {d} points of width {d} are linearly independent, got n = {points}")
    return points, d
