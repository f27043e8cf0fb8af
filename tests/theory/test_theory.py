"""The constants of the papers, against numerical integration, simulation and hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from normscope import theory


@pytest.mark.parametrize(("c", "j", "dj"), [(1, 1, 1), (-1, 0, 0), (0, 1 / math.pi, 0.5)])
def test_arc_cosine_kernel_by_hand(c: float, j: float, dj: float) -> None:
    assert theory.relu_cosine(c) == pytest.approx(j, abs=1e-15)
    assert theory.relu_derivative_cosine(c) == pytest.approx(dj, abs=1e-15)


@pytest.mark.parametrize("c", [-0.9, -0.3, -1 / 63, 0.2, 0.95])
def test_arc_cosine_kernel_is_the_gaussian_expectation(c: float) -> None:
    """E relu(u) relu(v) / E relu(u)² over unit Gaussians of correlation c, by Gauss quadrature in polar angle."""
    # relu(u) relu(v) is r² cos t cos(t − θ) where both are positive: the radial part cancels
    theta = math.acos(c)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    low, high = theta - math.pi / 2, math.pi / 2
    t = (high - low) / 2 * nodes + (high + low) / 2
    integral = (high - low) / 2 * np.sum(weights * np.cos(t) * np.cos(t - theta))
    assert theory.relu_cosine(c) == pytest.approx(integral / (math.pi / 2), rel=1e-12)


def test_derivative_is_the_derivative() -> None:
    c, h = np.linspace(-0.95, 0.95, 21), 1e-6
    slope = (theory.relu_cosine(c + h) - theory.relu_cosine(c - h)) / (2 * h)
    np.testing.assert_allclose(theory.relu_derivative_cosine(c), slope, rtol=1e-7)


def test_gradient_growth_goes_to_its_limit() -> None:
    assert theory.gradient_growth(10**7) == pytest.approx(math.pi / (math.pi - 1), rel=1e-6)


def test_odd_point_configuration_is_left_as_it_is() -> None:
    """Recentering and the arc-cosine kernel, applied to the configuration, give it back up to scale."""
    n = 12
    expected = theory.odd_point_configuration(n)
    norms = np.array([expected.norm_ratio] + [1.0] * (n - 1))
    cosines = np.full((n, n), expected.cluster_cosine)
    cosines[0, 1:] = cosines[1:, 0] = expected.odd_cosine
    np.fill_diagonal(cosines, 1)
    gram = cosines * np.outer(norms, norms)
    centre = np.eye(n) - 1 / n
    centred = centre @ gram @ centre
    scale = np.sqrt(np.diagonal(centred))
    after = np.outer(scale, scale) * theory.relu_cosine(np.clip(centred / np.outer(scale, scale), -1, 1))
    np.testing.assert_allclose(after / np.trace(after), gram / np.trace(gram), atol=1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.relu_cosine(1.5), r"lies in \[-1, 1\], got 1.5"),
        (lambda: theory.symmetric_cosine(1), "at least 2 points, got n = 1"),
        (lambda: theory.gradient_growth(3), "from n = 4 on, got n = 3"),
        (lambda: theory.odd_point_configuration(2), "at least 3, got n = 2"),
    ],
)
def test_bad_input_is_told(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
