"""What the measures share: checks of their input, exact powers of two, pieces of bounded size."""

from __future__ import annotations

import torch
from torch import Tensor

# Float64 elements that a copy made for accuracy may have: 2 MiB, which stays in a processor's cache.
CHUNK_ELEMENTS = 2**18


def check_floating(x: Tensor, name: str) -> None:
    """Raise TypeError unless ``x`` holds real floating-point numbers."""
    if not x.is_floating_point():
        raise TypeError(
            f"{name}: expected a real floating-point tensor, got {x.dtype}; convert it first, e.g. x.float()"
        )


def check_gram(gram: Tensor) -> Tensor:
    """The Gram matrices in float64, shape (..., n, n).

    Raises:
        TypeError: ``gram`` is not real floating point.
        ValueError: ``gram`` is not (..., n, n) with n >= 1.
    """
    check_floating(gram, "gram")
    if gram.ndim < 2 or gram.shape[-1] != gram.shape[-2]:
        raise ValueError(
            f"gram: expected square matrices (..., n, n), got shape {tuple(gram.shape)}; "
            "make one from points with normscope.measure.gram(x)"
        )
    if gram.shape[-1] == 0:
        raise ValueError("gram: a batch of no points has no geometry; give at least one point")
    return gram.to(torch.float64)


def is_gram(gram: Tensor) -> Tensor:
    """Whether each matrix is finite with a non-negative diagonal, bool (...): measures of others are NaN."""
    entries = gram.flatten(-2)
    low, high = entries.amin(-1), entries.amax(-1)  # NaN if there is one; ten times as fast as `aminmax`
    return low.isfinite() & high.isfinite() & (gram.diagonal(dim1=-2, dim2=-1) >= 0).all(-1)


def power_of_two(x: Tensor) -> Tensor:
    """2^floor(log2 x) in float64, so that dividing by it rounds nothing; 1 where x is 0 or not finite."""
    x = x.detach().to(torch.float64)
    return torch.where((x > 0) & x.isfinite(), torch.exp2(torch.log2(x).floor()), 1.0)
