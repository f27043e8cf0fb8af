"""Singular values of a product of M independent N×N Gaussian matrices of variance 1/N, as N → ∞: Fuss–Catalan laws.

Everything is a function of an angle, nothing is integrated over x. With a = (M + 1) φ in (0, π) and θ = π − a,

    x = sin(a)^(M+1) / (sin φ · sin(Mφ)^M),    ρ(x) = (1/πx) · sin(a) sin(φ) / sin(Mφ),

the density of the squared singular values on (0, (M+1)^(M+1) / M^M). With ω = e^(iφ) sin(a) / sin(Mφ), which solves
x = ω^(M+1) / (ω − 1) and has ρ = Im ω / (πx), the integral of Im ω d ln x is Im(Mω − ln(ω − 1)): the distribution
function is in closed form too,

    P(X < x) = (θ + M sin(θ) sin(φ) / sin(Mφ)) / π.

Source: the density is that of Penson and Życzkowski, Product of Ginibre matrices: Fuss–Catalan and Raney distributions
(2011), in the parametrization of Haagerup and Möller (2013); Bjorck et al., Understanding Batch Normalization (NeurIPS
2018) uses it for deep linear networks. The distribution function in this form is derived above.
"""

from __future__ import annotations

import operator
from typing import NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import elementwise
from scipy.special import expit, gammaln, polygamma, spherical_jn, zeta

Array = NDArray[np.float64]

_LOGIT_RANGE = (-45.0, 700.0)  # of a / θ: beyond it x is its upper edge to rounding, or θ is below 1e-303
_TERMS = 2 * np.arange(1, 13)
_SERIES = -zeta(_TERMS) / (_TERMS / 2 * np.pi**_TERMS)


class GaussianProduct:
    """The law of one singular value, drawn at random, of a product of ``factors`` wide square Gaussian matrices.

    Of s² (``squared``, the default), of s, or of the natural logarithm of either (``log``). Past a few hundred factors
    most s² are below 1e-300: use ``log``. Arrays in, float64 arrays of the same shape out.

    Args:
        factors: M, at least 1. One factor is the law of Marchenko and Pastur; for s the quarter circle.
        squared: s² rather than s.
        log: ln of it.

    Raises:
        TypeError: ``factors`` is no integer.
        ValueError: ``factors`` < 1.
    """

    def __init__(self, factors: SupportsIndex, *, squared: bool = True, log: bool = False) -> None:
        self.factors = operator.index(factors)
        if self.factors < 1:
            raise ValueError(f"a product has at least 1 factor, got factors = {self.factors}")
        self.squared, self.log = bool(squared), bool(log)

    def __repr__(self) -> str:
        return f"GaussianProduct({self.factors}, squared={self.squared}, log={self.log})"

    @property
    def support(self) -> tuple[float, float]:
        """(0, (M+1)^(M+1) / M^M) for s², the square root for s: 2.0, 3.08, 3.86 for M = 1, 3, 5; (−∞, …) with log."""
        edge = self._log_edge * self._power
        return (-np.inf, edge) if self.log else (0.0, float(np.exp(edge)))

    def pdf(self, x: ArrayLike) -> Array:
        """The density. Inf at x = 0, where that of s² goes like x^(−M/(M+1)) and that of s like s^((1−M)/(1+M)).

        Raises:
            ValueError: ``x`` holds NaN.
        """
        x, angles, inside = self._locate(x)
        density = _weight(self.factors, angles) / self._power  # of the logarithm
        if not self.log:
            density = np.divide(density, x, out=np.zeros(x.shape), where=inside)
            at_zero = 2 / np.pi if self.factors == 1 and not self.squared else np.inf  # the quarter circle is finite
            density = np.where(x == 0, at_zero, density)
        return np.where(inside | (x == 0 if not self.log else False), density, 0.0)

    def cdf(self, x: ArrayLike) -> Array:
        """P(X < x), accurate relative to itself down to 1e-300.

        Raises:
            ValueError: ``x`` holds NaN.
        """
        x, angles, inside = self._locate(x)
        return np.where(inside, _below(self.factors, angles), np.where(x < self.support[1], 0.0, 1.0))

    def sf(self, x: ArrayLike) -> Array:
        """P(X > x), accurate relative to itself up to the upper edge, as far as x resolves it.

        Raises:
            ValueError: ``x`` holds NaN.
        """
        x, angles, inside = self._locate(x)
        return np.where(inside, _above(self.factors, angles), np.where(x < self.support[1], 1.0, 0.0))

    def quantile(self, p: ArrayLike) -> Array:
        """The x with P(X < x) = p. At p = 0 and 1 the edges.

        Raises:
            ValueError: a ``p`` outside [0, 1].
        """
        p = np.asarray(p, dtype=np.float64)
        if not np.all((p >= 0) & (p <= 1)):
            raise ValueError(f"a probability lies in [0, 1], got {p[~((p >= 0) & (p <= 1))].flat[0]:g}")
        inside = (p > 0) & (p < 1)
        inner = np.where(inside, p, 0.5)

        def excess(logit: Array, p: Array) -> Array:
            # each side on a log scale, so that both tails are found to full relative accuracy
            angles = _angles(self.factors, logit)
            lower = np.log(_below(self.factors, angles)) - np.log(p)
            upper = np.log1p(-p) - np.log(_above(self.factors, angles))
            return np.where(p < 0.5, lower, upper)

        log_x = self._log_edge + _log_relative(self.factors, _angles(self.factors, _root(excess, inner)))
        low, high = self.support
        value = self._power * log_x if self.log else np.exp(self._power * log_x)
        return np.where(inside, value, np.where(p == 0, low, high))

    def moment(self, order: float) -> float:
        """E s^(2k) = Γ((M+1)k + 1) / (Γ(k + 1) Γ(Mk + 2)) for real k; E s^k, the same at k/2, unless ``squared``.

        For whole k and s² the Fuss–Catalan numbers C((M+1)k, k) / (Mk + 1). Inf where the integral diverges:
        k <= −1/(M + 1) for s². With ``log`` it is E exp(kX), the same number.
        """
        m, k = self.factors, float(order) * self._power
        if k <= -1 / (m + 1):
            return float("inf")
        return float(np.exp(gammaln((m + 1) * k + 1) - gammaln(k + 1) - gammaln(m * k + 2)))

    @property
    def mean(self) -> float:
        """E X: 1 for s²; with log −M for s² and −M/2 for s."""
        return -self.factors * self._power if self.log else self.moment(1)

    @property
    def variance(self) -> float:
        """Var X: M for s²; with log M² + π² M / 3 for s², a quarter of it for s."""
        if self.log:
            m = self.factors
            of_squares = ((m + 1) ** 2 - 1) * polygamma(1, 1) - m**2 * polygamma(1, 2)
            return float(of_squares) * self._power**2
        return self.moment(2) - self.moment(1) ** 2

    def sample(self, size: int | tuple[int, ...], seed: int | np.random.Generator) -> Array:
        """Independent draws by the inverse distribution function.

        Unlike the singular values of one matrix, which repel each other; for those see
        `normscope.theory.sample_log_singular_values`.
        """
        return self.quantile(np.random.default_rng(seed).random(size))

    @property
    def _power(self) -> float:
        return 1.0 if self.squared else 0.5

    @property
    def _log_edge(self) -> float:
        m = self.factors
        # (M+1) ln(M+1) − M ln M, without the cancellation at large M
        return float(np.log(m + 1) + m * np.log1p(1 / m))

    def _locate(self, x: ArrayLike) -> tuple[Array, _Angles, NDArray[np.bool_]]:
        """``x`` as an array, the angles that belong to it, and where it is inside the support."""
        x = np.asarray(x, dtype=np.float64)
        if np.any(np.isnan(x)):
            raise ValueError("the law was asked for at x = NaN")
        low, high = self.support
        inside = (x > low) & (x < high)
        inner = np.where(inside, x, high / 2 if not self.log else high - 1)
        target = (inner if self.log else np.log(inner)) / self._power - self._log_edge
        logit = _root(lambda u, goal: goal - _log_relative(self.factors, _angles(self.factors, u)), target)
        return x, _angles(self.factors, logit), inside


