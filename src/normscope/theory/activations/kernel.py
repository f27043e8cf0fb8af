"""What an activation is to a wide layer: its expectations over a pair of centred Gaussians.

Notation: (x, y) centred Gaussian with variances v1, v2, covariance c, r = c / √(v1 v2) = cos θ, d = E(x − y)².
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

ROUNDING = 1e-8
"""Relative amount by which |c| may exceed √(v1 v2), or d its bounds, and still count as rounding: it is clipped."""


class Activation(ABC):
    """A non-linearity φ, elementwise, and its expectations over a pair of centred Gaussians (x, y).

    Every method takes arrays that broadcast against each other and returns float64 arrays of the common shape. With a
    variance of 0 the Gaussian is the constant 0.
    """

    name: str
    """What `repr` and tables print; `activation(name)` makes the same activation again where φ has a name."""
    degree: int | None
    """φ(s x) = s**degree φ(x) for all s > 0; None where φ is not positively homogeneous."""

    @abstractmethod
    def __call__(self, x: ArrayLike) -> Array:
        """φ(x), elementwise."""

    @abstractmethod
    def derivative(self, x: ArrayLike) -> Array:
        """φ'(x), elementwise, almost everywhere: at a kink, the mean of both sides or either of them."""

    @abstractmethod
    def kernel(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> Array:
        """E φ(x)φ(y).

        Raises:
            ValueError: a variance is negative, or |c| > √(v1 v2) by more than rounding (`ROUNDING`).
        """

    @abstractmethod
    def kernel_gradient(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> tuple[Array, Array, Array]:
        """The derivatives of E φ(x)φ(y) in v1, v2 and c, each with the other two held.

        Where they do not exist (a variance of 0 of a φ with a kink; |r| = 1 of a φ with a jump) they are nan or inf.

        Raises:
            ValueError: as `kernel`.
        """

    @abstractmethod
    def distance_kernel(self, v1: ArrayLike, v2: ArrayLike, d: ArrayLike) -> Array:
        """E(φ(x) − φ(y))² from d = E(x − y)², accurate relative to itself however small d is.

        Raises:
            ValueError: a variance is negative, or d is outside [(√v1 − √v2)², (√v1 + √v2)²] by more than rounding.
        """

    def derivative_kernel(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> Array:
        """E φ'(x)φ'(y), the derivative of `kernel` in c (Price's theorem).

        φ' is meant as a distribution: where φ jumps this holds Dirac deltas and is infinite at |r| = 1.

        Raises:
            ValueError: as `kernel`.
        """
        return self.kernel_gradient(v1, v2, c)[2]

    def second_moment(self, v: ArrayLike) -> Array:
        """E φ(x)² = kernel(v, v, v).

        Raises:
            ValueError: the variance is negative.
        """
        return self.kernel(v, v, v)

    def second_moment_slope(self, v: ArrayLike) -> Array:
        """The derivative of E φ(x)² in v; nan or inf where it does not exist, v = 0 of a φ with a kink.

        Raises:
            ValueError: the variance is negative.
        """
        v, _, _ = checked_covariance(v, v, v)
        if self.degree is None:
            return np.asarray(np.add.reduce(self.kernel_gradient(v, v, v)))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.degree * self.second_moment(v) / v)

    def coarse(self) -> Activation:
        """What stands for it where many points are tried and those that prove right are refined: cheap, or itself."""
        return self

    def __repr__(self) -> str:
        return f"activation({self.name!r})"


def one_minus_cosine(v1: Array, v2: Array, d: Array) -> Array:
    """1 − r = (d − (√v1 − √v2)²) / (2 √(v1 v2)), clipped to [0, 2], without cancellation for close points.

    0 where a variance is 0: such a point is parallel to all.
    """
    norms = np.sqrt(v1 * v2)
    apart = d - norm_difference(v1, v2) ** 2
    return np.clip(_quotient(apart, 2 * norms), 0.0, 2.0)


def angle_from_distance(v1: Array, v2: Array, d: Array) -> Array:
    """Θ = arccos r in [0, π], as 2 arcsin √((1 − r) / 2): without cancellation for close points."""
    return np.asarray(2 * np.arcsin(np.sqrt(one_minus_cosine(v1, v2, d) / 2)))


def norm_difference(v1: Array, v2: Array) -> Array:
    """√v1 − √v2 = (v1 − v2) / (√v1 + √v2): no cancellation beyond that of v1 − v2."""
    return _quotient(v1 - v2, np.sqrt(v1) + np.sqrt(v2))


def cosine(v1: Array, v2: Array, c: Array) -> Array:
    """R = c / √(v1 v2), clipped to [−1, 1]; 0 where a variance is 0."""
    return np.clip(_quotient(c, np.sqrt(v1 * v2)), -1.0, 1.0)


def checked_covariance(v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> tuple[Array, Array, Array]:
    """The arguments as float64 arrays of one shape, |c| clipped to √(v1 v2).

    Raises:
        ValueError: a variance is negative, or |c| exceeds √(v1 v2) by more than rounding.
    """
    a, b = _checked_variances(v1, v2)
    a, b, c = np.broadcast_arrays(a, b, np.asarray(c, dtype=np.float64))
    bound = np.sqrt(a * b)
    wrong = np.abs(c) > bound + ROUNDING * np.maximum(a, b)
    if np.any(wrong):
        raise ValueError(
            f"no two Gaussians of variances {a[wrong].flat[0]:g} and {b[wrong].flat[0]:g} "
            f"have covariance {c[wrong].flat[0]:g}"
        )
    return a, b, np.clip(c, -bound, bound)


def checked_distance(v1: ArrayLike, v2: ArrayLike, d: ArrayLike) -> tuple[Array, Array, Array]:
    """The arguments as float64 arrays of one shape.

    Raises:
        ValueError: a variance is negative, or d is outside [(√v1 − √v2)², (√v1 + √v2)²] by more than rounding.
    """
    a, b = _checked_variances(v1, v2)
    a, b, d = np.broadcast_arrays(a, b, np.asarray(d, dtype=np.float64))
    slack = ROUNDING * np.maximum(a, b)
    wrong = (d < norm_difference(a, b) ** 2 - slack) | (d > (np.sqrt(a) + np.sqrt(b)) ** 2 + slack)
    if np.any(wrong):
        raise ValueError(
            f"no two Gaussians of variances {a[wrong].flat[0]:g} and {b[wrong].flat[0]:g} "
            f"have squared distance {d[wrong].flat[0]:g}"
        )
    return a, b, np.maximum(d, 0.0)


def _checked_variances(v1: ArrayLike, v2: ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(v1, dtype=np.float64), np.asarray(v2, dtype=np.float64)
    for v in (a, b):
        if not np.all(v >= 0):
            raise ValueError(f"a variance is at least 0, got {v[~(v >= 0)].flat[0]:g}")
    return a, b


def _quotient(numerator: Array, denominator: Array) -> Array:
    """The quotient, 0 where the denominator is 0."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    return np.divide(numerator, denominator, out=np.zeros(shape), where=np.asarray(denominator) != 0)
