"""Slow twins of reading a model: what its non-linear modules are given, by hooks, and a maximum by its windows."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NON_LINEAR = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Hardtanh, nn.Threshold, nn.Softshrink, nn.Hardsigmoid, nn.RReLU,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip


def float64_eval(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).double().eval()


def given_to_modules(model: nn.Module, points: Tensor) -> list[tuple[str, Tensor]]:
    """Name and input, ``(m, units)``, of every call of a non-linear module, in order; ``model`` is a float64 copy."""
    found: list[tuple[str, Tensor]] = []
    handles = [
        module.register_forward_pre_hook(
            lambda _module, inputs, name=name: found.append((name, inputs[0].detach().clone().flatten(1)))
        )
        for name, module in model.named_modules()
        if isinstance(module, NON_LINEAR) or type(module).__name__ == "Abs"
    ]
    with torch.no_grad():
        model(points)
    for handle in handles:
        handle.remove()
    return found


def maxima(argument: NDArray[np.float64], windows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The maximum of every window of every row, one by one."""
    return np.array(
        [[max(row[index] if index >= 0 else -math.inf for index in window) for window in windows] for row in argument]
    )
