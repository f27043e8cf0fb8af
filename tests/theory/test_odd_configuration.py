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


def layer(gram: np.ndarray) -> np.ndarray:
    """Recentering and the arc-cosine kernel on a whole Gram matrix, of trace 1."""
    n = len(gram)
    centre = np.eye(n) - 1 / n
    centred = centre @ gram @ centre
    norms = np.sqrt(np.diagonal(centred))
    after = np.outer(norms, norms) * theory.relu_cosine(np.clip(centred / np.outer(norms, norms), -1, 1))
    np.fill_diagonal(after, np.diagonal(centred))
    return after / np.trace(after)


def odd_gram(n: int) -> np.ndarray:
    """The Gram matrix of `odd_point_configuration`, point 0 odd, of trace 1."""
    expected = theory.odd_point_configuration(n)
    assert expected is not None
    norms = np.array([expected.norm_ratio] + [1.0] * (n - 1))
    cosines = np.full((n, n), expected.cluster_cosine)
    cosines[0, 1:] = cosines[1:, 0] = expected.odd_cosine
    np.fill_diagonal(cosines, 1)
    assert expected.mean_cosine == pytest.approx((cosines.sum() - n) / (n * (n - 1)))
    gram = cosines * np.outer(norms, norms)
    return gram / np.trace(gram)


@pytest.mark.parametrize("n", [7, 8, 12, 64, 500])
def test_odd_point_configuration_is_left_as_it_is(n: int) -> None:
    gram = odd_gram(n)
    np.testing.assert_allclose(layer(gram), gram, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n", [7, 8, 9, 12])
def test_rate_is_the_largest_eigenvalue_of_the_dense_jacobian(n: int) -> None:
    """Central differences of the map on all n(n + 1)/2 entries; scale is out, as it gives trace 1."""
    gram, rows, columns = odd_gram(n), *np.triu_indices(n)
    jacobian = np.empty((len(rows), len(rows)))
    for k, (i, j) in enumerate(zip(rows, columns, strict=True)):
        step = np.zeros((n, n))
        step[i, j] = step[j, i] = 1e-6
        jacobian[:, k] = ((layer(gram + step) - layer(gram - step)) / 2e-6)[rows, columns]
    configuration = theory.odd_point_configuration(n)
    assert configuration is not None
    assert configuration.rate == pytest.approx(np.abs(np.linalg.eigvals(jacobian)).max(), abs=1e-7)


@pytest.mark.parametrize("n", [7, 12, 32])
def test_a_perturbed_odd_point_comes_back(n: int) -> None:
    gram = odd_gram(n)
    noise = np.random.default_rng(0).standard_normal((n, n)) * 0.05
    twisted = (np.eye(n) + noise) @ gram @ (np.eye(n) + noise).T
    start = np.abs(twisted / np.trace(twisted) - gram).max()
    for _ in range(1500):
        twisted = layer(twisted)
    assert start > 1e-3
    np.testing.assert_allclose(twisted, gram, atol=1e-9)


@pytest.mark.parametrize("n", [8, 16, 64])
def test_a_cluster_of_one_point_drifts_apart(n: int) -> None:
    """The idealized configuration: 1 − cosine grows by n² / ((n − 1)² + 1) per layer, pairs broken or not."""
    points = np.zeros((n, 3 * n))
    points[0, 0], points[1:, 1] = n - 1, 1
    points[1:, 2:] = 1e-5 * np.random.default_rng(0).standard_normal((n - 1, 3 * n - 2)) / math.sqrt(3 * n)
    gram, gaps = points @ points.T, []
    for _ in range(4):
        norms = np.sqrt(np.diagonal(gram))
        gaps.append(1 - (gram / np.outer(norms, norms))[1:, 1:][np.triu_indices(n - 1, 1)].mean())
        gram = layer(gram)
    assert gaps[3] / gaps[2] == pytest.approx(n**2 / ((n - 1) ** 2 + 1), rel=1e-3)


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_in_small_batches_no_odd_point_lasts(n: int) -> None:
    assert theory.odd_point_configuration(n) is None
    points = np.eye(n) * np.array([n - 1.0] + [0.1] * (n - 1))
    points[1:, 0] += 0.01 * np.arange(n - 1)
    points[1:, 1] += 1
    gram = points @ points.T
    for _ in range(3000):
        gram = layer(gram)
    symmetric = theory.symmetric_cosine(n)
    np.testing.assert_allclose(gram * n, np.eye(n) + symmetric * (1 - np.eye(n)), atol=1e-6)


def test_odd_point_configuration_goes_to_the_idealized_one() -> None:
    at = {n: theory.odd_point_configuration(n) for n in (12, 16, 32, 64, 100_000)}
    assert [round(at[n].cluster_cosine, 3) for n in (12, 16, 32, 64)] == [0.781, 0.866, 0.962, 0.990]
    assert [round(at[n].norm_ratio, 2) for n in (12, 16, 32, 64)] == [9.62, 13.90, 30.38, 62.67]
    limit = at[100_000]
    assert limit.cluster_cosine == pytest.approx(1, abs=1e-7)
    assert limit.odd_cosine == pytest.approx(0, abs=1e-12)
    assert limit.norm_ratio == pytest.approx(99_999, rel=1e-6)


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
