"""Slow twins of the theory in many digits: integrals over angles with mpmath, and matrices entry by entry.

A pair of Gaussians is (s1 R cos α, s2 R cos(α − θ)) with R²/2 exponential and α uniform; where φ is homogeneous the
radius integrates by hand and the angle numerically, between the angles at which an argument changes its sign.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from mpmath import mp, mpf

DIGITS = 50

Function = Callable[[mpf], mpf]

HOMOGENEOUS: dict[str, tuple[Function, int]] = {
    "linear": (lambda x: x, 1),
    "relu": (lambda x: max(x, mpf(0)), 1),
    "leaky_relu:0.2": (lambda x: x if x > 0 else x * mpf(0.2), 1),
    "leaky_relu:-0.7": (lambda x: x if x > 0 else -x * mpf(0.7), 1),
    "abs": (abs, 1),
    "step": (lambda x: mpf(x > 0), 0),
}


def angle_pair(name: str, v1: mpf, v2: mpf, theta: mpf) -> tuple[mpf, mpf]:
    """E φ(x)φ(y) and E(φ(x) − φ(y))² of two Gaussians at angle θ, φ homogeneous."""
    phi, degree = HOMOGENEOUS[name]
    radial = 2**degree  # E R^(2 degree)
    s1, s2 = mp.sqrt(v1), mp.sqrt(v2)
    ends = sorted({-mp.pi, -mp.pi / 2, mp.pi / 2, mp.pi, theta - mp.pi / 2, _wrapped(theta + mp.pi / 2)})

    def mean(of: Callable[[mpf, mpf], mpf]) -> mpf:
        def integrand(alpha: mpf) -> mpf:
            return of(phi(s1 * mp.cos(alpha)), phi(s2 * mp.cos(alpha - theta)))

        return radial * mp.quad(integrand, ends) / (2 * mp.pi)

    return mean(lambda a, b: a * b), mean(lambda a, b: (a - b) ** 2)


def plane_mean(phi: Callable[[np.ndarray], np.ndarray], v1: float, v2: float, c: float) -> float:
    """E φ(x)φ(y) by Gauss-Legendre quadrature on a square of ±12 standard deviations, cut in panels; smooth φ."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    edges = np.linspace(-12, 12, 25)
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    u = (middle[:, None] + half[:, None] * nodes).ravel()
    w = (half[:, None] * weights).ravel() * np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
    x = np.sqrt(v1) * u
    y = c / np.sqrt(v1) * u[:, None] + np.sqrt(v2 - c**2 / v1) * u
    return float(w * phi(x) @ (phi(y) @ w))


def circle_rescaled(name: str, points: Sequence[Sequence[mpf]]) -> tuple[list[mpf], list[list[mpf]]]:
    """E φ(ẑ_i)² and E(φ(ẑ_i) − φ(ẑ_j))² of points in a plane, rescaled: ẑ depends on one uniform angle. No tilting."""
    phi, _ = HOMOGENEOUS[name]
    n = len(points)
    zeros = [_wrapped(mp.atan2(y, x) + side * mp.pi / 2) for x, y in points for side in (1, -1) if x or y]
    # the norm varies fastest where it is smallest: across the long axis, over an angle of the axes' ratio
    sxx, sxy, syy = (sum(p[a] * p[b] for p in points) for a, b in ((0, 0), (0, 1), (1, 1)))
    axis, root = mp.atan2(2 * sxy, sxx - syy) / 2, mp.hypot(sxx - syy, 2 * sxy)
    ratio = mp.sqrt(abs((sxx + syy - root) / (sxx + syy + root)))
    narrow = [side * ratio * mpf(2) ** k for side in (1, -1) for k in range(-2, 80) if ratio * mpf(2) ** k < 1]
    near = [_wrapped(axis + turn * mp.pi / 2 + shift) for turn in (1, -1) for shift in [mpf(0), *narrow]]
    ends = sorted({-mp.pi, mp.pi, *zeros, *near})
    nodes, weights = mp_legendre()
    second, apart = [mpf(0)] * n, [[mpf(0)] * n for _ in range(n)]
    for low, high in pairwise(ends):
        for node, weight in zip(nodes, weights, strict=True):
            alpha, part = (low + high + (high - low) * node) / 2, (high - low) * weight / (4 * mp.pi)
            z = [x * mp.cos(alpha) + y * mp.sin(alpha) for x, y in points]
            scale = mp.sqrt(n / sum(value**2 for value in z))
            f = [phi(scale * value) for value in z]
            for i in range(n):
                second[i] += part * f[i] ** 2
                for j in range(n):
                    apart[i][j] += part * (f[i] - f[j]) ** 2
    return second, apart


@lru_cache(maxsize=1)
def mp_legendre(order: int = 24) -> tuple[list[mpf], list[mpf]]:
    """Gauss-Legendre nodes and weights on (−1, 1) in all digits, by Newton's method from those of float64."""
    nodes, weights = [], []
    for start in np.polynomial.legendre.leggauss(order)[0]:
        x = mp.findroot(lambda t: mp.legendre(order, t), mpf(float(start)))
        slope = order * (x * mp.legendre(order, x) - mp.legendre(order - 1, x)) / (x**2 - 1)
        nodes.append(x)
        weights.append(2 / ((1 - x**2) * slope**2))
    return nodes, weights


def relu_layer(gram: list[list[mpf]], recenter: bool, slope: float = 0.0) -> list[list[mpf]]:
    """Recentering or not, then leaky ReLU, on a whole Gram matrix by the formula of the arc-cosine kernel."""
    n = len(gram)
    if recenter:
        rows = [sum(row) / n for row in gram]
        mean = sum(rows) / n
        gram = [[gram[i][j] - rows[i] - rows[j] + mean for j in range(n)] for i in range(n)]
    even, odd = (1 - mpf(slope)) / 2, (1 + mpf(slope)) / 2

    def entry(i: int, j: int) -> mpf:
        norms = mp.sqrt(gram[i][i] * gram[j][j])
        r = min(max(gram[i][j] / norms, mpf(-1)), mpf(1))
        return odd**2 * gram[i][j] + even**2 * 2 / mp.pi * norms * (mp.sqrt(1 - r**2) + r * mp.asin(r))

    return [[entry(i, j) for j in range(n)] for i in range(n)]


def gram_of(points: Sequence[Sequence[mpf]]) -> list[list[mpf]]:
    return [[sum(a * b for a, b in zip(x, y, strict=True)) for y in points] for x in points]


def geometry_of(gram: list[list[mpf]]) -> tuple[np.ndarray, np.ndarray]:
    """Squared norms and squared distances, rounded at the end only."""
    n = len(gram)
    apart = [[float(gram[i][i] + gram[j][j] - 2 * gram[i][j]) for j in range(n)] for i in range(n)]
    return np.array([float(gram[i][i]) for i in range(n)]), np.array(apart)


def one_minus_cosine(gram: list[list[mpf]]) -> np.ndarray:
    n = len(gram)
    return np.array([[float(1 - gram[i][j] / mp.sqrt(gram[i][i] * gram[j][j])) for j in range(n)] for i in range(n)])


def _wrapped(angle: mpf) -> mpf:
    return angle - 2 * mp.pi * mp.floor((angle + mp.pi) / (2 * mp.pi))
