"""Gradients of a classifier's loss by its outputs: does it predict one class, whatever the input?"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from normscope.measure.numerics import check_floating, power_of_two

_ROUNDING = 1e-10  # of the energy of a row: less is no variation


class OutputGradients(NamedTuple):
    """Of g_bj = ∂L/∂logit_bj, n images by K classes. With cross-entropy g_bj ∝ p_bj for j ≠ y_b: what is predicted.

    All 0-d, dimensionless, the same for g of any positive scale; the class is int64, the others float64.

    Attributes:
        largest_class: the class that is most often the largest entry of a row, its true class left aside.
        largest_share: how many of the rows of other true classes have it there, in (0, 1]; 1 when the network predicts
            that class whatever the image. About 1/(K − 1) when each class is as likely.
        positive_share: share of the largest column in the sum of the positive entries, in [1/K, 1]: how strongly.
        cosine: mean over pairs of rows of cos(g_b, g_c), over the classes that are the true one of neither. Close to
            1 also when all classes are as likely: then look at ``correlation``.
        correlation: the same of the rows less their means over those classes: 1 when the preferences are those of one
            vector of logits, 0 when they are independent. NaN with fewer than 5 classes.
        rank_one_energy: σ₁² / Σ_k σ_k² of g, its true entries included. 1/(K − 1) when all classes are as likely and
            the labels balanced.
    """

    largest_class: Tensor
    largest_share: Tensor
    positive_share: Tensor
    cosine: Tensor
    correlation: Tensor
    rank_one_energy: Tensor


def output_gradients(gradients: Tensor, labels: Tensor) -> OutputGradients:
    """`OutputGradients` of a batch; see there for the formulas.

    Args:
        gradients: ∂L/∂logits, (n, K), real floating.
        labels: the true classes, (n,), integers of 0 … K − 1.

    Raises:
        TypeError: ``gradients`` is not real floating point, or ``labels`` are no integers.
        ValueError: the shapes do not fit, K < 3, fewer images than classes (the largest class would be one by chance),
            or a label is no class.

    Source: Bjorck et al., Understanding batch normalization (NeurIPS 2018, arXiv 1806.02375), section 3.2, shows the
    matrix; the numbers are ours.
    """
    _check(gradients, labels)
    g = gradients.to(torch.float64)
    g = g / power_of_two(g.abs().amax())
    true = labels.to(g.device, torch.int64)[:, None]
    wrong = torch.ones_like(g).scatter(1, true, 0.0)  # shape: (n, K); 0 at the true class
    largest, share = _largest(g, wrong)
    positive = g.clamp(min=0).sum(0)
    cosine, correlation = _agreement(g, wrong)
    return OutputGradients(largest, share, positive.amax() / positive.sum(), cosine, correlation, rank_one_energy(g))


def rank_one_energy(matrix: Tensor) -> Tensor:
    """σ₁² / Σ_k σ_k², in [1/rank, 1]: the share of a matrix that one column times one row explains.

    Args:
        matrix: (..., n, m), real floating; any scale.

    Returns:
        (...), float64; NaN for a matrix of zeros, or with NaN or infinity.

    Raises:
        TypeError: ``matrix`` is not real floating point.
        ValueError: it has fewer than two dimensions, or holds no values.
    """
    check_floating(matrix, "matrix")
    if matrix.ndim < 2 or matrix.numel() == 0:
        raise ValueError(f"matrix: shape {tuple(matrix.shape)} is no matrix; expected (..., n, m) with values")
    wide = matrix.to(torch.float64)
    size = wide.abs().amax((-2, -1), keepdim=True)
    usable = size.isfinite()
    # svdvals raises on NaN where a number is asked for
    squares = torch.linalg.svdvals(torch.where(usable, wide / power_of_two(size), 0.0)).square()
    return torch.div(squares[..., 0], squares.sum(-1))


def _largest(g: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
    """The class that most rows have largest, and its share among the rows where it is not the true one."""
    winners = g.masked_fill(wrong == 0, -torch.inf).argmax(1)
    counts = torch.bincount(winners, minlength=g.shape[1])
    largest = counts.argmax()
    share = counts[largest] / wrong[:, largest].sum()
    return largest, torch.where(g.isfinite().all(), share, torch.nan)


def _agreement(g: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cosine and mean correlation of pairs of rows, over the entries that are true for neither."""
    common = wrong @ wrong.mT  # shape: (n, n)
    row_mean = (g * wrong).sum(1, keepdim=True) / wrong.sum(1, keepdim=True)
    plain, centred = g * wrong, (g - row_mean) * wrong
    mean = (centred @ wrong.mT) / common  # [b, c]: of row b over the entries common with c
    energies = [plain.square() @ wrong.mT, centred.square() @ wrong.mT - common * mean.square()]
    products = [plain @ plain.mT, centred @ centred.mT - common * mean * mean.mT]
    # of a row that does not vary what is left is rounding
    floors = [torch.zeros_like(common), _ROUNDING * energies[0]]
    kept = [torch.where(e > floor, e, torch.nan) for e, floor in zip(energies, floors, strict=True)]
    cosines = [p / (e.sqrt() * e.mT.sqrt()) for p, e in zip(products, kept, strict=True)]
    pairs = torch.ones_like(common).triu(1).bool()
    cosine, correlation = (c[pairs].nanmean().clamp(-1, 1) for c in cosines)
    enough = g.shape[1] >= 5  # of two numbers the correlation is a sign
    return cosine, correlation if enough else torch.full_like(correlation, torch.nan)


def _check(gradients: Tensor, labels: Tensor) -> None:
    check_floating(gradients, "gradients")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"labels: expected the integers of the true classes, got {labels.dtype}")
    if gradients.ndim != 2 or labels.shape != gradients.shape[:1]:
        raise ValueError(
            f"gradients {tuple(gradients.shape)} and labels {tuple(labels.shape)} do not belong together; "
            "expected (n, classes) and (n,)"
        )
    images, classes = gradients.shape
    if classes < 3:
        raise ValueError(f"gradients: {classes} classes leave no two wrong ones to choose from; at least 3 are needed")
    if images < classes:
        raise ValueError(f"gradients of {classes} classes need a batch of at least {classes} images, got {images}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels: {low if low < 0 else high} is no class; the outputs are those of 0 to {classes - 1}")
