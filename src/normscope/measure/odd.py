"""The odd point of a batch: the one that sits away from a cluster of all others (Nachum et al., 2024)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from normscope.measure.cosines import off_diagonal_cosines
from normscope.measure.numerics import check_gram

# Representations come from float32 networks. In a batch that is symmetric but for their rounding, scores reach
# a few times 1e-7: about as much as one feature's rounding, times the n/(n − 2) of the score.
_ROUNDING = 1e-6


class OddPoint(NamedTuple):
    """What `odd_point` found; each field has the batch shape (...) of the Gram matrices."""

    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs on this record
    """int64: which point, −1 where none stands out."""
    cosine: Tensor
    """Mean cosine of that point to the rest."""
    cluster_cosine: Tensor
    """Mean pairwise cosine among the rest: 1 for a tight cluster."""
    norm_ratio: Tensor
    """Norm of the point over the mean norm of the rest."""
    score: Tensor
    """In [0, 1]: how clearly it stands out from the next candidate."""


def odd_point(gram: Tensor) -> OddPoint:
    """argmax_i g_i with g_i = t_i − s_i: the point that the others agree about best.

    s_i is the mean cosine of point i to the others, t_i the mean pairwise cosine among the others. The score is
    g_1st − g_2nd, clamped to [0, 1]. With r_i = Σ_{j≠i} cos(i, j) and S = Σ_i r_i,

        s_i = r_i / (n − 1),    t_i = (S − 2 r_i) / ((n − 1)(n − 2)),    g_i = (S − n r_i) / ((n − 1)(n − 2)),

    so the candidate has the smallest row sum and g_1st − g_2nd = n/(n − 2) · (s_2nd − s_1st): O(n²) in all.

    For a tight cluster of n − 1 >= 2 points (cosine 1) and a point at cosine c to it, g is 1 − c at that point
    and −(1 − c)/(n − 1) elsewhere: the score is min(1, (1 − c) n/(n − 1)), which is 1 for an orthogonal odd
    point (c = 0) at every n. It is 0 in a symmetric batch and when two points are equally odd.

    Points whose g is within 1e-6 (float32 rounding) of the largest count as tied: the lowest index is the
    candidate, and with more than one of them ``index`` is −1, while the other fields still describe the candidate.
    Zero rows have no direction and are left out, of n and of the norms too. With fewer than three nonzero
    points the question has no answer: ``index`` is −1 and all else NaN; so too when ``gram`` holds NaN, infinity
    or a negative diagonal entry.

    Args:
        gram: Symmetric Gram matrices, (..., n, n), any real floating dtype.

    Returns:
        `OddPoint` of tensors of shape (...): int64 ``index``, the rest float64, dimensionless.

    Raises:
        TypeError: ``gram`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1.

    Source: the configuration "tight cluster and orthogonal odd point" of Nachum, Bondaschi, Gastpar and Khina,
    Batch Normalization Decomposed (arXiv 2412.02843). The score is normscope's own.
    """
    gram = check_gram(gram)
    if gram.shape[-1] < 3:
        return _no_answer(gram)
    row_sum, nonzero, m, valid = off_diagonal_cosines(gram)
    answered = valid & (m >= 3)
    pairs = ((m - 1) * (m - 2)).clamp(min=1)

    # g up to a constant common to all points.
    oddness = torch.where(nonzero, -row_sum * (m / pairs)[..., None], -torch.inf)  # shape: (..., n)
    two_largest = oddness.topk(2, dim=-1).values
    gap = two_largest[..., 0] - two_largest[..., 1]
    tied = oddness >= two_largest[..., :1] - _ROUNDING
    candidate = tied.to(torch.uint8).argmax(-1)  # of equal maxima argmax returns the first

    squared_norm = gram.diagonal(dim1=-2, dim2=-1)
    # The root sees 1 in place of 0, where its derivative is infinite.
    norm = torch.where(nonzero, torch.where(nonzero, squared_norm, 1.0).sqrt(), 0.0)
    is_candidate = torch.arange(gram.shape[-1], device=gram.device) == candidate[..., None]
    its_sum = row_sum.gather(-1, candidate[..., None])[..., 0]
    its_norm = norm.gather(-1, candidate[..., None])[..., 0]
    # Summed without the candidate, not total minus candidate: that cancels when the candidate is far larger.
    rest_norm = torch.where(is_candidate, 0.0, norm).sum(-1) / (m - 1).clamp(min=1)

    def or_nan(value: Tensor) -> Tensor:
        return torch.where(answered, value, torch.nan)

    return OddPoint(
        index=torch.where(answered & (gap > _ROUNDING), candidate, -1),
        cosine=or_nan((its_sum / (m - 1).clamp(min=1)).clamp(-1, 1)),
        cluster_cosine=or_nan(((row_sum.sum(-1) - 2 * its_sum) / pairs).clamp(-1, 1)),
        norm_ratio=or_nan(its_norm / rest_norm),
        score=or_nan(gap.clamp(0, 1)),
    )


def _no_answer(gram: Tensor) -> OddPoint:
    """For fewer than three points; NaN made from the Gram matrix has its batch shape and device."""
    nan = torch.full_like(gram[..., 0, 0], torch.nan)
    return OddPoint(torch.full_like(nan, -1, dtype=torch.int64), nan, nan.clone(), nan.clone(), nan.clone())
