"""What one layer does to its pre-activations, feature by feature: the same for drawn weights and for the law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from normscope.nn.switches import Switches
from normscope.simulate.elementwise import Elementwise

Residual = Literal["activated", "inside", "projected"]
"""Where a shortcut joins: see `random_network`."""

_CONSTANT = 8  # in units of eps: a standard deviation below that of the feature's size is rounding


@dataclass(frozen=True)
class Layer:
    """One layer, its switches and constants resolved."""

    switches: Switches
    activation: Elementwise
    weight_std: float
    bias_std: float
    gain: float
    shift: float
    residual: Residual | None
    branch_scale: float

    @property
    def law_recenters(self) -> bool:
        """Whether the covariance can be recentered in place of the features: not if their mean enters the scale."""
        return self.switches.recenter and not (self.switches.rescale and self.switches.scale == "rms")

    @property
    def keeps_features(self) -> bool:
        """Whether the next features depend on the single features of this layer's input."""
        return self.residual in ("activated", "inside")


def features(
    layer: Layer,
    z: Tensor,
    log_z: Tensor,
    *,
    recentered: bool,
    skip: Tensor | None = None,
    log_skip: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The layer's output e^a y from its pre-activations e^log_z · z.

    Without a graph to record, the memory of ``z`` may be used for the output.

    Args:
        layer: what to do.
        z: pre-activations, (networks, n, features).
        log_z: their unit, (networks,).
        recentered: whether they are already.
        skip: the same features of the layer's input, for a shortcut.
        log_skip: their unit.

    Returns:
        y, the shape of ``z``, and a, (networks,).
    """
    u, log_u = _normalized(layer, z, log_z, recentered)
    if layer.residual == "inside" and skip is not None and log_skip is not None:
        u, log_u = add(skip, log_skip, layer.branch_scale * u, log_u)
    y, log_y = layer.activation(u, log_u)
    if layer.residual == "activated" and skip is not None and log_skip is not None:
        y, log_y = add(skip, log_skip, layer.branch_scale * y, log_y)
    return y, log_y


def add(a: Tensor, log_a: Tensor, b: Tensor, log_b: Tensor) -> tuple[Tensor, Tensor]:
    """e^log_a · a + e^log_b · b, in the larger of the two units."""
    unit = torch.maximum(log_a, log_b)
    return times(a, relative(log_a, unit)) + times(b, relative(log_b, unit)), unit


def relative(log_a: Tensor, log_unit: Tensor) -> Tensor:
    """e^(log_a − log_unit), which is 0 where log_a is −∞, whatever the unit."""
    return torch.where(log_a == -torch.inf, 0.0, torch.exp(log_a - log_unit))


def times(x: Tensor, factor: Tensor) -> Tensor:
    """``x`` (networks, …, …) by one float64 factor a network, in the dtype of ``x``."""
    return x * factor.to(x.dtype)[:, None, None]


def _normalized(layer: Layer, z: Tensor, log_z: Tensor, recentered: bool) -> tuple[Tensor, Tensor]:
    switches, own = layer.switches, not z.requires_grad
    if switches.rescale:
        divisor = _scale(switches, z, recentered)
    if switches.recenter and not recentered:
        mean = z.mean(1, keepdim=True)
        z = z.sub_(mean) if own else z - mean
    if switches.rescale:
        z = z.div_(divisor) if own else z / divisor
        log_z = torch.zeros_like(log_z)
    if layer.gain != 1:
        z = layer.gain * z
    if layer.shift:
        # 1 is the unit of the shift
        one = torch.full_like(z[:, :1, :1], layer.shift)
        z, log_z = add(z, log_z, one, torch.zeros_like(log_z))
    return z, log_z


def _scale(switches: Switches, z: Tensor, recentered: bool) -> Tensor:
    """What each feature is divided by, (networks, 1, features); ∞, which makes it zero, where it does not vary."""
    # not vector_norm, which is 50 times slower over a dimension that is not the last
    square = z.square().mean(1, keepdim=True)
    if switches.scale == "std" and not recentered:
        spread = (z - z.mean(1, keepdim=True)).square().mean(1, keepdim=True)
        constant = spread <= (_CONSTANT * torch.finfo(z.dtype).eps) ** 2 * square
    elif z.requires_grad:
        spread, constant = square, square == 0
    else:  # zeros over a tiny number are zero as well, in fewer steps; their gradient would be huge
        return square.clamp_(min=torch.finfo(z.dtype).tiny).sqrt_()
    return torch.where(constant, torch.inf, spread).sqrt()
