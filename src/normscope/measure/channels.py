"""Statistics per channel, over the batch and all positions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from normscope.measure.numerics import CHUNK_ELEMENTS, check_floating


class ChannelMoments(NamedTuple):
    """First two moments of every channel, float64, shape (C,)."""

    mean: Tensor
    var: Tensor


def channel_moments(x: Tensor, channel_dim: int = 1) -> ChannelMoments:
    """mean_c = E[x_c], var_c = E[(x_c − mean_c)²] over the batch and all positions (biased, as batch norm's).

    Two passes in float64, channel by channel group: exact to float64 rounding also when |mean| is far larger
    than the standard deviation. A channel with NaN or infinity gives NaN (its mean may be infinite).

    Args:
        x: (n, C, *positions), or any shape with the channels at ``channel_dim``; (n, C) has features as channels.
        channel_dim: Where the channels are.

    Returns:
        `ChannelMoments` of (C,) float64: mean in units of ``x``, variance in their square.

    Raises:
        TypeError: ``x`` is not real floating point.
        ValueError: ``x`` has no values, or fewer than two dimensions.
        IndexError: ``channel_dim`` is not a dimension of ``x``.
    """
    by_channel = _channels_first(x, channel_dim)  # shape: (C, *rest)
    channels = max(1, CHUNK_ELEMENTS * by_channel.shape[0] // by_channel.numel())
    means, variances = [], []
    for group in by_channel.split(channels):
        values = group.to(torch.float64)  # shape: (channels of this group, *rest)
        rest = tuple(range(1, values.ndim))
        mean = values.mean(rest, keepdim=True)
        means.append(mean.flatten())
        variances.append((values - mean).square().mean(rest))
    return ChannelMoments(torch.cat(means), torch.cat(variances))


def dead_channels(x: Tensor, channel_dim: int = 1) -> Tensor:
    """x_c = 0 on the whole batch and at all positions.

    A channel with a NaN is not dead: nothing is known about it.

    Args:
        x: (n, C, *positions), or any shape with the channels at ``channel_dim``.
        channel_dim: Where the channels are.

    Returns:
        (C,), bool.

    Raises:
        TypeError: ``x`` is not real floating point.
        ValueError: ``x`` has no values, or fewer than two dimensions.
        IndexError: ``channel_dim`` is not a dimension of ``x``.
    """
    low, high = _channel_range(x, channel_dim)
    return (low == 0) & (high == 0)


def constant_channels(x: Tensor, channel_dim: int = 1) -> Tensor:
    """max_b x_c = min_b x_c: the same value on the whole batch and at all positions, compared exactly.

    Dead channels are constant too. A channel with a NaN is not.

    Args:
        x: (n, C, *positions), or any shape with the channels at ``channel_dim``.
        channel_dim: Where the channels are.

    Returns:
        (C,), bool.

    Raises:
        TypeError: ``x`` is not real floating point.
        ValueError: ``x`` has no values, or fewer than two dimensions.
        IndexError: ``channel_dim`` is not a dimension of ``x``.
    """
    low, high = _channel_range(x, channel_dim)
    return low == high


def dead_fraction(x: Tensor, channel_dim: int = 1) -> Tensor:
    """Dead channels / C, in [0, 1]; NaN when ``x`` holds a NaN.

    Args:
        x: (n, C, *positions), or any shape with the channels at ``channel_dim``.
        channel_dim: Where the channels are.

    Returns:
        0-d, float64.

    Raises:
        TypeError: ``x`` is not real floating point.
        ValueError: ``x`` has no values, or fewer than two dimensions.
        IndexError: ``channel_dim`` is not a dimension of ``x``.
    """
    low, high = _channel_range(x, channel_dim)
    dead = ((low == 0) & (high == 0)).to(torch.float64)
    return torch.where(low.isnan().any(), torch.nan, dead.mean())


def _channel_range(x: Tensor, channel_dim: int) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each channel, (C,); NaN for a channel with a NaN.

    Two reductions, where a comparison of every value would first write one bool a value.
    """
    by_channel = _channels_first(x, channel_dim)
    rest = tuple(range(1, by_channel.ndim))
    return by_channel.amin(rest), by_channel.amax(rest)


def _channels_first(x: Tensor, channel_dim: int) -> Tensor:
    """A view of ``x`` with the channels in front."""
    check_floating(x, "x")
    if x.ndim < 2:
        raise ValueError(f"x: shape {tuple(x.shape)} has no batch and channels; expected (n, C, *positions)")
    if x.numel() == 0:
        raise ValueError(f"x: shape {tuple(x.shape)} holds no values; give at least one sample, channel, position")
    if not -x.ndim <= channel_dim < x.ndim:
        raise IndexError(f"channel_dim: {channel_dim} is not a dimension of x, which has shape {tuple(x.shape)}")
    return x.movedim(channel_dim, 0)
