"""Non-linearities by name, each a module of its own so that a hook sees it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import nn

ActivationFactory = Callable[[], nn.Module]


class Abs(nn.Module):
    """``|x|``, elementwise."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The absolute value of every entry."""
        return inputs.abs()


ACTIVATIONS: Final[dict[str, ActivationFactory]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "abs": Abs,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "linear": nn.Identity,
}
"""Every activation by name: a function without arguments that returns a new module. A new one is one line here."""


def activation_factory(activation: str | ActivationFactory) -> ActivationFactory:
    """The function that makes one module of the named activation; a function is passed on.

    Raises:
        ValueError: the name is not known; the message lists those that are.
        TypeError: a module was given instead of a way to make modules, or something that cannot be called.
    """
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {activation!r}; choose one of {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[activation]
    if isinstance(activation, nn.Module):
        raise TypeError(
            f"activation is one module, {activation}, but every layer needs its own: "
            "pass the class or a function that makes one, such as functools.partial(torch.nn.LeakyReLU, 0.1)"
        )
    if not callable(activation):
        raise TypeError(f"activation must be a name or a function that returns a module, got {activation!r}")
    return activation


def gain(activation: nn.Module) -> float:
    """``1 / sqrt(E φ(z)²)``, z ~ N(0, 1): the factor that gives ``gain · φ(z)`` a second moment of one.

    √2 for ReLU, 1 for the identity and the absolute value, 1.593 for tanh, 1.534 for GELU. The integral is
    taken numerically on either side of 0, so a kink there costs no accuracy. The activation is taken as elementwise.

    Raises:
        ValueError: the second moment is zero or not finite, so that no factor would do.

    Source: He et al. (2015), section 2.2, where φ is ReLU.
    """
    points, weights = _half_normal_rule()
    with torch.no_grad():
        second_moment = sum(float((activation(side * points).square() * weights).sum()) for side in (1.0, -1.0))
    if not 0 < second_moment < math.inf:
        raise ValueError(
            f"the activation {activation} has second moment {second_moment} on standard normal input, so no weight "
            "scale keeps the signal; use init='xavier', which does not depend on the activation"
        )
    return float(second_moment**-0.5)


@lru_cache(maxsize=1)
def _half_normal_rule() -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights for ``∫_0^∞ f(z) exp(−z²/2)/sqrt(2π) dz``; beyond 12 nothing is left in float64."""
    end = 12.0
    nodes, weights = np.polynomial.legendre.leggauss(120)
    z = torch.tensor(end / 2 * (nodes + 1), dtype=torch.float64, device="cpu")
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    return z, torch.tensor(end / 2 * weights, dtype=torch.float64, device="cpu") * density
