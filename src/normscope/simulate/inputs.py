"""What a network is given: points, or their Gram matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normscope.measure import gram as gram_of
from normscope.simulate.memory import ensure_fits
from normscope.simulate.roots import symmetric_root
from normscope.simulate.state import State

_COPIES = 4  # of it, while it is made, and decomposed
_ROUNDING = 1e-6  # of a Gram matrix that somebody computed in float32


def initial_state(inputs: Any, is_gram: bool | None, *, keep: bool, dtype: torch.dtype, device: torch.device) -> State:
    """The state of one network (networks = 1) at depth 0.

    Args:
        inputs: points (n, d), or a Gram matrix (n, n).
        is_gram: which of the two; None decides, see `random_network`.
        keep: keep features; a Gram matrix has those of n points in n dimensions.
        dtype: of the features.
        device: of everything.

    Raises:
        ValueError: a wrong shape, no points, numbers that are not finite, only zeros, or no Gram matrix where
            one was promised.
        TypeError: not a matrix of real numbers.
    """
    x = _matrix(inputs, device)
    n = len(x)
    ensure_fits({f"the Gram matrix of {n} points: give fewer": _COPIES * x.element_size() * n**2}, device)
    size = x.abs().amax()
    if not bool(size.isfinite()):
        raise ValueError("inputs hold numbers that are not finite: remove these points first")
    if not bool(size > 0):
        raise ValueError("inputs are all zero: such a batch has no geometry")
    x = x / size
    given = _looks_like_gram(x) if is_gram is None else is_gram
    if given and not _looks_like_gram(x):
        raise ValueError(
            f"inputs of shape {tuple(x.shape)} are no Gram matrix: one is square, symmetric and without negative "
            "eigenvalues; for points pass is_gram=False"
        )
    gram = (x + x.mT) / 2 if given else gram_of(x)  # shape: (n, n)
    mean_square = gram.diagonal().mean()
    log_scale = mean_square.log() + (1 if given else 2) * size.log()
    gram = gram / mean_square
    points: Tensor | None = None
    if keep:
        points = symmetric_root(gram) * len(gram) ** 0.5 if given else x * mean_square.rsqrt()
        points = points.to(dtype)[None]
    return State(gram[None], log_scale[None], points)


def _matrix(inputs: Any, device: torch.device) -> Tensor:
    try:
        x = torch.as_tensor(inputs)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"inputs must be a tensor or array (n, d) or (n, n): {error}") from error
    if x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"inputs must be real numbers, got {x.dtype}")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(
            f"inputs must be points (n, d) or a Gram matrix (n, n), got shape {tuple(x.shape)}; "
            "flatten images first: inputs.flatten(1)"
        )
    return x.detach().to(device=device, dtype=torch.float64)


def _looks_like_gram(x: Tensor) -> bool:
    if x.shape[0] != x.shape[1] or not torch.allclose(x, x.mT, rtol=_ROUNDING, atol=_ROUNDING * float(x.abs().max())):
        return False
    values = torch.linalg.eigvalsh((x + x.mT) / 2)
    return bool(values[0] >= -_ROUNDING * values[-1])
