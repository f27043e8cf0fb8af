"""Batch normalization taken apart, written out value by value in float64, and the list of its variants."""

from __future__ import annotations

import itertools
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor


class Variant(NamedTuple):
    recenter: bool
    rescale: bool
    scale: Literal["std", "rms"]


VARIANTS = [Variant(*v) for v in itertools.product((True, False), (True, False), ("std", "rms"))]
STATISTICS = {
    Variant(True, True, "std"): ["running_mean", "running_var"],
    Variant(True, True, "rms"): ["running_mean", "running_mean_square"],
    Variant(True, False, "std"): ["running_mean"],
    Variant(True, False, "rms"): ["running_mean"],
    Variant(False, True, "std"): ["running_var"],
    Variant(False, True, "rms"): ["running_mean_square"],
    Variant(False, False, "std"): [],
    Variant(False, False, "rms"): [],
}


def batch_statistics(x: Tensor) -> dict[str, list[float]]:
    """What the running statistics average, per channel: mean, unbiased variance, mean square; and the biased one."""
    result: dict[str, list[float]] = {n: [] for n in ("running_mean", "running_var", "running_mean_square", "biased")}
    for channel in range(x.shape[1]):
        values = x.select(1, channel).flatten().tolist()
        n = len(values)
        mean = math.fsum(values) / n
        squares = math.fsum((v - mean) ** 2 for v in values)
        result["running_mean"].append(mean)
        result["running_var"].append(squares / (n - 1))
        result["biased"].append(squares / n)
        result["running_mean_square"].append(math.fsum(v * v for v in values) / n)
    return result


def normalize(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    variant: Variant,
    eps: float,
    running: dict[str, Tensor] | None = None,
) -> Tensor:
    """The output in training, or with given ``running`` statistics that in evaluation. One loop over all values."""
    batch = batch_statistics(x) if running is None else None
    y = x.to(torch.float64).clone()
    for index in itertools.product(*map(range, x.shape)):
        channel = index[1]

        def statistic(name: str, channel: int = channel) -> float:
            if batch is None:
                assert running is not None
                return running["running_var" if name == "biased" else name][channel].item()
            return batch[name][channel]

        value = x[index].item()
        if variant.recenter:
            value -= statistic("running_mean")
        if variant.rescale:
            value /= math.sqrt(statistic("biased" if variant.scale == "std" else "running_mean_square") + eps)
        if weight is not None:
            value *= weight[channel].item()
        if bias is not None:
            value += bias[channel].item()
        y[index] = value
    return y


def differentiable(x: Tensor, weight: Tensor | None, bias: Tensor | None, variant: Variant, eps: float) -> Tensor:
    """The output in training by operations that autograd differentiates."""
    rows = []
    for channel in range(x.shape[1]):
        values = x.select(1, channel)
        mean = values.sum() / values.numel()
        y = values - mean if variant.recenter else values
        if variant.rescale:
            deviation = values - mean if variant.scale == "std" else values
            y = y / ((deviation * deviation).sum() / values.numel() + eps).sqrt()
        if weight is not None:
            y = y * weight[channel]
        if bias is not None:
            y = y + bias[channel]
        rows.append(y)
    return torch.stack(rows, dim=1)
