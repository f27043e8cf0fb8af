"""Normalization by the statistics of the batch: fast kernels, and plain formulas that can be differentiated again.

Per channel, over its ``N`` values: ``c`` is the mean when recentering and 0 when not; ``m`` is the mean when the
scale is the standard deviation and 0 when it is the root mean square; ``s² = mean((x − m)²) + eps``, and ``s = 1``
without rescaling.

    y  = (x − c) / s · w + b
    db = Σ dy,   dw = Σ dy (x − c) / s
    dx = w / s · [dy − mean(dy) − (x − m) · mean(dy (x − c)) / s²]

with ``mean(dy)`` only when recentering and the last term only when rescaling, because ``d(s²)/dx = 2 (x − m) / N``
for both scales.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from normscope.nn.switches import Switches


def _accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64, float32 for everything narrower."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _widened(parameter: Tensor | None, x: Tensor) -> Tensor | None:
    # The statistics are in the accumulation dtype, and torch wants all vectors of a channel in one dtype.
    # A parameter of a third dtype is left as it is: torch's error is right.
    if parameter is None or parameter.dtype != x.dtype:
        return parameter
    return parameter.to(_accumulation_dtype(x.dtype))


def _batch_dims(x: Tensor) -> list[int]:
    return [d for d in range(x.dim()) if d != 1]


def _per_channel(v: Tensor, x: Tensor) -> Tensor:
    return v.view(-1, *[1] * (x.dim() - 2))  # shape: (C, 1, ..., 1), broadcasts against x


def _fold(t: Tensor | None, in_dim: int | None, size: int, channel_dim: int) -> Tensor | None:
    """Members of an ensemble are just more channels: move the dimension of `torch.vmap` into the channels."""
    if t is None:
        return None
    if in_dim is None:
        t = t.unsqueeze(channel_dim).expand(*t.shape[:channel_dim], size, *t.shape[channel_dim:])
    else:
        t = t.movedim(in_dim, channel_dim)
    return t.flatten(channel_dim, channel_dim + 1)


class _ChannelSums(torch.autograd.Function):
    """``apply(dy, x, center)``: ``Σ dy`` and ``Σ dy (x − center)`` per channel, in the dtype of ``center``.

    Without derivative: the callers are the ordinary backward, and statistics whose derivative `_BatchNormalize` knows.
    """

    @staticmethod
    def forward(dy: Tensor, x: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
        # These are the bias and weight gradients of an evaluation-mode batch norm with unit variance: one vectorized
        # pass for every memory format, without the temporary (float32 for half precision) of a sum of products.
        one = torch.ones_like(center)
        _, dot, total = torch.ops.aten.native_batch_norm_backward(
            dy, x, one, center, one, None, None, False, 0.0, [False, True, True]
        )
        return total, dot  # shapes: (C,), (C,)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], dy: Tensor, x: Tensor, center: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        # The batching rule that torch has for this kernel fails without saved statistics.
        size = info.batch_size
        sums = _ChannelSums.apply(
            _fold(dy, in_dims[0], size, 1), _fold(x, in_dims[1], size, 1), _fold(center, in_dims[2], size, 0)
        )
        total, dot = (v.unflatten(0, (size, -1)) for v in sums)
        return (total, dot), (0, 0)


def _batch_statistics(x: Tensor, switches: Switches) -> tuple[Tensor | None, Tensor | None]:
    """The mean and ``mean((x − m)²)`` per channel, ``None`` where the switches need none; fast, not differentiable.

    A variance is a mean of squares of centred values: ``E[x²] − E[x]²`` has no digits left when the mean is a thousand
    deviations.
    """
    dtype = _accumulation_dtype(x.dtype)
    mean = second = None
    if switches.recenter or switches.scales_by_std:
        mean = x.mean(_batch_dims(x), dtype=dtype)  # shape: (C,)
    if switches.rescale:
        deviation = x
        if mean is not None and switches.scales_by_std:
            deviation = x - _per_channel(mean, x)
        zero = torch.zeros(x.shape[1], dtype=dtype, device=x.device)
        _, squares = _ChannelSums.apply(deviation, deviation, zero)
        second = squares / (x.numel() // x.shape[1])  # shape: (C,)
    return mean, second


def _in_forward_mode() -> bool:
    # Nested forward mode (a jvp of a jvp) is silently wrong through every autograd.Function with a jvp (pytorch issue
    # 197867). Ours have none: should torch rename this variable, they raise.
    return getattr(forward_ad, "_current_level", -1) >= 0


class _Parts:
    """The quantities of the formulas at the top as differentiable functions of ``x``, in the accumulation dtype."""

    def __init__(self, x: Tensor, switches: Switches, eps: float) -> None:
        self.dims = _batch_dims(x)
        x = x.to(_accumulation_dtype(x.dtype))
        self.centred = self.deviation = x  # x − c, x − m
        self.mean = self.second = self.inverse = None
        if switches.recenter or switches.scales_by_std:
            mean = x.mean(self.dims, keepdim=True)
            self.mean = mean.flatten()
            self.centred = x - mean if switches.recenter else x
            self.deviation = x - mean if switches.scales_by_std else x
        if switches.rescale:
            second = self.deviation.square().mean(self.dims, keepdim=True)
            self.second = second.flatten()
            self.inverse = (second + eps).rsqrt()  # 1 / s
        self.normalized = self.centred if self.inverse is None else self.centred * self.inverse


def _plain_normalize(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, switches: Switches, eps: float
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """What `normalize` returns, by plain operations."""
    parts = _Parts(x, switches, eps)
    y = parts.normalized
    if weight is not None:
        y = y * _per_channel(weight, x)
    if bias is not None:
        y = y + _per_channel(bias, x)
    mean, second = parts.mean, parts.second
    return y.to(x.dtype), mean if mean is None else mean.detach(), second if second is None else second.detach()


def _plain_backward(
    dy: Tensor, x: Tensor, weight: Tensor | None, switches: Switches, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """``dx``, ``dw``, ``db`` by operations that can be differentiated again, statistics included."""
    parts = _Parts(x, switches, eps)
    dims = parts.dims
    dy = dy.to(parts.normalized.dtype)
    dx = dy - dy.mean(dims, keepdim=True) if switches.recenter else dy
    if parts.inverse is not None:
        pull = (dy * parts.normalized).mean(dims, keepdim=True) * parts.inverse
        dx = (dx - parts.deviation * pull) * parts.inverse
    if weight is not None:
        dx = dx * _per_channel(weight, x)
    return dx, (dy * parts.normalized).sum(dims), dy.sum(dims)


def _fast_backward(
    dy: Tensor,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor | None,
    second: Tensor | None,
    switches: Switches,
    eps: float,
    needs_dx: bool,
) -> tuple[Tensor | None, Tensor, Tensor]:
    """``dx``, ``dw``, ``db`` in three passes over the data, two without rescaling."""
    count = x.numel() // x.shape[1]
    zero = torch.zeros(x.shape[1], dtype=_accumulation_dtype(x.dtype), device=x.device)
    one = torch.ones_like(zero)
    total, dot = _ChannelSums.apply(dy, x, mean if mean is not None and switches.recenter else zero)
    inverse = one if second is None else (second + eps).rsqrt()
    dw = dot * inverse
    if not needs_dx:
        return None, dw, total
    wide = _widened(weight, x)
    slope = inverse if wide is None else wide * inverse
    dy_mean = total / count if switches.recenter else zero
    if second is None:
        return F.batch_norm(dy, dy_mean, one, slope, None, False, 0.0, 0.0), dw, total
    pull = -slope * inverse * dw / count  # the coefficient of x − m
    shift = -slope * dy_mean
    if mean is not None and switches.scales_by_std:
        shift = shift - pull * mean
    # Half precision is widened here, so that the sum of the two terms is rounded once.
    dx = F.batch_norm(dy.to(zero.dtype), zero, one, slope, shift, False, 0.0, 0.0)
    return dx.addcmul_(x, _per_channel(pull, x)), dw, total


class _BatchNormalize(torch.autograd.Function):
    """``apply(x, weight, bias, mean, second, switches, eps)``, with the statistics of `_batch_statistics(x)`.

    The derivative is the total one: the statistics are functions of ``x``, though they arrive as constants.
    A gradient that will be differentiated again (``create_graph``, torch.func) is computed by plain operations, with
    the statistics anew from ``x``; only the ordinary backward uses those that were saved.
    """

    @staticmethod
    def forward(
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor | None,
        second: Tensor | None,
        switches: Switches,
        eps: float,
    ) -> Tensor:
        zero = torch.zeros(x.shape[1], dtype=_accumulation_dtype(x.dtype), device=x.device)
        center = mean if mean is not None and switches.recenter else zero
        variance, eps = (torch.ones_like(zero), 0.0) if second is None else (second, eps)
        return F.batch_norm(x, center, variance, _widened(weight, x), _widened(bias, x), False, 0.0, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, mean, second, ctx.switches, ctx.eps = inputs
        ctx.save_for_backward(x, weight, mean, second)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor, *arguments: Any) -> tuple[Tensor, int]:
        *vectors, switches, eps = arguments
        size = info.batch_size
        y = _BatchNormalize.apply(
            _fold(x, in_dims[0], size, 1),
            *(_fold(v, in_dim, size, 0) for v, in_dim in zip(vectors, in_dims[1:5], strict=True)),
            switches,
            eps,
        )
        return y.unflatten(1, (size, -1)), 1

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = grad_outputs
        x, weight, mean, second = ctx.saved_tensors
        needs_dx, needs_dw, needs_db, *_ = ctx.needs_input_grad
        dx: Tensor | None
        if torch.is_grad_enabled() or _in_forward_mode():
            dx, dw, db = _plain_backward(dy, x, weight, ctx.switches, ctx.eps)
        else:
            dx, dw, db = _fast_backward(dy, x, weight, mean, second, ctx.switches, ctx.eps, needs_dx)
        # Autograd rounds each to the dtype of its input.
        return dx, dw if needs_dw else None, db if needs_db else None, None, None, None, None


def normalize(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, switches: Switches, eps: float
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """``(x − c) / s · weight + bias``, then the mean and ``mean((x − m)²)`` where they are used, detached.

    Differentiable any number of times in both modes and under `torch.func`; needs a batch that is not empty.
    """
    # A compiler fuses plain operations better than it could call kernels.
    if torch.compiler.is_compiling() or _in_forward_mode():
        return _plain_normalize(x, weight, bias, switches, eps)
    with torch.no_grad():
        mean, second = _batch_statistics(x, switches)
    return _BatchNormalize.apply(x, weight, bias, mean, second, switches, eps), mean, second
