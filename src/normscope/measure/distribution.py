"""The shape of a distribution, robustly: histogram, and tails by quantiles instead of moments."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from normscope.measure.numerics import check_floating

NORMAL_OCTILE_KURTOSIS = 1.2331
"""Of a normal distribution: 2 (z(7/8) − z(5/8)) / (2 z(6/8)), z the quantiles."""
NORMAL_QUANTILE_RATIO = 2.9058
"""Of a normal distribution: z(0.975) / z(0.75)."""


class Histogram(NamedTuple):
    """How many values lie in each bin.

    Attributes:
        counts: (bins,), int64; the last bin holds its upper edge.
        edges: (bins + 1,), float64, in units of the values.
        outside: values beyond the edges.
    """

    counts: Tensor
    edges: Tensor
    outside: int


class Tails(NamedTuple):
    """Scale and tails by quantiles q: outliers move none of them far. All 0-d, float64.

    Attributes:
        scale: interquartile range / 1.349, the standard deviation of a normal distribution; in units of the values.
        octile_kurtosis: ((q₇ − q₅) + (q₃ − q₁)) / (q₆ − q₂) of octiles (Moors 1988); 1.233 when normal, larger with
            heavier tails.
        quantile_ratio: (q.975 − q.025) / (q.75 − q.25) (Crow and Siddiqui 1967; Kim and White 2004, who subtract the
            normal value); 2.906 when normal.
        extreme_ratio: largest |x| / ``scale``.
        tail_index: α of P(|x| > t) ~ t^(−α) from the largest 5 % (Hill 1975): 1/α = mean ln(x_(i) / x_(k+1)). Heavy
            tails have a small one: the variance is infinite below 2. A normal sample, which has no power law, gives
            about 6 there.
    """

    scale: Tensor
    octile_kurtosis: Tensor
    quantile_ratio: Tensor
    extreme_ratio: Tensor
    tail_index: Tensor


def tails(x: Tensor, *, tail: float = 0.05) -> Tails:
    """`Tails` of all values of a tensor; quantiles by linear interpolation.

    Args:
        x: any shape, real floating, at least 8 values.
        tail: share of the largest |x| that the tail index is estimated from.

    Returns:
        `Tails`; NaN where half of the values are the same (no scale), and the tail index where so few differ from zero
        that the tail reaches it; all NaN when one of ``x`` is NaN or infinite.

    Raises:
        TypeError: ``x`` is not real floating point.
        ValueError: fewer than 8 values, or ``tail`` is not in (0, 1).

    Source: Moors, A quantile alternative for kurtosis (1988); Crow and Siddiqui, Robust estimation of location (1967);
    Kim and White, On more robust estimation of skewness and kurtosis (2004); Hill, A simple general approach to
    inference about the tail of a distribution (1975).
    """
    check_floating(x, "x")
    if x.numel() < 8:
        raise ValueError(f"x: {x.numel()} values have no octiles; at least 8 are needed")
    if not 0 < tail < 1:
        raise ValueError(f"tail must be a share between 0 and 1, got {tail}")
    values = x.detach().to(torch.float64).flatten().sort().values
    if not values.isfinite().all():
        return Tails(*(torch.full((), torch.nan, dtype=torch.float64, device=x.device) for _ in Tails._fields))
    octile = [_quantile(values, k / 8) for k in range(8)]
    quartiles = octile[6] - octile[2]
    quartiles = torch.where(quartiles > 0, quartiles, torch.nan)
    kurtosis = (octile[7] - octile[5] + octile[3] - octile[1]) / quartiles
    ratio = (_quantile(values, 0.975) - _quantile(values, 0.025)) / quartiles
    scale = quartiles / 1.3489795003921634
    return Tails(scale, kurtosis, ratio, values.abs().amax() / scale, _hill(values, tail))


def histogram(x: Tensor, bins: int = 101, *, limit: float | None = None) -> Histogram:
    """Counts in ``bins`` equal bins of [−limit, limit].

    Args:
        x: any shape, real floating, finite.
        bins: how many; odd, so that one is centred at zero, or not.
        limit: default the largest |x| (1 where all are zero). Give one to compare distributions.

    Raises:
        TypeError: ``x`` is not real floating point.
        ValueError: ``x`` is empty or holds NaN or infinity, ``bins`` < 1, or ``limit`` is not positive.
    """
    check_floating(x, "x")
    values = x.detach().to(torch.float64).flatten()
    if not values.numel():
        raise ValueError(f"x: shape {tuple(x.shape)} holds no values")
    if not values.isfinite().all():
        raise ValueError("x holds NaN or infinity, which lie in no bin; look for where they come from first")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    if limit is not None and not (limit > 0 and math.isfinite(limit)):
        raise ValueError(f"limit must be positive, got {limit}")
    limit = limit or float(values.abs().amax()) or 1.0
    edges = torch.linspace(-1, 1, bins + 1, dtype=torch.float64, device=x.device) * limit
    inside = values[values.abs() <= limit]
    places = (torch.bucketize(inside, edges, right=True) - 1).clamp(0, bins - 1)
    return Histogram(torch.bincount(places, minlength=bins), edges, values.numel() - inside.numel())


def _quantile(ordered: Tensor, q: float) -> Tensor:
    # torch.quantile refuses more than 2^24 values
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    return torch.lerp(ordered[low], ordered[min(low + 1, len(ordered) - 1)], place - low)


def _hill(ordered: Tensor, tail: float) -> Tensor:
    sizes = ordered.abs().sort(descending=True).values
    k = min(max(1, round(tail * len(sizes))), len(sizes) - 1)
    index = 1 / (sizes[:k].log() - sizes[k].log()).mean()
    return torch.where(sizes[k] > 0, index, torch.nan)
