"""How far the points of a batch are from orthogonal, and how many dimensions they use.

All measures here are functions of the shape of the Gram matrix G = X Xᵀ / d alone: they do not change when G is
multiplied by a number, when the points are permuted, or when the features are rotated. An all-zero G
has no shape: they are NaN there, and also when ``gram`` holds NaN, infinity or a negative diagonal entry.
"""

from __future__ import annotations

import torch
from torch import Tensor

from normscope.measure.numerics import check_floating, check_gram, is_gram, power_of_two

# Measured: a float32 batch whose mean was subtracted keeps a smallest eigenvalue of up to about 25 n eps² of the
# largest (eps = 1.2e-7, features of mean up to 10 standard deviations). It is singular all the same.
SINGULAR_RTOL = 1e-12
"""λ_min <= n · SINGULAR_RTOL · λ_max is a singular Gram matrix, unless the caller gives another ``rtol``."""


def eigenvalues(gram: Tensor) -> Tensor:
    """λ_1 <= … <= λ_n of G, those that rounding made negative set to 0.

    Their absolute error is about n · 2.2e-16 · λ_n: smaller eigenvalues are rounding. Give the result to
    the measures below as ``eigenvalues=`` and one decomposition serves all.

    Args:
        gram: Symmetric Gram matrices, (..., n, n), any real floating dtype; the lower triangle is read.

    Returns:
        (..., n), float64, ascending, in units of ``gram``; NaN where a matrix holds NaN, infinity or a negative
        diagonal entry.

    Raises:
        TypeError: ``gram`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1.
    """
    unit, scale = _unit_scale(gram)
    return _eigenvalues(unit) * scale[..., 0]


def orthogonality_gap(gram: Tensor) -> Tensor:
    """‖G / tr G − I/n‖_F: 0 for orthogonal points of equal norm, sqrt(1 − 1/n) when all points are parallel.

    Args:
        gram: Symmetric Gram matrices, (..., n, n), any real floating dtype.

    Returns:
        (...), float64, dimensionless.

    Raises:
        TypeError: ``gram`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1.

    Source: V of Daneshmand, Joudaki and Bach, Batch normalization orthogonalizes representations
    (NeurIPS 2021, arXiv 2106.03970).
    """
    unit, _ = _unit_scale(gram)
    n = unit.shape[-1]
    trace = unit.diagonal(dim1=-2, dim2=-1).sum(-1)
    identity = torch.eye(n, dtype=torch.float64, device=unit.device)
    gap: Tensor = torch.linalg.matrix_norm(unit / trace[..., None, None] - identity / n)
    return gap


def rank_collapse(gram: Tensor) -> Tensor:
    """(tr G)² / ‖G‖_F² = (Σ λ)² / Σ λ²: a lower bound of the rank, in [1, n]; 1 when all points are parallel.

    Args:
        gram: Symmetric Gram matrices, (..., n, n), any real floating dtype.

    Returns:
        (...), float64, dimensionless.

    Raises:
        TypeError: ``gram`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1.

    Source: r(H) of Daneshmand, Kohler, Bach, Hofmann and Lucchi, Batch normalization provably avoids rank collapse
    for randomly initialised deep networks (NeurIPS 2020). X Xᵀ here and Xᵀ X there have the same eigenvalues.
    """
    unit, _ = _unit_scale(gram)
    trace = unit.diagonal(dim1=-2, dim2=-1).sum(-1)
    return trace.square() / unit.square().sum((-2, -1))


def isometry_gap(gram: Tensor, *, eigenvalues: Tensor | None = None, rtol: float | None = None) -> Tensor:
    """(log mean λ) − (mean log λ) >= 0: 0 for orthogonal points of equal norm, +inf for a singular G.

    G is singular when λ_min <= rtol · λ_max. The default, n · 1e-12, is wide enough that a float32 batch whose
    mean was subtracted counts as what it is by construction; smaller eigenvalues of a float32 network are made
    of rounding. For float64 points ``rtol = n * 2.2e-16`` is the limit of what a Gram matrix can resolve.
    More points than features, or a zero row, make G singular.

    Args:
        gram: Symmetric Gram matrices, (..., n, n), any real floating dtype.
        eigenvalues: Those of ``gram`` up to a positive factor, (..., n), when they are known already.
        rtol: Relative tolerance in [0, 1), n · 1e-12 when None.

    Returns:
        (...), float64, in nats.

    Raises:
        TypeError: ``gram`` or ``eigenvalues`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1, ``eigenvalues`` not (..., n), or ``rtol`` out of range.

    Source: Joudaki, Daneshmand and Bach, On the impact of activation and normalization in obtaining isometric
    embeddings at initialization (NeurIPS 2023).
    """
    relative = _relative_eigenvalues(gram, eigenvalues)
    singular = _is_singular(relative, rtol)
    # Logs of a singular matrix are replaced before they are taken: autograd would carry their NaN along.
    positive = torch.where(singular[..., None], 1.0, relative)
    gap = positive.mean(-1).log() - positive.log().mean(-1)
    return torch.where(singular, torch.inf, gap.clamp(min=0))


