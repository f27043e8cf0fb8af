"""What an activation becomes for very small and very large input: piecewise linear, where it has slopes there."""

from __future__ import annotations

import numpy as np

from normscope.theory.activations.kernel import Activation
from normscope.theory.activations.piecewise_linear import PiecewiseLinear

_SPREAD = 2.0 ** np.arange(-6, 7)  # relative sizes of Gaussian input that are looked at
_AGREEMENT = 1e-10


FAR = 75.0
"""Logarithm of the variance from which on, or below minus which, only the limit of φ counts in float64."""


def homogeneous_limit(phi: Activation, log_scale: float) -> PiecewiseLinear | None:
    """The a x + b |x| that φ is, to rounding, for input of variance exp(log_scale); None where it is none.

    tanh, GELU, SiLU and ELU are x or x/2 and more for tiny input; for huge input GELU, SiLU and ELU are the ReLU.
    """
    # further out nothing changes, and float64 ends
    x = np.exp(np.clip(log_scale, -2 * FAR, 2 * FAR) / 2) * _SPREAD
    with np.errstate(all="ignore"):
        up, down = np.asarray(phi(x)) / x, np.asarray(phi(-x)) / -x
    size = max(np.abs(up).max(), np.abs(down).max())
    # a bounded φ has slopes 1/x there: they differ, and are no limit
    if not 0 < size < np.inf or max(np.ptp(up), np.ptp(down)) > _AGREEMENT * size:
        return None
    return PiecewiseLinear(float(up[0] + down[0]) / 2, float(up[0] - down[0]) / 2)
