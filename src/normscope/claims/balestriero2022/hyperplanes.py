"""Where the hyperplanes of a network lie against what its layers see: found from what the layers compute, not from μ.

The formulas that the paper derives (offset μ, learned offset μ − σβ/γ, minimum σ²/‖w‖²) are not used here: a hyperplane
is where the argument of a unit changes sign, and the best offset comes from distances to three parallel hyperplanes.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from normscope.nn import DecomposedBatchNorm

_NORM: Final = (nn.BatchNorm1d, nn.BatchNorm2d, DecomposedBatchNorm)


def hyperplanes(network: nn.Module, batch: Tensor) -> pd.DataFrame:
    """Every unit of every layer but the head, in train mode on a batch. Of convolutions: over samples and positions.

    Columns: layer (a number) and unit; ``excess``: mean squared distance of the layer's inputs to the hyperplane, over
    that to the best parallel one, less 1; ``displacement``: from the best parallel one, in units of the root mean
    squared distance to that; ``from_mean``: distance of the mean input from the hyperplane, in the same units;
    ``ratio``: β/γ of the norm layer, 0 without.
    """
    seen = _watched(copy.deepcopy(network).double().train(), batch.double())
    return pd.concat([_of_layer(*call).assign(layer=number) for number, call in enumerate(seen, 1)], ignore_index=True)


def _watched(network: nn.Module, batch: Tensor) -> list[tuple[nn.Module, Tensor, nn.Module | None, Tensor]]:
    """Each layer with its input, the norm layer behind it, and the argument of the fold that follows."""
    calls: list[tuple[nn.Module, Tensor, nn.Module | None, Tensor]] = []
    handles = [
        module.register_forward_hook(partial(_record, calls))
        for name, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d, *_NORM)) and name != "head"
    ]
    with torch.no_grad():
        network(batch)
    for handle in handles:
        handle.remove()
    return calls


def _record(calls: list[Any], module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
    if isinstance(module, _NORM):
        layer, inputs, _, _ = calls[-1]
        calls[-1] = (layer, inputs, module, made)
    else:
        calls.append((module, given[0], None, made))


def _of_layer(layer: nn.Module, inputs: Tensor, norm: nn.Module | None, made: Tensor) -> pd.DataFrame:
    """One row a unit."""
    assert isinstance(layer.weight, Tensor)
    weight = layer.weight.detach().flatten(1)
    patches = _patches(layer, inputs)  # shape: (samples and positions, inputs of a unit)
    projected = patches @ weight.T  # ⟨w, z⟩
    argument = made.movedim(1, -1).flatten(0, -2)
    offset = torch.stack([_zero(p, a) for p, a in zip(projected.T, argument.T, strict=True)])
    length = torch.linalg.vector_norm(weight, dim=1)
    step = projected.std(0)
    here, below, above = (_mean_square(projected, offset + k * step) / length**2 for k in (0, -1, 1))
    # the parabola through three mean squared distances, in steps
    bend, slope = (above + below - 2 * here) / 2, (above - below) / 2
    best = here - slope**2 / (4 * bend)
    return pd.DataFrame(
        {
            "unit": range(len(weight)),
            "excess": (slope**2 / (4 * bend) / best).numpy(),
            "displacement": (slope / (2 * bend) * step / length / best.sqrt()).numpy(),
            "from_mean": ((patches.mean(0) @ weight.T - offset).abs() / length / best.sqrt()).numpy(),
            "ratio": _ratio(norm, len(weight)),
        }
    )


def _patches(layer: nn.Module, inputs: Tensor) -> Tensor:
    if isinstance(layer, nn.Conv2d):
        assert isinstance(layer.padding, tuple)
        cut = unfold(inputs, layer.kernel_size, padding=layer.padding, stride=layer.stride)
        return cut.mT.flatten(0, 1)
    return inputs


def _zero(projected: Tensor, argument: Tensor) -> Tensor:
    """Of an argument that is affine in ⟨w, z⟩: the ⟨w, z⟩ at which it is zero."""
    low, high = projected.argmin(), projected.argmax()
    slope = (argument[high] - argument[low]) / (projected[high] - projected[low])
    return projected[low] - argument[low] / slope


def _mean_square(projected: Tensor, offset: Tensor) -> Tensor:
    return (projected - offset).square().mean(0)


def _ratio(norm: nn.Module | None, units: int) -> Any:
    if norm is None:
        return np.zeros(units)
    assert isinstance(norm.weight, Tensor)
    assert isinstance(norm.bias, Tensor)
    return (norm.bias / norm.weight).detach().numpy()
