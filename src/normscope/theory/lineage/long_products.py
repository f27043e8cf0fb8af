"""Singular values of long products of matrices, in logarithms, and what is exact about Gaussian ones of any size.

The singular values of a product of M factors spread like e^(cM): from M ≈ 10 on the smallest is below the rounding of
the largest, and no decomposition of the product, once formed, can find it. The product is kept as Q · diag(e^d) · U
instead, Q orthogonal and U unit upper triangular, and its singular values are read from d and U.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable
from typing import NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lapack
from scipy.special import polygamma, psi

Array = NDArray[np.float64]

_JACOBI_SPREAD = 600.0  # of d: e^±300 is inside float64 by a wide margin
_MOST_SWEEPS = 2000
_UNCOUPLED = 1e-17  # entries of U so small leave the singular values as they are, to rounding


class LogDeterminant(NamedTuple):
    """Of ln |det| of a random matrix."""

    mean: float
    variance: float


def log_singular_values(matrices: Iterable[ArrayLike]) -> Array:
    """Logarithms of the singular values of … A₃ A₂ A₁, square matrices, however long and ill-conditioned the product.

    The matrices are multiplied from the first (the layer next to the input) on, through QR, with the diagonal of R kept
    in logarithms. While ln(largest / smallest) < 600 one-sided Jacobi rotations (LAPACK gejsv) then find each singular
    value to nearly its own full relative accuracy; beyond, the triangular factor is transposed and decomposed again
    (the QR algorithm for singular values) until it falls into blocks of less.

    Args:
        matrices: (n, n) each, nonsingular; a generator will do, only one is held at a time.

    Returns:
        (n,), float64, descending. The error is about that of a relative change of each A by 1e-16: M · 1e-16 · cond(A).

    Raises:
        ValueError: no matrix, one that is not square, of another size, not finite, or singular.
        RuntimeError: two neighbouring singular values are so close, in a spectrum so wide, that they did not separate.
    """
    scale, unit = np.empty(0), np.empty((0, 0))
    q: Array | None = None
    for index, entry in enumerate(matrices):
        a = _checked(entry, index, None if q is None else len(q))
        if q is None:
            scale, unit, q = np.zeros(len(a)), np.eye(len(a)), _any_orthogonal(len(a))
        q, r = np.linalg.qr(a @ q)
        signs = np.sign(np.diagonal(r))
        if np.any(signs == 0):
            raise ValueError(f"matrix {index} of the product is singular: a singular value is 0 and has no logarithm")
        q = q * signs  # so that the diagonal of R is positive, as `_multiply` takes it
        scale, unit = _multiply(r, scale, unit)
    if q is None:
        raise ValueError("a product needs at least one matrix, got none")
    return np.sort(_of_graded(scale, unit))[::-1]


def sample_log_singular_values(
    size: SupportsIndex, factors: SupportsIndex, seed: int | np.random.Generator, *, samples: SupportsIndex = 1
) -> Array:
    """Logarithms of the singular values of products of ``factors`` independent (``size``, ``size``) matrices with
    entries N(0, 1/size).

    The logarithm of the condition number is the first less the last.

    Returns:
        (samples, size), float64, descending in each row. Costs samples · factors · size³ flops, a few times.

    Raises:
        ValueError: ``size``, ``factors`` or ``samples`` below 1.
    """
    n, m, count = (_positive(v, name) for v, name in ((size, "size"), (factors, "factors"), (samples, "samples")))
    rng = np.random.default_rng(seed)
    draws = ((rng.standard_normal((n, n)) / np.sqrt(n) for _ in range(m)) for _ in range(count))
    return np.stack([log_singular_values(draw) for draw in draws])


def lyapunov_exponents(size: SupportsIndex) -> Array:
    """μ_k = (ψ((N − k + 1)/2) + ln(2/N)) / 2, k = 1 … N: the limits of ln(s_k) / M for M → ∞ factors.

    Of real N × N Gaussian factors of variance 1/N, so that ln of the condition number grows by μ_1 − μ_N a factor.

    Returns:
        (size,), float64, descending.

    Raises:
        ValueError: ``size`` < 1.

    Source: Newman, The distribution of Lyapunov exponents: exact results for random matrices (1986).
    """
    n = _positive(size, "size")
    return np.asarray((psi(np.arange(n, 0, -1) / 2) + np.log(2 / n)) / 2)


def log_determinant(size: SupportsIndex, factors: SupportsIndex) -> LogDeterminant:
    """Mean and variance of ln |det| of a product, exact at every size: M Σ_j (ψ(j/2) + ln(2/N))/2 and M Σ_j ψ'(j/2)/4.

    |det| of one factor is the product of independent chi variables of j = 1 … N degrees of freedom, over N^(N/2)
    (Goodman, 1963): the QR decomposition of a Gaussian matrix. Over N the mean goes to −M/2, that of the limit law.

    Raises:
        ValueError: ``size`` or ``factors`` below 1.
    """
    m = _positive(factors, "factors")
    exponents = lyapunov_exponents(size)
    spread = polygamma(1, np.arange(1, len(exponents) + 1) / 2).sum() / 4
    return LogDeterminant(float(m * exponents.sum()), float(m * spread))


def _any_orthogonal(size: int) -> Array:
    """A fixed orthogonal matrix in general position: turned by it, also diagonal factors sort the scales downwards.

    It stands to the right of the product, where it changes no singular value.
    """
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))
    return np.asarray(q)


def _multiply(r: Array, scale: Array, unit: Array) -> tuple[Array, Array]:
    """R · diag(e^d) U as diag(e^d') U', R upper triangular, its rows signed so that the diagonal is positive."""
    diagonal = np.diagonal(r)
    # above the diagonal d_j − d_i is negative but for the first few factors, as the scales come out descending
    inner = np.triu(r / diagonal[:, None] * np.exp(np.triu(scale - scale[:, None])))
    return scale + np.log(np.abs(diagonal)), inner @ unit


def _of_graded(scale: Array, unit: Array) -> Array:
    """Ln of the singular values of diag(e^d) U."""
    for _ in range(_MOST_SWEEPS):
        blocks = _blocks(unit)
        if all(np.ptp(scale[block]) < _JACOBI_SPREAD for block in blocks):
            return np.concatenate([_by_jacobi(scale[block], unit[block, block]) for block in blocks])
        # (diag(e^d) U)ᵀ = Uᵀ diag(e^d) = Q R diag(e^d), with Q R of Uᵀ alone: the scales stay outside
        r = np.asarray(np.linalg.qr(unit.T, mode="r"))
        scale, unit = _multiply(r, scale, np.eye(len(scale)))
    raise RuntimeError(
        f"singular values of a product of spread e^{np.ptp(scale):.0f} did not separate in {_MOST_SWEEPS} sweeps; "
        "use fewer or smaller factors"
    )


def _blocks(unit: Array) -> list[slice]:
    """The diagonal blocks into which U falls, to rounding."""
    coupling = np.abs(np.triu(unit, 1))
    # the largest entry above and to the right of each cut: a running maximum down the rows and from the right
    corner = np.maximum.accumulate(np.maximum.accumulate(coupling[:, ::-1], axis=1)[:, ::-1], axis=0)
    cuts = [0, *(k + 1 for k in range(len(unit) - 1) if corner[k, k + 1] < _UNCOUPLED), len(unit)]
    return [slice(low, high) for low, high in itertools.pairwise(cuts)]


def _by_jacobi(scale: Array, unit: Array) -> Array:
    middle = (scale.max() + scale.min()) / 2
    columns = unit.T * np.exp(scale - middle)
    # joba="C": full accuracy for columns of any scale; jobr="N": nothing small is set to zero; no vectors
    values, _, _, work, _, info = lapack.dgejsv(columns, joba=0, jobu=3, jobv=3, jobr=0, jobp=0)
    if info != 0:
        raise RuntimeError(f"LAPACK gejsv did not converge on a product of {len(scale)} singular values (info {info})")
    return np.asarray(np.log(values) + np.log(work[0] / work[1]) + middle)


def _positive(value: SupportsIndex, name: str) -> int:
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"{name} is at least 1, got {number}")
    return number


def _checked(entry: ArrayLike, index: int, size: int | None) -> Array:
    a = np.asarray(entry, dtype=np.float64)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.size == 0:
        raise ValueError(f"matrix {index} of the product is not square: shape {a.shape}")
    if size is not None and len(a) != size:
        raise ValueError(f"matrix {index} of the product has size {len(a)}, those before it {size}")
    if not np.all(np.isfinite(a)):
        raise ValueError(f"matrix {index} of the product holds NaN or infinity")
    return a
