"""The layers of a network, from what the user wrote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch

from normscope.loading import describe
from normscope.nn.switches import Scale, Switches, make_switches
from normscope.simulate.elementwise import Activation, Elementwise
from normscope.simulate.layer import Layer, Residual
from normscope.simulate.weights import WeightLaw


@dataclass(frozen=True)
class Parameters:
    """Weights, biases and gains of every layer: W_ij has mean square weight_std²/fan_in, b_i ~ N(0, bias_std²).

    Attributes:
        weights: "gaussian", "uniform", "sign", "haar", or a function (matrix, generator) that fills a matrix
            (rows, fan_in) in place with entries of mean square 1. Other than Gaussian by the weights method only.
        weight_std: scale of the weights.
        bias_std: standard deviation of the bias of each feature, added before recentering (which takes it out).
        gain: γ of the normalization: what each feature is multiplied by after recentering and rescaling.
        shift: β of the normalization: what is then added.
    """

    weights: str | WeightLaw = "gaussian"
    weight_std: float = 1.0
    bias_std: float = 0.0
    gain: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        for name in ("weight_std", "bias_std", "gain", "shift"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, got {value!r}")
        if self.weight_std <= 0 or self.bias_std < 0:
            raise ValueError(
                f"weight_std must be positive and bias_std at least 0, got {self.weight_std} and {self.bias_std}"
            )


def require_parameters(parameters: Parameters | None) -> Parameters:
    """``parameters``, None being the plain ones.

    Raises:
        TypeError: something else.
    """
    if parameters is None:
        return Parameters()
    if not isinstance(parameters, Parameters):
        raise TypeError(
            f"parameters must be None or simulate.Parameters(weights=…, bias_std=…), got {describe(parameters)}"
        )
    return parameters


def make_layers(
    depth: int,
    *,
    recenter: bool | Sequence[bool],
    rescale: bool | Sequence[bool],
    activation: str | Activation | Sequence[str | Activation],
    scale: Scale,
    parameters: Parameters,
    residual: Residual | None,
    branch_scale: float,
    dtype: torch.dtype,
    device: torch.device,
) -> list[tuple[Layer, ...]]:
    """For each depth its layer, or two where a branch has two weight matrices.

    Raises:
        ValueError: a sequence that is not one value a layer, or an unknown scale, activation or residual.
        TypeError: a switch that is no boolean, or an activation that is neither name nor function.
    """
    if residual is not None and residual not in get_args(Residual):
        raise ValueError(f"residual must be None or one of {', '.join(get_args(Residual))}, got {residual!r}")
    if isinstance(branch_scale, bool) or not isinstance(branch_scale, int | float) or not math.isfinite(branch_scale):
        raise ValueError(f"branch_scale must be a finite number, got {branch_scale!r}")
    recenters = [_switch("recenter", value) for value in _each("recenter", recenter, depth)]
    rescales = [_switch("rescale", value) for value in _each("rescale", rescale, depth)]
    known: dict[Any, Elementwise] = {}
    activations = []
    for value in _each("activation", activation, depth):
        key = value if isinstance(value, str) else id(value)
        if key not in known:
            known[key] = Elementwise(value, dtype, device)
        activations.append(known[key])
    scales = (parameters.weight_std, parameters.bias_std)
    affine = (parameters.gain, parameters.shift)
    projected = residual == "projected"
    second: tuple[Layer, ...] = ()
    if projected:
        linear = Elementwise("linear", dtype, device)
        second = (Layer(Switches(False, False, "rms"), linear, *scales, 1.0, 0.0, "activated", branch_scale),)
    layers: list[tuple[Layer, ...]] = []
    for t in range(depth):
        switches = make_switches(recenters[t], rescales[t], scale)
        joins = None if projected or t == 0 else residual
        layer = Layer(switches, activations[t], *scales, *affine, joins, branch_scale)
        layers.append((layer, *second) if t > 0 else (layer,))
    return layers


def _each(name: str, value: Any, depth: int) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [value] * depth
    if len(value) != depth:
        raise ValueError(f"{name} has {len(value)} values for {depth} layers: give one for all, or one for each")
    return list(value)


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, or a sequence of them with one for each layer, got {value!r}")
    return value
