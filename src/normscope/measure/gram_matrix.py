"""The Gram matrix of a batch of representations."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from normscope.measure.numerics import CHUNK_ELEMENTS, check_floating, power_of_two

# Fewer features than this at a time would leave the matrix product nothing to work on.
_MIN_CHUNK_FEATURES = 64


def gram(x: Tensor) -> Tensor:
    """G = X Xᵀ / d, with X the batch flattened to (n, d).

    Sums in float64 over pieces of the features, so beside the (n, n) result only a few MiB of float64 exist at
    a time, however many features a sample has. (With ``x.requires_grad`` autograd keeps all pieces.)
    The result is exactly symmetric. Rows with infinite or NaN features give NaN or infinite entries in
    their row and column only. Without features (d = 0) all entries are 0.

    For a batch of batches use ``torch.func.vmap(gram)``.

    Args:
        x: Representations, (n, *features), any real floating dtype; (n,) means one feature a sample.

    Returns:
        (n, n), float64, in squared units of ``x``.

    Raises:
        TypeError: ``x`` is not real floating point.
        ValueError: ``x`` has no batch dimension, or no samples.
    """
    check_floating(x, "x")
    if x.ndim == 0:
        raise ValueError("x: a 0-d tensor has no batch dimension; expected (n, *features)")
    if x.shape[0] == 0:
        raise ValueError(f"x: shape {tuple(x.shape)} holds no samples; give at least one")
    points = _flatten(x)  # shape: (n, d)
    n, d = points.shape
    # A float64 row of 1e150 has a square that float64 holds, but a sum of d of them may not be, and its
    # neighbour of 1e-150 would underflow beside it under one common scale. Narrower types have squares that
    # fit by far, and skip this pass over the data.
    scale = power_of_two(points.abs().amax(1)) if x.dtype == torch.float64 and d > 0 else None  # shape: (n,)
    total = torch.zeros(n, n, dtype=torch.float64, device=x.device)
    for chunk in points.split(max(_MIN_CHUNK_FEATURES, CHUNK_ELEMENTS // n), dim=1):
        part = chunk.to(torch.float64)  # shape: (n, features of this piece)
        if scale is not None:
            part = part / scale[:, None]
        total = total + part @ part.mT
    total = total / max(d, 1)
    if scale is not None:
        total = total * scale[:, None] * scale[None, :]
    # A matrix product may round (i, j) and (j, i) differently: keep one of the two.
    return total.tril() + total.tril(-1).mT


def _flatten(x: Tensor) -> Tensor:
    """(n, d) with the features in memory order: a view also when ``x`` is channels_last.

    The order of the features does not matter to a Gram matrix, a copy of all activations does.
    """
    features = sorted(range(1, x.ndim), key=x.stride, reverse=True)
    return x.permute(0, *features).reshape(x.shape[0], math.prod(x.shape[1:]))
