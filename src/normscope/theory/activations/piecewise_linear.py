"""φ(x) = a x + b |x|: linear, ReLU, leaky ReLU and absolute value, in one closed form (Cho & Saul, 2009)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import spherical_jn

from normscope.theory.activations.kernel import (
    Activation,
    Array,
    angle_from_distance,
    checked_covariance,
    checked_distance,
    cosine,
)


@dataclass(frozen=True, repr=False)
class PiecewiseLinear(Activation):
    """φ(x) = a x + b |x|: slope a + b for x > 0, a − b for x < 0.

    E φ(x)φ(y) = a² c + b² E|x||y|, as E x|y| = 0, with E|x||y| = (2/π) √(v1 v2) (√(1 − r²) + r arcsin r), the
    arc-cosine kernel of degree 1 of Cho & Saul (2009).
    """

    odd: float
    """a"""
    even: float
    """b"""
    name: str = ""
    degree = 1

    def __post_init__(self) -> None:
        if not (np.isfinite(self.odd) and np.isfinite(self.even)) or self.odd == self.even == 0:
            raise ValueError(f"a x + b |x| needs finite a and b, not both 0, got a = {self.odd}, b = {self.even}")
        if not self.name:
            object.__setattr__(self, "name", f"piecewise_linear:{self.odd},{self.even}")

    def __call__(self, x: ArrayLike) -> Array:
        """A x + b |x|."""
        x = np.asarray(x, dtype=np.float64)
        return np.asarray(self.odd * x + self.even * np.abs(x))

    def derivative(self, x: ArrayLike) -> Array:
        """A + b sign(x)."""
        return self.odd + self.even * np.sign(np.asarray(x, dtype=np.float64))

    def kernel(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> Array:
        """a² c + b² (|c| + (2/π) √(v1 v2) (sin τ − τ cos τ)), τ = arccos |r|: right to rounding near r = −1 too."""
        v1, v2, c = checked_covariance(v1, v2, c)
        acute = np.arctan2(np.sqrt(_determinant(v1, v2, c)), np.abs(c))
        excess = (2 / np.pi) * np.sqrt(v1 * v2) * _wedge(acute)
        # the multiples of c are joined before they are added: those of the ReLU cancel exactly for c < 0
        slope = np.where(c < 0, self.odd**2 - self.even**2, self.odd**2 + self.even**2)
        return np.asarray(slope * c + self.even**2 * excess)

    def kernel_gradient(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> tuple[Array, Array, Array]:
        """(b²/π) √(v2/v1) √(1 − r²), the same with 1 and 2 exchanged, and a² + b² (2/π) arcsin r."""
        v1, v2, c = checked_covariance(v1, v2, c)
        area = np.sqrt(_determinant(v1, v2, c))
        with np.errstate(divide="ignore", invalid="ignore"):
            first, second = (self.even**2 / np.pi * area / v for v in (v1, v2))
        angle = np.arctan2(c, area)
        return first, second, np.asarray(self.odd**2 + self.even**2 * (2 / np.pi) * angle)

    def derivative_kernel(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> Array:
        """a² + b² (2/π) arcsin r."""
        r = cosine(*checked_covariance(v1, v2, c))
        return np.asarray(self.odd**2 + self.even**2 * (2 / np.pi) * np.arcsin(r))

    def distance_kernel(self, v1: ArrayLike, v2: ArrayLike, d: ArrayLike) -> Array:
        """a² d + b² (d° − (4/π) √(v1 v2) (sin τ − τ cos τ)).

        d° is the smaller of E(x − y)² and E(x + y)², τ the angle that belongs to it: E(|x| − |y|)² does not change when
        one of the two turns around. E(x + y)² = 2 (v1 + v2) − d has the rounding of the norms: with a = 0, that is what
        limits the distance of opposite points.
        """
        v1, v2, d = checked_distance(v1, v2, d)
        near = np.minimum(d, np.maximum(2 * (v1 + v2) - d, 0.0))
        acute = angle_from_distance(v1, v2, near)
        even = near - (4 / np.pi) * np.sqrt(v1 * v2) * _wedge(acute)
        return np.asarray(self.odd**2 * d + self.even**2 * even)

    def second_moment(self, v: ArrayLike) -> Array:
        """(a² + b²) v."""
        v, _, _ = checked_covariance(v, v, v)
        return (self.odd**2 + self.even**2) * v


LINEAR = PiecewiseLinear(1.0, 0.0, "linear")
RELU = PiecewiseLinear(0.5, 0.5, "relu")
ABS = PiecewiseLinear(0.0, 1.0, "abs")


def leaky_relu(slope: float) -> PiecewiseLinear:
    """Slope 1 for x > 0 and ``slope`` for x < 0. Slope 0 is ReLU, 1 linear, −1 the absolute value."""
    return PiecewiseLinear((1 + slope) / 2, (1 - slope) / 2, f"leaky_relu:{slope}")


def _determinant(v1: Array, v2: Array, c: Array) -> Array:
    """v1 v2 − c², as (√(v1 v2) − |c|) (√(v1 v2) + |c|): not below 0."""
    norms = np.sqrt(v1 * v2)
    return np.asarray(np.maximum((norms - np.abs(c)) * (norms + np.abs(c)), 0.0))


def _wedge(angle: Array) -> Array:
    """Sin τ − τ cos τ = τ² j₁(τ), the spherical Bessel function: no cancellation for small τ."""
    return np.asarray(angle**2 * spherical_jn(1, angle))
