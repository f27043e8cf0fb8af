"""Where a batch of networks stands after a layer."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class State(NamedTuple):
    """Representations of the batch in every network: XXᵀ/d = e^log_scale · gram."""

    gram: Tensor
    """(networks, n, n), float64, trace n."""
    log_scale: Tensor
    """(networks,), float64; −∞ where all features are zero, and the Gram matrix then too."""
    features: Tensor | None
    """X e^(−log_scale/2), (networks, n, d), where a later step needs the features themselves."""


def repeat(state: State, networks: int) -> State:
    """The state of one network for all that share it, without copies."""
    gram, log_scale, features = state
    return State(
        gram.expand(networks, -1, -1),
        log_scale.expand(networks),
        None if features is None else features.expand(networks, -1, -1),
    )


def normalized(total: Tensor, log_y: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Gram matrix of trace n and its log scale from the sum of y yᵀ over ``width`` features in units of e^log_y.

    Returns:
        gram (networks, n, n), log_scale (networks,), and the mean square (networks,) of y, by whose root it is divided.

    Raises:
        FloatingPointError: it is not finite.
    """
    gram = total + total.mT
    mean_square = gram.diagonal(dim1=-2, dim2=-1).mean(-1)
    divisor = mean_square
    mean_square = mean_square / (2 * width)
    log = mean_square.log()
    if not math.isfinite(float(log.sum())):  # in one look: any is zero, or not finite
        if not bool(mean_square.isfinite().all()):
            raise FloatingPointError(
                "features are not finite: the activation overflows on this signal; rescale, or lower weight_std or gain"
            )
        divisor = torch.where(divisor > 0, divisor, 1.0)
    gram /= divisor.view(-1, 1, 1)
    return gram, 2 * log_y + log, mean_square
