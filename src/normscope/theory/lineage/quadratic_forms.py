"""Expectations over u, uniform on the unit sphere, of what a rescaled feature holds: Σ λ_i u_i² and its parts.

A feature of a linear layer over a batch with Gram eigenvalues λ is Gaussian with variances λ in the eigenbasis. 1/q and
ln q of q = Σ λ_i g_i² are integrals over s of exp(−s q), and its expectation is φ(s) = Π (1 + 2 s λ_i)^(−1/2). With
s = e^t the integrands are analytic and bounded for |Im t| < π/2 and decay exponentially, so that the trapezoidal rule
of step h is right to exp(−π²/h).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

Array = NDArray[np.float64]

_STEP = 0.25
_T = np.arange(-45, 90, _STEP)  # left out: e^−45 of the share of s → 0, e^−45 of the slowest φ, that of one λ


def mean_shares(eigenvalues: ArrayLike) -> Array:
    """E[λ_i u_i² / Σ_k λ_k u_k²] = ∫ λ_i / (1 + 2 s λ_i) φ(s) ds: the next spectrum under rescaling, at infinite width.

    Args:
        eigenvalues: λ >= 0, (n,), not all zero; their scale does not matter.

    Returns:
        (n,), sum 1, right to about 1e-15 of the sum.

    Raises:
        ValueError: no eigenvalues, negative ones, or all zero.
    """
    relative = relative_eigenvalues(eigenvalues)
    grown = 2 * np.exp(_T)[:, None] * relative
    density = np.exp(-np.log1p(grown).sum(1) / 2)
    return np.asarray(_STEP / 2 * density @ (grown / (1 + grown)))


def mean_log(eigenvalues: ArrayLike) -> float:
    """E ln Σ λ_i u_i² − ln(mean λ) <= 0: 0 when all are equal, ψ(1/2) − ψ(n/2) + ln n when one is all there is.

    Accurate relative to itself, but for the rounding of the λ: close to equality it is −Σ (λ_i/λ̄ − 1)² / (n (n + 2)).

    Args:
        eigenvalues: λ >= 0, (n,), not all zero; their scale does not matter.

    Raises:
        ValueError: no eigenvalues, negative ones, or all zero.
    """
    relative = relative_eigenvalues(eigenvalues)
    # φ of equal λ less φ, from the logarithm of their quotient: for nearly equal λ they nearly coincide
    grown, rest = expit(_T + np.log(2))[:, None], expit(-_T - np.log(2))[:, None]
    near = np.abs(relative - 1) < 0.5
    quotients = np.where(near, np.log1p(np.where(near, relative - 1, 0) * grown), np.log(relative * grown + rest))
    log_quotient, log_equal = -quotients.sum(1) / 2, len(relative) / 2 * np.log(rest[:, 0])
    close = -np.exp(log_equal) * np.expm1(np.minimum(log_quotient, 1))
    difference = np.where(log_quotient < 1, close, np.exp(log_equal) - np.exp(log_equal + log_quotient))
    return float(_STEP * difference.sum())


def relative_eigenvalues(eigenvalues: ArrayLike) -> Array:
    """The eigenvalues over their mean.

    Raises:
        ValueError: no eigenvalues, negative ones, or all zero.
    """
    values = np.asarray(eigenvalues, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"eigenvalues are a vector of at least one number, got shape {values.shape}")
    if not np.all(np.isfinite(values) & (values >= 0)):
        wrong = values[~(np.isfinite(values) & (values >= 0))][0]
        raise ValueError(f"the eigenvalues of a Gram matrix are finite and at least 0, got {wrong:g}")
    largest = values.max()
    if largest == 0:
        raise ValueError("all eigenvalues are 0: a batch of zeros has no shape")
    values = values / largest
    return np.asarray(values / values.mean())
