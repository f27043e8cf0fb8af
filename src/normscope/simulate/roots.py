"""Square roots of covariance matrices, of any rank."""

from __future__ import annotations

import torch
from torch import Tensor


def square_root(covariance: Tensor) -> Tensor:
    """A with A Aᵀ = C, for positive semi-definite C up to rounding.

    The Cholesky factor of C with 4 n eps of every diagonal entry added to it: as much as the entries of a Gram matrix
    in float64 are uncertain, and enough for a singular C to have a factor that depends on C continuously. (Eigenvectors
    do not where eigenvalues coincide, as all do at a symmetric fixed point: results would follow the last bit.)
    Where that fails, because C comes from features in float32 that have no full rank, the symmetric root with
    negative eigenvalues set to zero.

    Args:
        covariance: (..., n, n), float64, symmetric.

    Returns:
        (..., n, n), float64. A point of zero variance has a row of zeros.
    """
    jittered = covariance.clone()
    jittered.diagonal(dim1=-2, dim2=-1).mul_(1 + 4 * covariance.shape[-1] * torch.finfo(covariance.dtype).eps)
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(jittered)
    if failed.any():
        factor[failed > 0] = _of_any_rank(covariance[failed > 0], jittered[failed > 0])
    return factor


def _of_any_rank(covariance: Tensor, jittered: Tensor) -> Tensor:
    """Zero points aside, whose rows are zero, once more; then the symmetric root."""
    missing = covariance.diagonal(dim1=-2, dim2=-1) <= 0
    factor, failed = torch.linalg.cholesky_ex(jittered + torch.diag_embed(missing.to(jittered.dtype)))
    factor = torch.where(missing[..., None], 0.0, factor)
    if failed.any():
        factor[failed > 0] = symmetric_root(covariance[failed > 0])
    return factor


def symmetric_root(covariance: Tensor) -> Tensor:
    """C^(1/2), negative eigenvalues taken as zero."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()[..., None, :]) @ vectors.mT
    return root


def narrow_root(covariance: Tensor, width: int) -> Tensor:
    """R (..., n, min(n, width)) with R Rᵀ = C, for a C of at most that rank.

    From width n on it is the symmetric root; below, the largest eigenvalues are kept.
    """
    if width >= covariance.shape[-1]:
        return symmetric_root(covariance)
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors[..., -width:] * values[..., -width:].clamp(min=0).sqrt()[..., None, :]
    return root
