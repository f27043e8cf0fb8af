"""Activations that are not piecewise linear and have a closed kernel: the error function, the sine and the step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf

from normscope.theory.activations.kernel import (
    Activation,
    Array,
    angle_from_distance,
    checked_covariance,
    checked_distance,
)


@dataclass(frozen=True, repr=False)
class Erf(Activation):
    """φ(x) = erf x = (2/√π) ∫_0^x exp(−t²) dt. Kernel: Williams (1997), Computing with infinite networks."""

    name: str = "erf"
    degree = None

    def __call__(self, x: ArrayLike) -> Array:
        """The error function."""
        return np.asarray(erf(np.asarray(x, dtype=np.float64)))

    def derivative(self, x: ArrayLike) -> Array:
        """(2/√π) exp(−x²)."""
        return np.asarray(2 / np.sqrt(np.pi) * np.exp(-np.square(np.asarray(x, dtype=np.float64))))

    def kernel(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> Array:
        """(2/π) arcsin(2c / √((1 + 2 v1)(1 + 2 v2)))."""
        v1, v2, c = checked_covariance(v1, v2, c)
        return np.asarray(2 / np.pi * np.arctan2(2 * c, _erf_root(v1, v2, c)))

    def kernel_gradient(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> tuple[Array, Array, Array]:
        """−(4/π) c / ((1 + 2 v1) q), the same with v2, and (4/π) / q, with q² = (1 + 2 v1)(1 + 2 v2) − 4c²."""
        v1, v2, c = checked_covariance(v1, v2, c)
        slope = 4 / np.pi / _erf_root(v1, v2, c)
        return -slope * c / (1 + 2 * v1), -slope * c / (1 + 2 * v2), slope

    def distance_kernel(self, v1: ArrayLike, v2: ArrayLike, d: ArrayLike) -> Array:
        """(4/π) (γ − T), a difference of angles without cancellation.

        With w = √(1 + 4v), arcsin(2v/(1 + 2v)) = π/2 − 2 arctan(1/w); T = arctan(1/w1) + arctan(1/w2) and
        cos γ = 2c / √((1 + 2 v1)(1 + 2 v2)). Then q = cos T − cos γ = (4d − (w1 − w2)²) / (4 √((1 + 2 v1)(1 + 2 v2))).
        """
        v1, v2, d = checked_distance(v1, v2, d)
        w1, w2 = np.sqrt(1 + 4 * v1), np.sqrt(1 + 4 * v2)
        apart = np.maximum(4 * d - (4 * (v1 - v2) / (w1 + w2)) ** 2, 0.0)
        q = apart / (4 * np.sqrt((1 + 2 * v1) * (1 + 2 * v2)))
        total = np.arctan(1 / w1) + np.arctan(1 / w2)
        gamma = 2 * np.arcsin(np.sqrt(np.clip(np.sin(total / 2) ** 2 + q / 2, 0.0, 1.0)))
        difference = 2 * np.arcsin(np.clip(q / (2 * np.sin((gamma + total) / 2)), 0.0, 1.0))
        return np.asarray(4 / np.pi * difference)


@dataclass(frozen=True, repr=False)
class Sin(Activation):
    """φ(x) = sin x, by the characteristic function of the Gaussian."""

    name: str = "sin"
    degree = None

    def __call__(self, x: ArrayLike) -> Array:
        """The sine."""
        return np.asarray(np.sin(np.asarray(x, dtype=np.float64)))

    def derivative(self, x: ArrayLike) -> Array:
        """The cosine."""
        return np.asarray(np.cos(np.asarray(x, dtype=np.float64)))

    def kernel(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> Array:
        """exp(−(v1 + v2)/2) sinh c."""
        v1, v2, c = checked_covariance(v1, v2, c)
        near = np.exp(np.abs(c) - (v1 + v2) / 2)  # the larger exponential of the sinh: at most 1
        return np.asarray(-np.sign(c) * near * np.expm1(-2 * np.abs(c)) / 2)

    def kernel_gradient(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> tuple[Array, Array, Array]:
        """−K/2, −K/2 and exp(−(v1 + v2)/2) cosh c."""
        half = -self.kernel(v1, v2, c) / 2
        v1, v2, c = checked_covariance(v1, v2, c)
        mean = (v1 + v2) / 2
        return half, half.copy(), np.asarray((np.exp(c - mean) + np.exp(-c - mean)) / 2)

    def distance_kernel(self, v1: ArrayLike, v2: ArrayLike, d: ArrayLike) -> Array:
        """(1 − exp(−d/2)) (1 + exp(−e/2)) − exp(−v1 − v2) (cosh(v1 − v2) − 1), with e = E(x + y)²."""
        v1, v2, d = checked_distance(v1, v2, d)
        e = np.maximum(2 * (v1 + v2) - d, 0.0)
        unequal = np.exp(-2 * np.minimum(v1, v2)) * np.expm1(-np.abs(v1 - v2)) ** 2 / 2
        return np.asarray(np.maximum(-np.expm1(-d / 2) * (1 + np.exp(-e / 2)) - unequal, 0.0))


@dataclass(frozen=True, repr=False)
class Step(Activation):
    """φ(x) = 1 for x > 0, otherwise 0: the arc-cosine kernel of degree 0 of Cho & Saul (2009).

    φ' is a Dirac delta at 0: `derivative` is 0 almost everywhere, `derivative_kernel` the expectation of both deltas.
    """

    name: str = "step"
    degree = 0

    def __call__(self, x: ArrayLike) -> Array:
        """1 where x > 0, otherwise 0."""
        return (np.asarray(x, dtype=np.float64) > 0).astype(np.float64)

    def derivative(self, x: ArrayLike) -> Array:
        """0: almost everywhere, the delta at 0 is not a function."""
        return np.zeros_like(np.asarray(x, dtype=np.float64))

    def kernel(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> Array:
        """(π − θ) / (2π), the probability that both are positive; 0 where a variance is 0."""
        v1, v2, c = checked_covariance(v1, v2, c)
        norms = np.sqrt(v1 * v2)
        theta = 2 * np.arctan2(np.sqrt(np.maximum(norms - c, 0.0)), np.sqrt(np.maximum(norms + c, 0.0)))
        return np.where(norms > 0, (np.pi - theta) / (2 * np.pi), 0.0)

    def kernel_gradient(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> tuple[Array, Array, Array]:
        """−c / (4π v1 q), the same with v2, and 1 / (2π q), with q² = v1 v2 − c²: infinite for parallel points."""
        v1, v2, c = checked_covariance(v1, v2, c)
        norms = np.sqrt(v1 * v2)
        with np.errstate(divide="ignore", invalid="ignore"):
            density = 1 / (2 * np.pi * np.sqrt(np.maximum((norms - c) * (norms + c), 0.0)))
            return -density * c / (2 * v1), -density * c / (2 * v2), np.asarray(density)

    def distance_kernel(self, v1: ArrayLike, v2: ArrayLike, d: ArrayLike) -> Array:
        """θ/π, the probability of different signs. Where one variance is 0: 1/2; where both are: 0."""
        v1, v2, d = checked_distance(v1, v2, d)
        theta = angle_from_distance(v1, v2, d)
        return np.where(v1 * v2 > 0, theta / np.pi, np.where(v1 + v2 > 0, 0.5, 0.0))

    def second_moment(self, v: ArrayLike) -> Array:
        """1/2, and 0 where v is 0."""
        v, _, _ = checked_covariance(v, v, v)
        return np.where(v > 0, 0.5, 0.0)


def _erf_root(v1: Array, v2: Array, c: Array) -> Array:
    """√((1 + 2 v1)(1 + 2 v2) − 4c²), from terms that are at least 0."""
    norms = np.sqrt(v1 * v2)
    return np.asarray(np.sqrt(1 + 2 * v1 + 2 * v2 + 4 * np.maximum((norms - c) * (norms + c), 0.0)))