class _Angles(NamedTuple):
    """a = (M+1) φ, φ and θ = π − a, each to full relative accuracy."""

    a: Array
    phi: Array
    theta: Array


def _angles(factors: int, logit: Array) -> _Angles:
    """From ln(a / θ), a scale on which both edges are far away."""
    a = np.pi * expit(logit)
    return _Angles(a, a / (factors + 1), np.pi * expit(-logit))


def _root(function: object, target: Array) -> Array:
    """The logit at which ``function(logit, target)``, which rises with the logit or falls, is zero; elementwise."""
    low, high = (np.full(target.shape, end) for end in _LOGIT_RANGE)
    found = elementwise.find_root(function, (low, high), args=(target,))
    # no sign change: the target is beyond the range, at an edge to rounding
    ends = np.abs(found.f_bracket[0]) < np.abs(found.f_bracket[1])
    return np.where(np.isfinite(found.x), found.x, np.where(ends, low, high))


def _log_relative(factors: int, angles: _Angles) -> Array:
    """ln(x / upper edge) = (M+1) L(a) − L(φ) − M L(Mφ), L(t) = ln(sin t / t)."""
    a, phi, theta = angles
    return (factors + 1) * _log_sinc(a, theta) - _log_sinc(phi) - factors * _log_sinc(a - phi, theta + phi)


def _log_sinc(t: Array, supplement: Array | None = None) -> Array:
    """ln(sin t / t), with π − t given where t may be close to π. By its series −Σ ζ(2k) (t/π)^(2k) / k for small t."""
    s = np.pi - t if supplement is None else supplement
    direct = np.log(np.sin(np.minimum(t, s))) - np.log(t)
    small = np.minimum(t, 0.5)
    series = np.sum(_SERIES * small[..., None] ** _TERMS, axis=-1)
    return np.asarray(np.where(t < 0.5, series, direct))


def _weight(factors: int, angles: _Angles) -> Array:
    """The density of ln x, x ρ(x) = sin(a) sin(φ) / (π sin(Mφ))."""
    a, phi, theta = angles
    return np.asarray(np.sin(np.minimum(a, theta)) * np.sin(phi) / (np.pi * np.sin(theta + phi)))


def _below(factors: int, angles: _Angles) -> Array:
    """P(X < x): a sum of positive terms."""
    return np.asarray(angles.theta / np.pi + factors * _weight(factors, angles))


def _above(factors: int, angles: _Angles) -> Array:
    """P(X > x) = (a − M sin(a) sin(φ) / sin(Mφ)) / π = (a/π) e / (1 + e), e = a (c(a) − c(φ)) / M, c(t) = 1/t − cot t.

    The difference as it stands loses all digits near the upper edge, where it is of order a³.
    """
    a, phi, theta = angles
    excess = a * (_inverse_minus_cot(a, theta) - _inverse_minus_cot(phi)) / factors
    return np.asarray(a / np.pi * excess / (1 + excess))


def _inverse_minus_cot(t: Array, supplement: Array | None = None) -> Array:
    """1/t − cot t = t j₁(t) / sin t, j₁ the spherical Bessel function: no cancellation at small t."""
    s = np.pi - t if supplement is None else supplement
    return np.asarray(t * spherical_jn(1, t) / np.sin(np.minimum(t, s)))
