"""What a layer's tensors are to begin with, derived from others, or not yet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

INITIAL_VALUES = {
    "weight": 1,
    "bias": 0,
    "running_mean": 0,
    "running_var": 1,
    "running_mean_square": 1,
    "num_batches_tracked": 0,
}


def mean_square(running_mean: Tensor, running_var: Tensor) -> Tensor:
    """``running_var + running_mean²``; uninitialized, as in a lazy layer, when one of them is."""
    if is_lazy(running_mean) or is_lazy(running_var):
        return uninitialized_buffer(running_var.device, running_var.dtype)
    return running_var + running_mean.square()


def uninitialized_buffer(device: Any, dtype: torch.dtype | None) -> Tensor:
    """A buffer of a lazy layer, without a shape."""
    make: Any = nn.UninitializedBuffer  # torch's annotations lack its arguments
    buffer: Tensor = make(device=device, dtype=dtype)
    return buffer
