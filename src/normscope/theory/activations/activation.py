"""Activations by name, and of one's own: what `GramMap` takes as its activation."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from normscope.theory.activations.closed_forms import Erf, Sin, Step
from normscope.theory.activations.kernel import Activation
from normscope.theory.activations.numeric_kernel import NUMERIC, NumericActivation
from normscope.theory.activations.piecewise_linear import ABS, LINEAR, RELU, PiecewiseLinear, leaky_relu

__all__ = ["ACTIVATIONS", "Activation", "PiecewiseLinear", "activation", "leaky_relu"]

LEAKY_SLOPE = 0.01
"""Slope of "leaky_relu" without one: torch's."""

ACTIVATIONS = MappingProxyType(
    {phi.name: phi for phi in (LINEAR, RELU, ABS, Erf(), Sin(), Step())}
    | {"leaky_relu": leaky_relu(LEAKY_SLOPE)}
    | {phi.name: phi for phi in NUMERIC}
)
"""Every activation by name. A new one is one line here."""


def activation(spec: str | Activation | Callable[..., object]) -> Activation:
    """The activation of that name; a function of one's own gets its expectations numerically.

    Args:
        spec: a name of `ACTIVATIONS`, "leaky_relu:0.2" for another slope, "piecewise_linear:a,b" for a x + b |x|; an
            `Activation`, which is passed on; or an elementwise function of a float64 array.

    Raises:
        ValueError: the name is not known (the message lists those that are), or the function is not elementwise, not
            finite or not real.
        TypeError: neither a name nor something that can be called.
    """
    if isinstance(spec, Activation):
        return spec
    if isinstance(spec, str):
        return _named(spec)
    if callable(spec):
        return NumericActivation(spec)
    raise TypeError(f"an activation is a name or an elementwise function, got {spec!r}")


def _named(name: str) -> Activation:
    kind, colon, numbers = name.partition(":")
    if not colon and name in ACTIVATIONS:
        return ACTIVATIONS[name]
    try:
        values = [float(number) for number in numbers.split(",")] if colon else []
    except ValueError:
        raise ValueError(f"activation {name!r}: {numbers!r} is not a number") from None
    if kind == "leaky_relu" and len(values) == 1:
        return leaky_relu(values[0])
    if kind == "piecewise_linear" and len(values) == 2:
        return PiecewiseLinear(values[0], values[1])
    known = ", ".join([*ACTIVATIONS, "leaky_relu:SLOPE", "piecewise_linear:A,B"])
    raise ValueError(f"unknown activation {name!r}; choose one of {known}, or pass a function")
