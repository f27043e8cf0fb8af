"""How deep a network may be, from the growth of its gradients and of its correlations per layer."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

Precision = Literal["float16", "bfloat16", "float32", "float64"]

_BITS: dict[str, tuple[int, int]] = {  # of the mantissa, stored; the largest exponent
    "float16": (10, 15),
    "bfloat16": (7, 127),
    "float32": (23, 127),
    "float64": (52, 1023),
}
_SPAN = 6.0  # Schoenholz et al. (2017), see trainable_depth


def overflow_depth(growth: float, dtype: Precision = "float16", start: float = 1.0) -> float:
    """Layers after which a gradient leaves the range of a number format.

    The smallest whole L with start · growth^(L/2) > the largest finite number; for growth < 1, the smallest with
    start · growth^(L/2) < the smallest positive (subnormal) number, half of which is rounded to 0. The growth is that
    of squares: entries grow by its root.

    Args:
        growth: factor of the squared gradient norm per layer.
        dtype: number format of the gradients.
        start: size of a gradient's entry at the output; of the largest entry for the first overflow, of a typical one
            (root mean square) for the loss of the whole gradient. A loss scale multiplies it.

    Returns:
        A whole number, or inf where gradients neither grow nor shrink.

    Raises:
        ValueError: an unknown dtype; a growth or start that is not positive and finite; or a start outside the range of
            the format.
    """
    if dtype not in _BITS:
        raise ValueError(f"unknown number format {dtype!r}: choose one of {', '.join(get_args(Precision))}")
    for name, value in (("growth", growth), ("start", start)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is positive and finite, got {value}")
    mantissa, exponent = _BITS[dtype]
    largest = (2 - 2.0**-mantissa) * 2.0**exponent
    smallest = 2.0 ** (1 - exponent - mantissa)
    if not smallest <= start <= largest:
        raise ValueError(f"start = {start:g} is outside the range of {dtype}, {smallest:.3g} to {largest:.3g}")
    if growth == 1:
        return math.inf
    edge = largest if growth > 1 else smallest
    # division of logarithms, then one step either way against its rounding
    depth = math.floor(2 * (math.log(edge) - math.log(start)) / math.log(growth))
    return float(
        next(d for d in (depth - 1, depth, depth + 1, depth + 2) if d >= 0 and _beyond(growth, d, start, edge))
    )


def _beyond(growth: float, depth: int, start: float, edge: float) -> bool:
    logs = depth * math.log(growth) / 2, math.log(edge) - math.log(start)
    return logs[0] > logs[1] if growth > 1 else logs[0] < logs[1]


class TrainableDepth(NamedTuple):
    """Depth scales of a random network, in layers."""

    gradient_scale: float
    """ξ_∇ = 1/|ln growth|: the squared gradient norm changes by e; inf where it does not change."""
    correlation_scale: float
    """ξ_c = −1/ln rate: a deviation from the fixed point, and with it what tells inputs apart, shrinks by e."""
    depth: float
    """Up to which training can be expected to work: ``span`` times the smaller of the two."""


def trainable_depth(growth: float, rate: float = 1.0, span: float = _SPAN) -> TrainableDepth:
    """Depth scales of gradients and of correlations, and the depth up to which a network is expected to train.

    ξ_∇ = 1/|ln growth| and ξ_c = −1/ln rate, as in Schoenholz et al. (2017, Deep Information Propagation), who saw
    plain networks train up to about six times ξ_c. It is a rule of thumb for plain networks at initialization: skip
    connections and the first steps of training change it (Yang et al. 2019).

    Args:
        growth: factor of the squared gradient norm per layer; `GradientGrowth.relative` where weights are initialized
            so that activations keep their scale.
        rate: largest eigenvalue modulus at the fixed point, `FixedPoint.rate`; 1 or more where nothing is forgotten
            exponentially.
        span: how many scales a network may be deep.

    Raises:
        ValueError: growth or span is not positive and finite, or rate is negative or nan.
    """
    for name, value in (("growth", growth), ("span", span)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is positive and finite, got {value}")
    if not rate >= 0:
        raise ValueError(f"rate is at least 0, got {rate}")
    gradient = math.inf if growth == 1 else 1 / abs(math.log(growth))
    correlation = math.inf if rate >= 1 else (-1 / math.log(rate) if rate > 0 else 0.0)
    return TrainableDepth(gradient, correlation, span * min(gradient, correlation))
