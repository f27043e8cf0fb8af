"""The limit law of products of Gaussian matrices: against polynomial roots, multiple precision and finite matrices."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normscope.theory import GaussianProduct
from reference import lineage as reference

FACTORS = [1, 2, 3, 5, 40, 1000]


def dkw(samples: int, error: float = 1e-6) -> float:
    """Dvoretzky–Kiefer–Wolfowitz: independent draws are further than this from their law with this probability."""
    return math.sqrt(math.log(2 / error) / (2 * samples))


def distance(law: GaussianProduct, draws: np.ndarray) -> float:
    ordered = law.cdf(np.sort(draws))
    steps = np.arange(len(draws) + 1) / len(draws)
    return max(np.abs(ordered - steps[1:]).max(), np.abs(ordered - steps[:-1]).max())


def test_edges_of_the_published_plots() -> None:
    edges = [GaussianProduct(m, squared=False).support[1] for m in (1, 3, 5)]
    assert [round(e, 2) for e in edges] == [2.0, 3.08, 3.86]
    assert GaussianProduct(3).support == (0.0, pytest.approx(4**4 / 3**3, rel=1e-15))


def test_one_factor_is_marchenko_pastur_and_the_quarter_circle() -> None:
    x = np.array([1e-300, 1e-12, 0.3, 1.0, 2.5, 3.9, 4 * (1 - 1e-9)])
    s = np.sqrt(x)
    np.testing.assert_allclose(GaussianProduct(1).pdf(x), np.sqrt((4 - x) / x) / (2 * np.pi), rtol=1e-7)
    np.testing.assert_allclose(GaussianProduct(1).pdf(x[:-1]), np.sqrt((4 - x) / x)[:-1] / (2 * np.pi), rtol=1e-13)
    circle = GaussianProduct(1, squared=False)
    np.testing.assert_allclose(circle.pdf([0, *s[:-1]]), np.sqrt(4 - np.array([0, *x[:-1]])) / np.pi, rtol=1e-13)
    np.testing.assert_allclose(circle.cdf(s), (s * np.sqrt(4 - s * s) / 2 + 2 * np.arcsin(s / 2)) / np.pi, rtol=1e-13)


@pytest.mark.parametrize("factors", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("share", [1e-6, 0.01, 0.4, 0.9, 0.9999])
def test_density_solves_the_equation_of_the_resolvent(factors: int, share: float) -> None:
    law = GaussianProduct(factors)
    x = share * law.support[1]
    assert law.pdf(x) == pytest.approx(reference.fuss_catalan_density(factors, x), rel=1e-9)
    plain = GaussianProduct(factors, squared=False)
    assert plain.pdf(math.sqrt(x)) == pytest.approx(2 * math.sqrt(x) * law.pdf(x), rel=1e-12)
    assert GaussianProduct(factors, log=True).pdf(math.log(x)) == pytest.approx(x * law.pdf(x), rel=1e-12)


@pytest.mark.parametrize("factors", [1, 3])
def test_distribution_function_is_the_integral_of_the_density(factors: int) -> None:
    law = GaussianProduct(factors)
    low, high = 0.2, 0.8 * law.support[1]
    mass = reference.fuss_catalan_mass(factors, low, high)
    assert float(law.cdf(high) - law.cdf(low)) == pytest.approx(mass, rel=1e-12)


@pytest.mark.parametrize("factors", FACTORS)
def test_both_tails_in_multiple_precision(factors: int) -> None:
    law = GaussianProduct(factors, log=True)
    with mpmath.workdps(400):
        for theta in (1e-250, 1e-30, 1e-3, 1.0, 3.0, math.pi - 1e-3):
            log_x, below = reference.fuss_catalan_point(factors, theta)
            p = float(below)
            assert law.cdf(float(log_x)) == pytest.approx(p, rel=1e-11)
            assert law.quantile(p) == pytest.approx(float(log_x), rel=1e-8 if p > 0.999 else 1e-12, abs=1e-12)
            # near the upper edge as exactly as a rounded ln x can tell
            slack = 4e-16 * (1 + abs(float(log_x))) * float(law.pdf(float(log_x)) / (1 - below))
            assert law.sf(float(log_x)) == pytest.approx(float(1 - below), rel=1e-11 + 10 * slack)


@pytest.mark.parametrize("factors", FACTORS)
def test_moments_are_those_of_the_law(factors: int) -> None:
    """E f(X) = ∫ f(quantile(p)) dp by Gauss–Legendre in t, p = 3t² − 2t³, which softens both edges."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    t, weights = (nodes + 1) / 2, weights / 2
    p, jacobian = 3 * t**2 - 2 * t**3, 6 * t * (1 - t)
    for squared in (True, False):
        law = GaussianProduct(factors, squared=squared, log=True)
        x = law.quantile(p)
        for order in (0.5, 1, 2):
            integral = np.sum(weights * jacobian * np.exp(order * x))
            assert integral == pytest.approx(law.moment(order), rel=3e-4 if factors == 1000 else 1e-5)
        assert np.sum(weights * jacobian * x) == pytest.approx(law.mean, rel=1e-6)
        assert np.sum(weights * jacobian * (x - law.mean) ** 2) == pytest.approx(law.variance, rel=1e-5)


