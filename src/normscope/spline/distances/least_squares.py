"""Where the hyperplane of every unit lies against the data that its layer sees: total least squares of batch norm."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normscope.loading import kept_randomness, one_line
from normscope.nn import DecomposedBatchNorm
from normscope.nn.switches import Switches, make_switches
from normscope.spline.given import real_numbers
from normscope.spline.reading.twin import float64_twin

_Normalizer = _BatchNorm | DecomposedBatchNorm


@dataclass
class _Call:
    """One call of a layer: its output a = ⟨w, z⟩ + b, as moments over samples and positions."""

    name: str
    layer: nn.Module
    output: weakref.ref[Tensor]  # not kept alive: all activations together may not fit
    mean: Tensor  # (units,)
    variance: Tensor  # (units,)
    norm_name: str = ""
    norm: _Normalizer | None = None


def least_squares_offsets(
    model: nn.Module, batch: Tensor, *, statistics: Literal["running", "batch"] = "running"
) -> pd.DataFrame:
    r"""``signed distance = (m − μ) / ‖w‖, mean squared distance = (σ² + (m − μ)²) / ‖w‖², minimum = σ² / ‖w‖²``.

    Of every unit of every linear and convolutional layer: its hyperplane ⟨w, z⟩ = m in the layer's input space, and
    the mean μ and variance σ² of ⟨w, z⟩ over the batch (of a convolution, over positions too: z is a patch, padding
    included). The mean squared distance of the batch to the hyperplane is smallest for m = μ. A layer with bias b has
    m = −b. Followed directly by batch normalization, γ (⟨w, z⟩ + b − c)/s + β = 0 at m = c − b − sβ/γ: with the
    statistics of the batch and β = 0 that is μ, the total least squares optimum. Without recentering c = 0, without
    rescaling s = 1.

    Layers are modules (a functional call has none); all is computed in float64 on a copy in eval mode.

    Args:
        model: any module; only what it calls on this batch is listed.
        batch: what goes into it, (n, ...).
        statistics: of batch normalization layers: the "running" ones, or those of this "batch", layer by layer.

    Returns:
        One row a unit and call of a layer. Columns layer, call, unit, norm (the name of the batch normalization that
        takes the layer's output; empty without), offset (m), mean (μ), weight_norm (‖w‖), signed_distance,
        mean_squared_distance, minimum. NaN where there is no hyperplane: γ = 0 or w = 0.

    Raises:
        ValueError: an unknown word for ``statistics``, a batch that the model does not take, is empty or not finite, or
            no such layers.
        TypeError: a batch that is no array of numbers, or no module.

    Source: Balestriero, Baraniuk (arXiv 2209.14778), theorem 1; learned γ, β and running statistics: this library.
    """
    if statistics not in ("running", "batch"):
        raise ValueError(f"statistics is 'running' or 'batch', got {statistics!r}")
    points = real_numbers("values of batch", batch)
    if points.ndim < 2 or not len(points):
        raise ValueError(f"batch has shape {tuple(points.shape)}: one or more samples, which come first, (n, ...)")
    twin = float64_twin(model)
    if statistics == "batch":
        for module in twin.modules():
            if isinstance(module, _Normalizer):
                module.train()
    with _watched(twin) as calls, torch.no_grad(), kept_randomness():
        try:
            twin(points)
        except Exception as error:  # whatever a model raises on a batch that it does not take
            reason = one_line(str(error)) or type(error).__name__
            raise ValueError(f"the model does not take a batch of shape {tuple(points.shape)}: {reason}") from error
    if not calls:
        raise ValueError("the model called no nn.Linear and no nn.Conv1d, 2d or 3d on this batch")
    seen: dict[str, int] = {}
    parts = []
    for made in calls:
        number = seen[made.name] = seen.get(made.name, -1) + 1
        parts.append(_rows(made, number))
    return pd.concat(parts, ignore_index=True)


@contextmanager
def _watched(model: nn.Module) -> Iterator[list[_Call]]:
    """What linear and convolutional layers put out, and which batch normalization takes it, while the block runs."""
    calls: list[_Call] = []
    with ExitStack() as stack:
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
                hook = module.register_forward_hook(_recorder(name, calls))
            elif isinstance(module, _Normalizer):
                hook = module.register_forward_pre_hook(_matcher(name, calls))
            else:
                continue
            stack.callback(hook.remove)
        yield calls


def _recorder(name: str, calls: list[_Call]) -> Any:
    def hook(layer: nn.Module, args: Any, output: Tensor) -> None:
        units = -1 if isinstance(layer, nn.Linear) else 1
        values = output.movedim(units, 0).flatten(1) if output.ndim > 1 else output[:, None]
        variance, mean = torch.var_mean(values, dim=1, correction=0)
        calls.append(_Call(name, layer, weakref.ref(output), mean, variance))

    return hook


def _matcher(name: str, calls: list[_Call]) -> Any:
    def hook(norm: Any, args: tuple[Any, ...]) -> None:
        for made in reversed(calls):
            # the very tensor: what came between would have made another
            if args and made.output() is args[0]:
                made.norm_name, made.norm = name, norm
                return

    return hook


def _rows(made: _Call, number: int) -> pd.DataFrame:
    weight, bias = made.layer.weight, made.layer.bias
    assert isinstance(weight, Tensor)
    shift = bias if isinstance(bias, Tensor) else torch.zeros_like(made.mean)
    threshold = torch.zeros_like(made.mean) if made.norm is None else _zero(made.norm, made.mean, made.variance)
    length = torch.linalg.vector_norm(weight.flatten(1), dim=1)
    length = torch.where(length > 0, length, torch.nan)
    signed = (threshold - made.mean) / length
    minimum = made.variance / length.square()
    columns = {
        "offset": threshold - shift,
        "mean": made.mean - shift,
        "weight_norm": length.nan_to_num(0.0),
        "signed_distance": signed,
        "mean_squared_distance": minimum + signed.square(),
        "minimum": minimum,
    }
    numbers = {name: column.detach().numpy() for name, column in columns.items()}
    head = {"layer": made.name, "call": number, "unit": np.arange(len(signed)), "norm": made.norm_name}
    return pd.DataFrame({**head, **numbers})


def _zero(norm: _Normalizer, mean: Tensor, variance: Tensor) -> Tensor:
    """The input of a batch normalization at which it puts out zero, by channel; NaN where γ = 0."""
    switches = norm.switches if isinstance(norm, DecomposedBatchNorm) else make_switches(True, True, "std")
    own = {"running_mean": mean, "running_var": variance, "running_mean_square": variance + mean.square()}
    kept: dict[str, Tensor | None] = {name: getattr(norm, name, None) for name in switches.statistics}
    if not norm.training and all(value is not None for value in kept.values()):
        own.update({name: value for name, value in kept.items() if value is not None})
    center = own["running_mean"] if switches.recenter else torch.zeros_like(mean)
    gamma = torch.ones_like(mean) if norm.weight is None else norm.weight
    beta = torch.zeros_like(mean) if norm.bias is None else norm.bias
    zero = center - _scale(switches, own, norm.eps, mean) * beta / gamma
    return torch.where(gamma != 0, zero, torch.nan)


def _scale(switches: Switches, statistics: dict[str, Tensor], eps: float, like: Tensor) -> Tensor:
    if not switches.rescale:
        return torch.ones_like(like)
    square = statistics["running_var" if switches.scales_by_std else "running_mean_square"]
    return (square + eps).sqrt()
