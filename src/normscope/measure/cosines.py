"""Angles between the points of a batch, from their Gram matrix."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from normscope.measure.numerics import check_gram, is_gram, power_of_two


def cosine_matrix(gram: Tensor) -> Tensor:
    """cos(i, j) = G_ij / sqrt(G_ii G_jj), clipped to [−1, 1].

    Norms do not matter, also when they differ by hundreds of orders of magnitude within the batch. The diagonal
    is exactly 1; so are the cosines of exact duplicates.

    A zero row has no direction: its row and column are NaN, its diagonal entry too. The measures that
    sum over cosines leave such points out. Entries that are not finite, or whose points have a norm that is not,
    are NaN as well, and so are points with a negative diagonal entry, which no Gram matrix has.

    Args:
        gram: Symmetric Gram matrices, (..., n, n), any real floating dtype.

    Returns:
        (..., n, n), float64, dimensionless.

    Raises:
        TypeError: ``gram`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1.
    """
    gram = check_gram(gram)
    diagonal = gram.diagonal(dim1=-2, dim2=-1)  # shape: (..., n)
    has_direction = (diagonal > 0) & diagonal.isfinite()
    diagonal = torch.where(has_direction, diagonal, 1.0)
    # With norms brought to [1, 2] by powers of two nothing below overflows, underflows or rounds except the
    # final root and quotient, and sqrt(a·a) = a exactly.
    scale = power_of_two(diagonal.sqrt())
    squared_norm = diagonal / scale / scale
    product = squared_norm[..., :, None] * squared_norm[..., None, :]
    cosine = gram / scale[..., :, None] / scale[..., None, :] / product.sqrt()
    defined = has_direction[..., :, None] & has_direction[..., None, :] & cosine.isfinite()
    return torch.where(defined, cosine.clamp(-1, 1), torch.nan)


def mean_cosine(gram: Tensor) -> Tensor:
    """Σ_{i≠j} cos(i, j) / (n (n − 1)), over the points that are not zero.

    In [−1/(n − 1), 1]: 1 when all points have one direction, 0 when they are orthogonal, −1/(n − 1) for a batch
    that is centred with equal norms.

    NaN for fewer than two nonzero points, and when ``gram`` holds NaN, infinity or a negative diagonal entry.

    Args:
        gram: Symmetric Gram matrices, (..., n, n), any real floating dtype.

    Returns:
        (...), float64, dimensionless.

    Raises:
        TypeError: ``gram`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1.
    """
    cosines = off_diagonal_cosines(gram)
    pairs = cosines.points * (cosines.points - 1)
    mean = (cosines.row_sum.sum(-1) / pairs.clamp(min=1)).clamp(-1, 1)
    return torch.where(cosines.valid & (pairs > 0), mean, torch.nan)


class OffDiagonalCosines(NamedTuple):
    """Row sums of the cosines between different points, with zero rows left out."""

    row_sum: Tensor  # shape: (..., n), 0 for a zero row
    nonzero: Tensor  # shape: (..., n), bool: the points that have a direction
    points: Tensor  # shape: (...), how many of them, float64: a quotient of integers would be float32
    valid: Tensor  # shape: (...), bool: finite with a non-negative diagonal


def off_diagonal_cosines(gram: Tensor) -> OffDiagonalCosines:
    """Σ_{j≠i} cos(i, j) for every point i that is not zero: a product with the vector of inverse norms."""
    gram = check_gram(gram)
    squared_norm = gram.diagonal(dim1=-2, dim2=-1)  # shape: (..., n)
    nonzero = (squared_norm > 0) & squared_norm.isfinite()
    # The root sees 1 in place of 0, where its derivative is infinite.
    inverse = torch.where(nonzero, torch.where(nonzero, squared_norm, 1.0).rsqrt(), 0.0)
    itself = torch.eye(gram.shape[-1], dtype=torch.bool, device=gram.device)
    row_sum = (torch.where(itself, 0.0, gram) @ inverse[..., None])[..., 0] * inverse
    return OffDiagonalCosines(row_sum, nonzero, nonzero.sum(-1, dtype=torch.float64), is_gram(gram))
