"""Activations without a closed kernel: any elementwise function, its expectations by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr

from normscope.theory.activations.gaussian_pair import LEVELS, expectation, expectation_of_one
from normscope.theory.activations.kernel import (
    Activation,
    Array,
    angle_from_distance,
    checked_covariance,
    checked_distance,
    cosine,
)

Function = Callable[[Array], object]

_EPS = float(np.finfo(np.float64).eps)
_STEP = 2.0**-9  # of differences: fourth order, so truncation is about _STEP**4 and rounding 1e-16 / _STEP
_PROBES = np.array([[-30.0, -3.0, -1.0, -0.1, -1e-3, 0.0], [1e-3, 0.1, 0.7, 1.0, 3.0, 30.0]])


@dataclass(frozen=True, repr=False)
class NumericActivation(Activation):
    """An elementwise function φ of float64 arrays; expectations by `gaussian_pair.expectation`.

    Relative errors are below 1e-9 for a φ that is smooth but for a kink or a jump at 0; `kernel_with_error` and
    `distance_kernel_with_error` estimate them for any other φ. Without ``slope`` derivatives are differences of φ,
    which is then taken as continuous.
    """

    function: Function
    name: str = ""
    slope: Function | None = None
    levels: int = LEVELS
    """How often quadratures over pairs may be refined."""
    degree = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__name__", repr(self.function)))
        _check_elementwise(self, _PROBES)

    def __call__(self, x: ArrayLike) -> Array:
        """The function, on a float64 array."""
        return np.asarray(self.function(np.asarray(x, dtype=np.float64)), dtype=np.float64)

    def derivative(self, x: ArrayLike) -> Array:
        """φ'(x): the slope that was given, or a difference of fourth order that does not reach across 0."""
        x = np.asarray(x, dtype=np.float64)
        if self.slope is not None:
            return np.asarray(self.slope(x), dtype=np.float64)
        h = np.where(x == 0, _STEP, np.minimum(_STEP * np.maximum(1.0, np.abs(x)), np.abs(x) / 4))
        near, far = (self(x + k * h) - self(x - k * h) for k in (1, 2))
        return np.asarray((8 * near - far) / (12 * h))

    def kernel(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> Array:
        """E φ(x)φ(y), by quadrature."""
        return self.kernel_with_error(v1, v2, c)[0]

    def kernel_with_error(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> tuple[Array, Array]:
        """`kernel`, and an estimate of its absolute error.

        Raises:
            ValueError: as `kernel`; or φ is not finite, or grows so fast that the expectation does not exist.
        """
        v1, v2, c = checked_covariance(v1, v2, c)
        return expectation(lambda x, y: self(x) * self(y), v1, v2, _angle(v1, v2, c), levels=self.levels)

    def distance_kernel(self, v1: ArrayLike, v2: ArrayLike, d: ArrayLike) -> Array:
        """E(φ(x) − φ(y))², by quadrature of the squared difference itself."""
        return self.distance_kernel_with_error(v1, v2, d)[0]

    def distance_kernel_with_error(self, v1: ArrayLike, v2: ArrayLike, d: ArrayLike) -> tuple[Array, Array]:
        """`distance_kernel`, and an estimate of its absolute error.

        Raises:
            ValueError: as `distance_kernel`; or φ is not finite, or grows so fast that the expectation does not exist.
        """
        v1, v2, d = checked_distance(v1, v2, d)
        theta = angle_from_distance(v1, v2, d)
        usual = np.sqrt(np.maximum(v1, v2))
        noise = _EPS * np.maximum(np.abs(self(usual)), np.abs(self(-usual)))
        return expectation(lambda x, y: np.square(self(x) - self(y)), v1, v2, theta, noise=noise, levels=self.levels)

    def second_moment(self, v: ArrayLike) -> Array:
        """E φ(x)², by quadrature over one variable.

        Raises:
            ValueError: the variance is negative; or φ is not finite, or grows so fast that the moment does not exist.
        """
        v, _, _ = checked_covariance(v, v, v)
        return expectation_of_one(lambda x: np.square(self(x)), v)

    def second_moment_slope(self, v: ArrayLike) -> Array:
        """E x φ(x)φ'(x) / v, by quadrature over one variable.

        Raises:
            ValueError: as `second_moment`.
        """
        v, _, _ = checked_covariance(v, v, v)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(expectation_of_one(lambda x: x * self(x) * self.derivative(x), v) / v)

    def kernel_gradient(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> tuple[Array, Array, Array]:
        """∂/∂v1 = (E x φ'(x)φ(y) − c E φ'(x)φ'(y)) / (2 v1), ∂/∂v2 alike, ∂/∂c = E φ'(x)φ'(y)."""
        v1, v2, c = checked_covariance(v1, v2, c)
        theta, slope = _angle(v1, v2, c), self.derivative
        product = expectation(lambda x, y: slope(x) * slope(y), v1, v2, theta, levels=self.levels)[0]
        first = expectation(lambda x, y: x * slope(x) * self(y), v1, v2, theta, levels=self.levels)[0]
        second = expectation(lambda x, y: y * slope(y) * self(x), v1, v2, theta, levels=self.levels)[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            return (first - c * product) / (2 * v1), (second - c * product) / (2 * v2), product

    def derivative_kernel(self, v1: ArrayLike, v2: ArrayLike, c: ArrayLike) -> Array:
        """E φ'(x)φ'(y), by quadrature."""
        v1, v2, c = checked_covariance(v1, v2, c)
        slope = self.derivative
        return expectation(lambda x, y: slope(x) * slope(y), v1, v2, _angle(v1, v2, c), levels=self.levels)[0]

    def coarse(self) -> NumericActivation:
        """The same, its kernels by one rule of some four digits: twenty times as fast."""
        return replace(self, levels=0)

    def __repr__(self) -> str:
        return f"activation({self.name!r})" if self in NUMERIC else f"activation({self.name})"


def _angle(v1: Array, v2: Array, c: Array) -> Array:
    norms = np.sqrt(v1 * v2)
    angle = 2 * np.arctan2(np.sqrt(np.maximum(norms - c, 0.0)), np.sqrt(np.maximum(norms + c, 0.0)))
    return np.where(norms > 0, angle, np.arccos(cosine(v1, v2, c)))


def _check_elementwise(phi: NumericActivation, x: Array) -> None:
    try:
        with np.errstate(all="ignore"):
            value = phi(x)
            alone = np.array([[float(phi(np.array([entry]))[0]) for entry in row] for row in x])
    except Exception as error:
        raise ValueError(
            f"activation {phi.name} is not an elementwise function of a float64 array: {type(error).__name__}: {error}"
        ) from error
    if value.shape != x.shape:
        raise ValueError(f"activation {phi.name} is not elementwise: shape {x.shape} became {value.shape}")
    if not np.all(np.isfinite(alone)):
        wrong = ~np.isfinite(alone)
        raise ValueError(
            f"activation {phi.name} is not finite everywhere: at {x[wrong].flat[0]:g} it is {alone[wrong].flat[0]}"
        )
    # vectorized and single evaluation may round differently
    if not np.allclose(value, alone, rtol=1e-9, atol=1e-12):
        raise ValueError(f"activation {phi.name} is not elementwise: an entry's value depends on the other entries")


def _gelu_slope(x: Array) -> Array:
    return np.asarray(ndtr(x) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))


NUMERIC = (
    NumericActivation(np.tanh, "tanh", lambda x: 1 - np.tanh(x) ** 2),
    NumericActivation(expit, "sigmoid", lambda x: expit(x) * expit(-x)),
    NumericActivation(lambda x: np.logaddexp(0, x), "softplus", expit),
    NumericActivation(lambda x: x * ndtr(x), "gelu", _gelu_slope),
    NumericActivation(lambda x: x * expit(x), "silu", lambda x: expit(x) * (1 + x * expit(-x))),
    NumericActivation(
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), "elu", lambda x: np.exp(np.minimum(x, 0))
    ),
)
"""The activations of torch that have no closed kernel: gelu is the exact one, elu has α = 1."""
