"""What a hook does to an activation while it is alive: read it once, keep little."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from normscope import measure

_AT_ONCE = 2**18  # elements widened to float64 at a time: they stay in the cache, and the memory stays small
_LEAST = 1e-24  # a variance whose float32 squares are far from the ends of their range
_CANCELS = 10  # mean² over variance: E[x²] − E[x]² of float32 sums loses so many times their rounding
_FEATURES = 2**14  # features hashed at a time


class ChannelStatistics(NamedTuple):
    """Per channel, over the batch and all positions."""

    mean: Tensor  # shape: (C,), float64
    var: Tensor  # shape: (C,), float64, biased
    dead: Tensor  # shape: (C,), bool: zero everywhere


@torch.no_grad()
def channel_statistics(x: Tensor, channel_dim: int) -> ChannelStatistics:
    """Mean, variance and deadness of every channel, in one pass.

    Where a sample has one value a channel, or the channels lie last in memory, by two passes over pieces in float64.
    Elsewhere by E[x²] − E[x]² of each sample: on the CPU from float32 sums over positions, to about six digits, where
    no channel has a mean above three deviations or a size that float32 squares do not hold; else in float64, which is
    as exact as float32 input itself wherever the mean is below a million deviations. Float64 input goes to
    `normscope.measure.channel_moments`.

    Args:
        x: floating point, at least 1-D, not empty.
        channel_dim: which dimension is the channels.
    """
    channel_dim %= x.dim()
    last = x if channel_dim == x.dim() - 1 else x.movedim(channel_dim, -1)
    if x.dim() <= 2 or last.is_contiguous():
        mean, var = _pooled([_moments_of_rows(part) for part in _pieces(last.reshape(-1, last.shape[-1]))])
    elif x.dtype == torch.float64:
        return ChannelStatistics(*measure.channel_moments(x, channel_dim), measure.dead_channels(x, channel_dim))
    else:
        positions = x.movedim(channel_dim, 1).flatten(2)  # shape: (n, C, p)
        easy = _easy_moments(positions) if x.dtype == torch.float32 and x.device.type == "cpu" else None
        mean, var = easy or _pooled([_moments_of_samples(part.double()) for part in _pieces(positions)])
    return ChannelStatistics(mean, var, (mean == 0) & (var == 0))


class GradientStatistics(NamedTuple):
    """Of the gradient of the loss by one output, 0-d float64."""

    norm: Tensor  # Frobenius norm
    coherence: Tensor  # Σ|Σ_b g| / ΣΣ_b|g|, as `normscope.measure.gradient_coherence`
    shared: Tensor  # n ‖mean_b g_b‖² / Σ_b ‖g_b‖²


@torch.no_grad()
def gradient_statistics(samples: Tensor) -> GradientStatistics:
    """Norm, coherence and shared energy of a gradient, in one pass.

    Args:
        samples: shape (n, ...), samples first.
    """
    n = samples.shape[0]
    total = torch.zeros(samples.shape[1:], dtype=torch.float64, device=samples.device)
    absolute = energy = torch.zeros((), dtype=torch.float64, device=samples.device)
    for part in _pieces(samples):
        wide = part.to(torch.float64, copy=True)
        total += wide.sum(0)
        energy = energy + torch.linalg.vector_norm(wide).square()
        absolute = absolute + wide.abs_().sum()  # the 1-norm of torch is several times slower
    shared = torch.linalg.vector_norm(total).square() / (n * energy)
    return GradientStatistics(energy.sqrt(), total.abs().sum() / absolute, shared)


def sketch(x: Tensor, directions: int, seed: int) -> Tensor:
    """The samples as random ±1 sums of disjoint sets of features (feature hashing), (n, directions).

    Scaled so that `normscope.measure.gram` of it estimates that of ``x``: unbiased, each entry with a standard
    deviation of at most sqrt(2/directions) · sqrt(G_ii G_jj). One pass, whatever the number of features.

    Source: Weinberger et al., ICML 2009, lemma 2.
    """
    rows = x.reshape(x.shape[0], -1)
    d = rows.shape[1]
    generator = torch.Generator().manual_seed(seed)
    bucket = torch.randint(directions, (d,), generator=generator).to(x.device)
    sign = (torch.randint(2, (d,), generator=generator) * 2 - 1).to(x.device, x.dtype)
    sums = torch.zeros(rows.shape[0], directions, dtype=x.dtype, device=x.device)
    for start in range(0, d, _FEATURES):
        part = slice(start, start + _FEATURES)
        sums.index_add_(1, bucket[part], rows[:, part] * sign[part])
    return sums.mul_((directions / d) ** 0.5)


def _pieces(x: Tensor) -> tuple[Tensor, ...]:
    """Along the first dimension, small enough to stay in the cache as float64."""
    if x.numel() <= _AT_ONCE:
        return (x,)
    pieces: tuple[Tensor, ...] = x.split(max(1, _AT_ONCE * x.shape[0] // x.numel()))
    return pieces


class _Moments(NamedTuple):
    """Of one piece."""

    size: int  # values a channel
    mean: Tensor  # shape: (C,), float64
    var: Tensor  # shape: (C,), float64, biased


def _moments_of_rows(rows: Tensor) -> _Moments:
    """Of (m, C). What batch norm computes of its input: two passes, many times faster than `torch.var_mean`."""
    return _Moments(rows.shape[0], *torch.batch_norm_update_stats(rows.double(), None, None, 0.0))


def _moments_of_samples(samples: Tensor) -> _Moments:
    """Of (n, C, p). Sums over positions are in the dtype of ``samples``, the rest is in float64."""
    positions = samples.shape[2]
    mean = samples.sum(2).double() / positions  # shape: (n, C)
    square = torch.linalg.vector_norm(samples, dim=2).double().square_() / positions
    overall = mean.mean(0)
    var = (square - mean.square()).clamp_(min=0).mean(0) + (mean - overall).square_().mean(0)
    return _Moments(samples.shape[0] * positions, overall, var)


def _easy_moments(samples: Tensor) -> tuple[Tensor, Tensor] | None:
    """Of float32 (n, C, p), five times as fast as in float64; None where digits would be lost."""
    _, mean, var = _moments_of_samples(samples)
    safe = (var > _LEAST) & (var < 1 / _LEAST) & (mean.square() < _CANCELS * var)  # False for NaN
    return (mean, var) if bool(safe.all()) else None


def _pooled(pieces: list[_Moments]) -> tuple[Tensor, Tensor]:
    """Mean and variance of all pieces together (Chan, Golub and LeVeque, 1983)."""
    if len(pieces) == 1:
        return pieces[0].mean, pieces[0].var
    means, variances = torch.stack([p.mean for p in pieces]), torch.stack([p.var for p in pieces])
    size = torch.tensor([piece.size for piece in pieces], dtype=torch.float64, device=means.device)
    share = (size / size.sum())[:, None]
    mean = (share * means).sum(0)
    return mean, (share * (variances + (means - mean).square())).sum(0)