def effective_rank(gram: Tensor, *, eigenvalues: Tensor | None = None) -> Tensor:
    """exp(−Σ p_k log p_k), p_k = σ_k / Σ σ, with σ_k = sqrt(λ_k) the singular values of X (not of G).

    In [1, rank]: 1 when all points are parallel, n when they are orthogonal with equal norms. Eigenvalues
    at most n · 2.2e-16 · λ_max are rounding of the decomposition and count as 0.

    Args:
        gram: Symmetric Gram matrices, (..., n, n), any real floating dtype.
        eigenvalues: Those of ``gram`` up to a positive factor, (..., n), when they are known already.

    Returns:
        (...), float64, dimensionless.

    Raises:
        TypeError: ``gram`` or ``eigenvalues`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1, or ``eigenvalues`` not (..., n).

    Source: Roy and Vetterli, The effective rank (EUSIPCO 2007), definition 1.
    """
    relative = _relative_eigenvalues(gram, eigenvalues)
    counted = ~(relative <= relative.shape[-1] * torch.finfo(torch.float64).eps)  # NaN is counted, and stays
    # Both roots and logs see 1 in place of 0, where their derivative is infinite.
    singular_value = torch.where(counted, torch.where(counted, relative, 1.0).sqrt(), 0.0)
    p = singular_value / singular_value.sum(-1, keepdim=True)
    return (-(p * torch.where(counted, p, 1.0).log()).sum(-1)).exp()


def stable_rank(gram: Tensor, *, eigenvalues: Tensor | None = None) -> Tensor:
    """tr(G) / λ_max = ‖X‖_F² / ‖X‖_2²: in [1, rank]; 1 when all points are parallel.

    Args:
        gram: Symmetric Gram matrices, (..., n, n), any real floating dtype.
        eigenvalues: Those of ``gram`` up to a positive factor, (..., n), when they are known already.

    Returns:
        (...), float64, dimensionless.

    Raises:
        TypeError: ``gram`` or ``eigenvalues`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1, or ``eigenvalues`` not (..., n).

    Source: Rudelson and Vershynin, Sampling from large matrices (J. ACM 2007), where it is the numerical rank.
    """
    return _relative_eigenvalues(gram, eigenvalues).sum(-1)


def condition_number(gram: Tensor, *, eigenvalues: Tensor | None = None, rtol: float | None = None) -> Tensor:
    """sqrt(λ_max / λ_min) = σ_max / σ_min of the n rows of X: 1 for orthogonal points of equal norm, +inf for
    a singular G.

    Singular is judged as in `isometry_gap`, so more points than features give +inf.

    Args:
        gram: Symmetric Gram matrices, (..., n, n), any real floating dtype.
        eigenvalues: Those of ``gram`` up to a positive factor, (..., n), when they are known already.
        rtol: Relative tolerance in [0, 1), n · 1e-12 when None.

    Returns:
        (...), float64, dimensionless.

    Raises:
        TypeError: ``gram`` or ``eigenvalues`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1, ``eigenvalues`` not (..., n), or ``rtol`` out of range.
    """
    relative = _relative_eigenvalues(gram, eigenvalues)
    singular = _is_singular(relative, rtol)
    smallest = torch.where(singular, 1.0, relative.amin(-1))
    return torch.where(singular, torch.inf, smallest.rsqrt())


def _unit_scale(gram: Tensor) -> tuple[Tensor, Tensor]:
    """G divided by a power of two so that its largest diagonal entry is in [1, 2), and that power, (..., 1, 1).

    A matrix that is not a Gram matrix becomes NaN as a whole.
    """
    gram = check_gram(gram)
    scale = power_of_two(gram.diagonal(dim1=-2, dim2=-1).amax(-1))[..., None, None]
    valid = is_gram(gram)[..., None, None]
    return gram / torch.where(valid, scale, torch.nan), scale


def _eigenvalues(unit: Tensor) -> Tensor:
    """Eigenvalues of matrices from `_unit_scale`, whose entries are all NaN or all finite."""
    valid = ~unit[..., 0, 0].isnan()
    # LAPACK raises on NaN, for the whole batch.
    finite = torch.where(valid[..., None, None], unit, 0.0)
    return torch.where(valid[..., None], torch.linalg.eigvalsh(finite).clamp(min=0), torch.nan)


def _relative_eigenvalues(gram: Tensor, known: Tensor | None) -> Tensor:
    """λ / λ_max, (..., n); 0/0 = NaN for an all-zero G."""
    if known is None:
        found = _eigenvalues(_unit_scale(gram)[0])
    else:
        _check_eigenvalues(gram, known)
        found = known.to(torch.float64)
    return found / found.amax(-1, keepdim=True)


def _check_eigenvalues(gram: Tensor, known: Tensor) -> None:
    """Raise unless ``known`` can be the eigenvalues of ``gram``."""
    check_gram(gram)
    check_floating(known, "eigenvalues")
    if known.shape != gram.shape[:-1]:
        raise ValueError(
            f"eigenvalues: shape {tuple(known.shape)} does not belong to gram of shape {tuple(gram.shape)}; "
            f"expected {tuple(gram.shape[:-1])}, as eigenvalues(gram) returns"
        )


def _is_singular(relative: Tensor, rtol: float | None) -> Tensor:
    """λ_min <= rtol · λ_max; False where the eigenvalues are NaN."""
    tolerance = relative.shape[-1] * SINGULAR_RTOL if rtol is None else rtol
    if not 0 <= tolerance < 1:
        raise ValueError(f"rtol: expected a number in [0, 1), got {rtol}")
    return relative.amin(-1) <= tolerance