@pytest.mark.parametrize("factors", FACTORS)
def test_moments_are_fuss_catalan_numbers(factors: int) -> None:
    law = GaussianProduct(factors)
    for k in range(6):
        number = math.comb((factors + 1) * k, k) // (factors * k + 1)
        assert law.moment(k) == pytest.approx(number, rel=1e-11)
    assert (law.mean, law.variance) == (pytest.approx(1, rel=1e-11), pytest.approx(factors, rel=1e-8))
    assert law.moment(-1 / (factors + 1)) == math.inf
    assert GaussianProduct(factors, squared=False).moment(2) == pytest.approx(1, rel=1e-11)
    log = GaussianProduct(factors, squared=False, log=True)
    assert (log.mean, log.variance) == (-factors / 2, pytest.approx((factors**2 + math.pi**2 * factors / 3) / 4))


@given(st.integers(1, 1000), st.floats(1e-12, 1 - 1e-6), st.booleans(), st.booleans())
def test_quantile_inverts_the_distribution_function(factors: int, p: float, squared: bool, log: bool) -> None:
    law = GaussianProduct(factors, squared=squared, log=log)
    x = law.quantile(p)
    if log or x > 1e-290:
        assert law.cdf(x) == pytest.approx(p, rel=1e-10)
        assert law.cdf(x) + law.sf(x) == pytest.approx(1, abs=1e-14)


def test_outside_and_at_the_edges() -> None:
    law = GaussianProduct(2)
    edge = law.support[1]
    np.testing.assert_array_equal(law.cdf([-1, 0, edge, 10]), [0, 0, 1, 1])
    np.testing.assert_array_equal(law.sf([-1, 0, edge, 10]), [1, 1, 0, 0])
    np.testing.assert_array_equal(law.pdf([-1, 0, edge, 10]), [0, math.inf, 0, 0])
    np.testing.assert_array_equal(law.quantile([0, 1]), [0, edge])
    np.testing.assert_array_equal(GaussianProduct(2, log=True).quantile([0, 1]), [-math.inf, math.log(edge)])


@pytest.mark.parametrize(("factors", "squared"), [(1, True), (3, True), (3, False), (300, True)])
def test_samples_follow_the_law(factors: int, squared: bool) -> None:
    """Against the distribution function by DKW; it fails by chance in 1e-6 of all seeds."""
    law = GaussianProduct(factors, squared=squared, log=True)
    draws = law.sample((50, 100), seed=0).ravel()
    assert distance(law, draws) < dkw(draws.size)
    np.testing.assert_array_equal(draws, law.sample((50, 100), seed=0).ravel())
    assert distance(GaussianProduct(2 * factors, squared=squared, log=True), draws) > dkw(draws.size)


@pytest.mark.parametrize("factors", [1, 3, 5])
def test_matrices_of_finite_size_follow_the_law(factors: int) -> None:
    """20 products of size 150 pooled; singular values of a matrix lie more evenly than independent draws, and their
    distribution is off by O(1/150): the criterion is DKW of 3000 draws at 1e-6, plus 1/150."""
    rng = np.random.default_rng(1)
    values = []
    for _ in range(20):
        product = np.eye(150)
        for _ in range(factors):
            product = rng.standard_normal((150, 150)) / math.sqrt(150) @ product
        values.append(np.linalg.svd(product, compute_uv=False))
    drawn, criterion = np.concatenate(values), dkw(3000) + 1 / 150
    assert distance(GaussianProduct(factors, squared=False), drawn) < criterion
    assert distance(GaussianProduct(factors), drawn) > criterion  # the plots of the paper are of s, not of s²


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: GaussianProduct(0), ValueError, "at least 1 factor, got factors = 0"),
        (lambda: GaussianProduct(1.5), TypeError, "integer"),
        (lambda: GaussianProduct(1).pdf(math.nan), ValueError, "x = NaN"),
        (lambda: GaussianProduct(1).quantile([0.5, 1.2]), ValueError, r"lies in \[0, 1\], got 1.2"),
    ],
)
def test_bad_input_is_told(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
