"""Log singular values of long products: against multiple precision, and the exact laws against many samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import polygamma

from normscope.theory import (
    GaussianProduct,
    log_determinant,
    log_singular_values,
    lyapunov_exponents,
    sample_log_singular_values,
)
from reference import lineage as reference


def draw(size: int, factors: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((size, size)) / math.sqrt(size) for _ in range(factors)]


@pytest.mark.parametrize(("size", "factors"), [(1, 4), (3, 1), (6, 7), (5, 40), (4, 150), (4, 700)])
def test_every_singular_value_is_that_of_multiple_precision(size: int, factors: int) -> None:
    """Spreads up to e^600 and beyond: both ways that the function has."""
    matrices = draw(size, factors, 10 * size + factors)
    expected = reference.log_singular_values(matrices, 60 + 2 * factors)
    np.testing.assert_allclose(log_singular_values(iter(matrices)), expected, rtol=1e-13, atol=1e-12)


def test_a_spread_beyond_float64_was_among_them() -> None:
    values = log_singular_values(draw(4, 700, 740))
    assert values[0] - values[-1] > 710


def test_one_factor_is_a_singular_value_decomposition() -> None:
    (matrix,) = draw(60, 1, 0)
    expected = np.log(np.linalg.svd(matrix, compute_uv=False))
    np.testing.assert_allclose(log_singular_values([matrix]), expected, atol=1e-11)


def test_structure_does_not_matter() -> None:
    """Diagonal factors in any order, equal singular values, close pairs in a wide spectrum, scales of 1e±200."""
    powers = [np.diag([1e-3, 1.0, 2.0])] * 400
    expected = 400 * np.log([2.0, 1.0, 1e-3])
    np.testing.assert_allclose(log_singular_values(powers), expected, atol=1e-10)
    np.testing.assert_allclose(log_singular_values([np.eye(4)] * 50), np.zeros(4), atol=1e-12)
    turn = np.array([[math.cos(1), -math.sin(1), 0], [math.sin(1), math.cos(1), 0], [0, 0, 1]])
    close = log_singular_values([turn @ np.diag([1.0, 1.0 + 1e-9, 1e-3])] * 400)
    np.testing.assert_allclose(close, [2e-7, 2e-7, 400 * math.log(1e-3)], atol=1e-7)
    scaled = log_singular_values([1e-200 * power for power in powers])
    np.testing.assert_allclose(scaled, expected + 400 * math.log(1e-200), rtol=1e-12)


def test_a_wide_spectrum_whose_neighbours_are_close() -> None:
    """R_k D R_(k−1)ᵀ with orthogonal R have the product R D^M Rᵀ: 160 values e^4 apart, beyond float64 in all."""
    size, factors = 160, 320
    rng, logs = np.random.default_rng(6), np.linspace(0, -2, size)
    turns = [np.linalg.qr(rng.standard_normal((size, size)))[0] for _ in range(4)]
    matrices = (turns[(k + 1) % 4] * np.exp(logs) @ turns[k % 4].T for k in range(factors))
    np.testing.assert_allclose(log_singular_values(matrices), factors * logs, atol=1e-9)


def test_the_determinant_is_exact_and_has_its_law() -> None:
    """The sum of the logs is ln |det| of each factor; over 300 products its mean and variance are within 5 standard
    errors (each fails by chance in 6e-7 of all seeds, the variance being close to normal)."""
    matrices = draw(12, 30, 2)
    total = sum(np.linalg.slogdet(matrix)[1] for matrix in matrices)
    assert log_singular_values(matrices).sum() == pytest.approx(total, rel=1e-12)
    values = sample_log_singular_values(8, 10, seed=3, samples=300).sum(1)
    law = log_determinant(8, 10)
    assert abs(values.mean() - law.mean) < 5 * math.sqrt(law.variance / 300)
    assert abs(values.var(ddof=1) / law.variance - 1) < 5 * math.sqrt(2 / 299)


def test_determinant_goes_to_that_of_the_limit_law() -> None:
    for squared, power in ((True, 2), (False, 1)):
        law = GaussianProduct(7, squared=squared, log=True)
        assert power * log_determinant(20_000, 7).mean / 20_000 == pytest.approx(law.mean, rel=1e-3)


def test_lyapunov_exponents_are_the_rates_of_growth() -> None:
    """30 products of 800 factors; ln s_k has variance M ψ'((N−k+1)/2)/4 and a bias O(1): 5 standard errors, plus 1."""
    size, factors, samples = 3, 800, 30
    values = sample_log_singular_values(size, factors, seed=4, samples=samples)
    spread = np.sqrt(factors * polygamma(1, np.arange(size, 0, -1) / 2) / 4 / samples)
    assert np.all(np.abs(values.mean(0) - factors * lyapunov_exponents(size)) < 5 * spread + 1)


def test_lyapunov_exponents_by_hand() -> None:
    euler = np.euler_gamma
    # one dimension: E ln |g| = −(γ + ln 2)/2; two: E ln of a chi variable of 2 degrees over √2 is −γ/2
    np.testing.assert_allclose(lyapunov_exponents(1), [-(euler + math.log(2)) / 2], rtol=1e-14)
    np.testing.assert_allclose(lyapunov_exponents(2), [-euler / 2, -(euler + math.log(2)) / 2 - math.log(2) / 2])


def test_the_condition_number_grows_with_every_factor() -> None:
    values = np.array([sample_log_singular_values(40, m, seed=5, samples=4).mean(0) for m in (1, 6, 20, 100)])
    condition = values[:, 0] - values[:, -1]
    assert np.all(np.diff(condition) > 5)
    assert condition[2] > math.log(1e16)  # past what a decomposition of the product can find
    np.testing.assert_array_equal(sample_log_singular_values(40, 6, seed=5, samples=4).mean(0), values[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: log_singular_values([]), "at least one matrix, got none"),
        (lambda: log_singular_values([np.ones((2, 3))]), r"matrix 0 of the product is not square: shape \(2, 3\)"),
        (lambda: log_singular_values([np.eye(2), np.eye(3)]), "matrix 1 of the product has size 3, those before it 2"),
        (lambda: log_singular_values([np.eye(2), np.eye(2) * math.nan]), "matrix 1 of the product holds NaN"),
        (lambda: log_singular_values([np.zeros((2, 2))]), "matrix 0 of the product is singular"),
        (lambda: sample_log_singular_values(0, 3, 0), "size is at least 1, got 0"),
        (lambda: sample_log_singular_values(3, 0, 0), "factors is at least 1, got 0"),
        (lambda: lyapunov_exponents(0), "size is at least 1"),
        (lambda: log_determinant(2, -1), "factors is at least 1, got -1"),
    ],
)
def test_bad_input_is_told(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
