"""Rescaled batches of exchangeable points, for any φ: expectations over their direction.

z ~ N(0, C) with C = λ on contrasts and μ on (1, …, 1) has the rescaled direction

    ẑ = √n z/‖z‖ = cos ψ · 1 + sin ψ · ζ,    cot ψ = √(μ/λ) tan α,    E[1/‖z‖² | ψ] = (cos²ψ/μ + sin²ψ/λ)/(n − 2),

with α of density ∝ cosⁿ⁻²α on (−π/2, π/2) and ζ uniform on the sphere of radius √n in the n − 1 directions that are
orthogonal to (1, …, 1). Two entries of ζ are

    ζ_i = √(n − 1) ρ cos θ,    ζ_j = √(n − 1) ρ cos(θ − θ₀),    cos θ₀ = −1/(n − 1),

θ uniform and ρ² = 1 − exp(−2e/(n − 3)), e exponential of mean 1; as n → ∞ they become a pair of Gaussians. Recentering
leaves μ = 0: then ψ = π/2, ẑ = ζ, and E 1/‖z‖² = 1/((n − 3) λ).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from normscope.theory.activations.kernel import Array
from normscope.theory.groups.groups import GroupMatrix

Function = Callable[[Array], Array]

_NEGLIGIBLE = 42.0  # nats of density below the largest that are left out


class DirectionPairs:
    """A quadrature rule for expectations over two entries of ζ.

    Gauss–Legendre in √e and in θ, in pieces that end where one of the entries passes the kink of the function: one that
    is smooth but there converges geometrically (from n = 8 on; below, ζ ends where it is dense), with other kinks
    algebraically.

    Args:
        n: batch size, at least 3.
        order: nodes in each of four pieces of θ, and about half as many in each of three of √e.
    """

    def __init__(self, n: int, order: int) -> None:
        self._n = n
        self._nodes, self._weights = np.polynomial.legendre.leggauss(order)
        self._radial = np.polynomial.legendre.leggauss(order // 2 + 4)
        self._between = np.arccos(-1 / (n - 1))

    def moments(self, f: Function, shift: float = 0.0, scale: float = 1.0) -> Array:
        """(E (f_i − f_j)²/2, E f_i f_j), f_i = f(shift + scale · ζ_i): on contrasts, and between two points.

        The kink of f, if any, is at 0.
        """
        radii, shells = self._shells(-shift / scale)
        theta, arcs = self._arcs(-shift / scale, radii)
        weights = shells[:, None] * arcs
        first, second = (f(shift + scale * radii[:, None] * np.cos(theta - turn)) for turn in (0.0, self._between))
        return np.array([np.sum(weights * (first - second) ** 2) / 2, np.sum(weights * first * second)])

    def _shells(self, kink: float) -> tuple[Array, Array]:
        """Nodes √(n − 1) ρ and their weights, in three pieces: no entry gets as far as ``kink``, one may, both may."""
        if self._n == 3:  # a circle
            return np.full(1, np.sqrt(2)), np.ones(1)
        end = np.sqrt(_NEGLIGIBLE)
        edge = min(self._root(kink**2), end)
        corner = min(self._root(kink**2 * 2 * (self._n - 1) / (self._n - 2)), end)
        unit, weights = (1 + self._radial[0]) / 2, self._radial[1] / 2
        # beyond the edge the arcs open like a square root
        root = [edge * unit, edge + (corner - edge) * unit**2, corner + (end - corner) * unit]
        widths = [edge * weights, (corner - edge) * 2 * unit * weights, (end - corner) * weights]
        at, width = np.concatenate(root), np.concatenate(widths)
        radii = np.sqrt(-(self._n - 1) * np.expm1(-2 * at**2 / (self._n - 3)))
        return radii, width * 2 * at * np.exp(-(at**2))

    def _root(self, square: float) -> float:
        """√e of a radius, from its square (n − 1) ρ²."""
        share = square / (self._n - 1)
        return float(np.sqrt(-(self._n - 3) / 2 * np.log1p(-share))) if share < 1 else np.inf

    def _arcs(self, kink: float, radii: Array) -> tuple[Array, Array]:
        """Nodes and weights, (radii, θ): the arcs end where an entry is ``kink``; they have no width if it never is."""
        half = np.arccos(np.clip(kink / np.maximum(radii, np.finfo(np.float64).tiny), -1.0, 1.0))
        ends = np.stack([half, -half, self._between + half, self._between - half], axis=-1) % (2 * np.pi)
        ends = np.sort(ends, axis=-1)
        widths = np.diff(ends, axis=-1, append=ends[:, :1] + 2 * np.pi)[..., None]
        theta = ends[..., None] + widths / 2 * (1 + self._nodes)
        arcs = np.broadcast_to(widths / 2 * self._weights / (2 * np.pi), theta.shape)
        return theta.reshape(len(radii), -1), arcs.reshape(len(radii), -1)


class Tilts:
    """A quadrature rule over ψ: Gauss–Legendre in arsinh(α √(μ/λ)), where the density matters.

    Args:
        n: batch size, at least 3.
        ratio: μ/λ; 0 for a recentered batch.
        order: number of nodes.
    """

    def __init__(self, n: int, ratio: float, order: int) -> None:
        nodes, weights = np.polynomial.legendre.leggauss(order)
        edge = np.arccos(np.exp(-_NEGLIGIBLE / (n - 2)))
        # ψ turns within |α| of about √(λ/μ): there the nodes are as dense as elsewhere on a logarithmic scale
        turn = 1 / np.sqrt(ratio) if ratio else np.inf
        wide = np.arcsinh(edge / turn)
        alpha = turn * np.sinh(wide * nodes) if wide > 0 else np.zeros(1)
        density = weights * np.cosh(wide * nodes) * np.exp((n - 2) * np.log(np.cos(alpha))) if wide > 0 else np.ones(1)
        along = np.sqrt(ratio) * np.sin(alpha)
        length = np.hypot(along, np.cos(alpha))
        self.cosines: Array = along / length
        self.sines: Array = np.cos(alpha) / length
        self.weights: Array = density / density.sum()
        # λ (cos²ψ/μ + sin²ψ/λ) = (sin²α + cos²α)/length²
        self.inverse_squares: Array = 1 / (length**2 * (n - 2)) if ratio else np.array([1 / (n - 3)])
        """λ E[1/‖z‖² | ψ]."""


class RescaledExchangeable:
    """A rescaled layer on exchangeable points, forward and backward, for any φ and φ'.

    Args:
        phi: φ, elementwise.
        slope: φ', elementwise.
        covariance: C of the pre-activations, of one group; its quotient is 0 (to rounding) behind a recentering.
        recenter: whether the layer recentres.
        order: of the quadrature rules, in each of their dimensions.

    Raises:
        ValueError: fewer than three directions: E 1/‖z‖² is infinite; or all points are equal.
    """

    def __init__(
        self, phi: Function, slope: Function, covariance: GroupMatrix, *, recenter: bool, order: int = 48
    ) -> None:
        n = self._n = round(float(covariance.sizes[0]))
        self._sizes, self._recenter, self._phi, self._slope = covariance.sizes, recenter, phi, slope
        if n - recenter < 3:
            raise ValueError(
                f"{n} {'recentered ' * recenter}points span fewer than the 3 directions that it takes: behind their "
                "rescaling gradients have no second moment (E 1/‖z‖² is infinite)"
            )
        self._contrast = float(covariance.contrasts[0])
        along = 0.0 if recenter else float(covariance.quotient[0, 0])
        if self._contrast <= 0:
            raise ValueError("all points are equal: rescaling keeps none of their differences")
        self._tilts = Tilts(n, along / self._contrast, 2 * order)
        self._pairs = DirectionPairs(n, order)

    def forward(self) -> GroupMatrix:
        """E φ(ẑ)φ(ẑ)ᵀ, the layer's Gram matrix."""
        contrast, between = self._tilts.weights @ self._moments(lambda x, _: self._phi(x))
        return self._matrix(contrast, contrast + self._n * between)

    def __call__(self, moment: GroupMatrix) -> GroupMatrix:
        """Σ from Σ', for weights of variance 1/d.

        tr Σ and 1ᵀΣ1 for Σ' = I and 11ᵀ. With M = D Σ' D, tr J M J = (n/‖z‖²)(tr M − ẑᵀMẑ/n), and 1ᵀJ M J 1 =
        (n/‖z‖²) yᵀMy with y = 1 − cos ψ ẑ; entries of ẑ and y are functions of one entry of ẑ each.
        """
        n = self._n
        weights = n * self._tilts.weights * self._tilts.inverse_squares / self._contrast
        slope = weights @ self._moments(lambda x, _: self._slope(x))
        radial = weights @ self._moments(lambda x, _: x * self._slope(x))
        lateral = weights @ self._moments(lambda x, cosine: (1 - cosine * x) * self._slope(x))
        alone, common = float(moment.contrasts[0]), float(moment.blocks[0, 0])

        def total(moments: Array) -> float:
            """E fᵀ Σ' f, the moments being those of f_i."""
            contrast, between = moments
            return float(alone * n * (contrast + between) + common * n * (contrast + n * between))

        own = n * (alone + common) * slope.sum()
        if self._recenter:
            # H M H loses the mean of M, and ẑᵀMẑ stays
            trace, sum_of_all = own - total(slope) / n - total(radial) / n, 0.0
        else:
            trace, sum_of_all = own - total(radial) / n, total(lateral)
        quotient = sum_of_all / n
        return self._matrix((trace - quotient) / (n - 1), quotient)

    def _moments(self, f: Callable[[Array, float], Array]) -> Array:
        """`DirectionPairs.moments` of f(ẑ_i, cos ψ), a row a node of ψ."""
        nodes = zip(self._tilts.cosines, self._tilts.sines, strict=True)
        return np.array([self._moments_at(f, float(c), float(s)) for c, s in nodes])

    def _moments_at(self, f: Callable[[Array, float], Array], cosine: float, sine: float) -> Array:
        return np.asarray(self._pairs.moments(lambda x: f(x, cosine), cosine, sine))

    def _matrix(self, contrast: float, quotient: float) -> GroupMatrix:
        return GroupMatrix(self._sizes, np.array([contrast]), np.array([[quotient]]))
