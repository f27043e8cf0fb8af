"""What rescaling does to orthogonality: bounds and exact laws, against explicit random layers and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import psi

from normscope import theory
from normscope.theory.lineage.quadratic_forms import mean_log, mean_shares
from reference import lineage as reference

# An estimate is held to its expectation by five of its standard errors: by chance it fails in 6e-7 of all seeds.
SIGMAS = 5

spectra = arrays(np.float64, st.integers(2, 9), elements=st.floats(1e-6, 1))


def close_to_mean(draws: np.ndarray, expected: float) -> bool:
    return abs(np.mean(draws) - expected) < SIGMAS * np.std(draws, ddof=1) / math.sqrt(len(draws))


# quadratic forms of a random direction


def test_shares_and_logarithm_of_two_by_hand() -> None:
    """u = (cos t, sin t): E of a cos² / (a cos² + sin²) is √a / (1 + √a), E ln(a cos² + sin²) is 2 ln((1 + √a)/2)."""
    for a in (1e-20, 1e-6, 0.3, 0.99, 7.0):
        assert mean_shares([a, 1])[0] == pytest.approx(math.sqrt(a) / (1 + math.sqrt(a)), rel=1e-9, abs=1e-16)
        by_hand = 2 * math.log((1 + math.sqrt(a)) / 2) - math.log((1 + a) / 2)
        assert mean_log([a, 1]) == pytest.approx(by_hand, rel=1e-12, abs=1e-15)


def test_equal_eigenvalues_in_part_of_the_space_by_hand() -> None:
    """k of n: the quadratic form is a Beta(k/2, (n − k)/2) variable, with E ln = ψ(k/2) − ψ(n/2)."""
    for k, n in ((1, 1), (1, 2), (1, 1000), (5, 10), (64, 65)):
        values = np.r_[np.ones(k), np.zeros(n - k)]
        assert mean_log(values) == pytest.approx(psi(k / 2) - psi(n / 2) + math.log(n / k), rel=1e-10, abs=1e-15)
        np.testing.assert_allclose(mean_shares(values), values / k, rtol=1e-13)


def test_nearly_equal_eigenvalues_lose_no_digits() -> None:
    values = 1 + 2.0**-20 * np.array([1, -1, 3, -3])
    assert mean_log(values) == pytest.approx(-20 * 2.0**-40 / 24, rel=1e-5)


@given(spectra, st.floats(1e-200, 1e200))
def test_shares_are_shares(values: np.ndarray, scale: float) -> None:
    shares = mean_shares(values)
    assert shares.sum() == pytest.approx(1, abs=1e-13)
    assert np.all(np.diff(shares[np.argsort(values)]) >= -1e-13)
    np.testing.assert_allclose(mean_shares(scale * values), shares, atol=1e-13)
    assert mean_log(values) <= 1e-14


def test_shares_and_logarithm_of_many_directions() -> None:
    rng, values = np.random.default_rng(0), np.array([3.0, 1.0, 0.2, 0.0, 1e-5])
    u = rng.standard_normal((20_000, 5))
    parts = values * u**2 / np.sum(u**2, axis=1, keepdims=True)
    for k, share in enumerate(mean_shares(values)):
        assert close_to_mean(parts[:, k] / parts.sum(1), share) or share == parts[:, k].max() == 0
    assert close_to_mean(np.log(parts.sum(1) / values.mean()), mean_log(values))


# Daneshmand et al. 2021


@pytest.mark.parametrize("width", [4, 11])
def test_expected_gap_of_one_layer_is_exact_at_finite_width(width: int) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((7, 4)) * np.array([1, 1, 0.3, 2])
    eigenvalues = np.linalg.eigvalsh(x.T @ x)
    draws = [
        reference.orthogonality_gap(reference.rescaled_layer(x, rng.standard_normal((width, 7)))) ** 2
        for _ in range(4000)
    ]
    assert close_to_mean(np.array(draws), theory.expected_squared_gap(eigenvalues, width))
    assert theory.expected_squared_gap(np.ones(4), width) == pytest.approx(0.75 / width, rel=1e-12)


@given(spectra)
def test_the_lemma_behind_the_sharper_bound(values: np.ndarray) -> None:
    """1/n − p_n <= (1 − 2nλ_n/(n + 2)) (1/n − λ_n), and V <= √(n(n−1)) (1/n − λ_n), for eigenvalues of sum 1."""
    n, values = len(values), np.sort(values / values.sum())[::-1]
    smallest = values[-1]
    after = 1 / n - mean_shares(values)[-1]
    assert after <= (1 - 2 * n * smallest / (n + 2)) * (1 / n - smallest) + 1e-13
    gap = np.linalg.norm(values - 1 / n)
    assert gap <= math.sqrt(n * (n - 1)) * (1 / n - smallest) + 1e-13


@given(st.integers(2, 50), st.floats(0.001, 1), st.integers(1, 1000), st.integers(0, 5000))
def test_the_sharper_bound_is_below_the_published_one(n: int, share: float, factor: int, depth: int) -> None:
    arguments = (depth, n, n * factor, share / n)
    assert theory.sharper_orthogonality_gap_bound(*arguments) <= theory.orthogonality_gap_bound(*arguments)


def test_published_bound_by_hand() -> None:
    bound = theory.orthogonality_gap_bound([0, 1, 10_000], 3, 90_000, 0.3)
    np.testing.assert_allclose(bound, [2.1, 1.7, 0.1], rtol=1e-12)


def test_sharper_bound_by_hand() -> None:
    """Two points, d = 8: the noise is 1/4; ρ is 1/2 at α = 1/2, where no gap is left at l = 0, and 3/4 at α = 1/4."""
    found = theory.sharper_orthogonality_gap_bound([0, 1, 10_000], 2, 8, 0.5)
    np.testing.assert_allclose(found, math.sqrt(2) * np.array([0, 1 / 4, 1 / 2]), atol=1e-15)
    found = theory.sharper_orthogonality_gap_bound([0, 1, 10_000], 2, 8, 0.25)
    np.testing.assert_allclose(found, math.sqrt(2) * np.array([1 / 4, 3 / 16 + 1 / 4, 1]), rtol=1e-14)


def test_deep_chains_stay_below_the_bound_and_reach_the_plateau() -> None:
    """40 chains of 60 layers, n = 3, d = 4000, by the law of Z = W H. α is the smallest eigenvalue that they met."""
    rng, n, width, layers = np.random.default_rng(2), 3, 4000, 60
    start = np.array([[1, 0.6, 0.1], [0.6, 1, 0.2], [0.1, 0.2, 1]]) / n
    gaps, smallest = np.empty((40, layers)), 1.0
    for chain in gaps:
        gram = start
        for layer in range(layers):
            z = rng.standard_normal((width, n)) @ np.linalg.cholesky(gram).T
            z /= np.linalg.norm(z, axis=1, keepdims=True)
            gram = z.T @ z / width
            chain[layer] = np.linalg.norm(gram - np.eye(n) / n)
            smallest = min(smallest, np.linalg.eigvalsh(gram)[0])
    bound = theory.sharper_orthogonality_gap_bound(np.arange(layers), n, width, smallest)
    assert bound[-1] < math.sqrt(2 / 3) / 2  # it says something: √(2/3) is the largest gap of 3 points
    assert np.all(gaps.mean(0) < bound)
    # the gap is multiplied by 3/5 a layer, the variance of its average over layers by about (1 + 0.36)/(1 − 0.36)
    plateau, late = theory.orthogonality_plateau(n, width), gaps[:, 20:]
    error = late.std() * math.sqrt((1 + 0.6**2) / (1 - 0.6**2) / late.size)
    assert abs(late.mean() - plateau.mean) < SIGMAS * error + plateau.mean * n**2 / width
    assert plateau.mean < plateau.rms < bound[-1]


@pytest.mark.parametrize("n", [2, 3, 10, 100])
def test_rate_of_the_plateau_is_the_slope_of_the_shares(n: int) -> None:
    step = np.zeros(n)
    step[:2] = 1e-5, -1e-5
    slope = (mean_shares(1 + step) - mean_shares(1 - step))[0] / 2e-5 * n
    assert theory.orthogonality_plateau(n, 10 * n).rate == pytest.approx(slope, rel=1e-7)


def test_plateau_of_two_points_by_hand() -> None:
    """u = (cos t, sin t): HᵀH − I/2 is half the mean of d reflections by 2t, two components of variance 1/(8d) each,
    V² twice the sum of their squares. With the rate 1/2, E V² = 1/(2d) / (1 − 1/4); two components are Rayleigh."""
    plateau = theory.orthogonality_plateau(2, 300)
    assert plateau.rms == pytest.approx(math.sqrt(2 / 3 / 300), rel=1e-12)
    assert plateau.mean == pytest.approx(plateau.rms * math.sqrt(math.pi) / 2, rel=1e-12)


def test_rank_collapse_is_a_function_of_the_gap() -> None:
    x = np.random.default_rng(3).standard_normal((6, 4))
    gram = x.T @ x
    expected = np.trace(gram) ** 2 / np.sum(gram**2)
    assert theory.rank_collapse_from_gap(reference.orthogonality_gap(x), 4) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(theory.rank_collapse_from_gap([0, math.sqrt(0.75)], 4), [4, 1], rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.orthogonality_gap_bound(1, 4, 64, 0.3), r"lies in \(0, 0.25\], got 0.3"),
        (lambda: theory.orthogonality_gap_bound(-1, 4, 64, 0.1), "depth is at least 0, got -1"),
        (lambda: theory.sharper_orthogonality_gap_bound(1, 4, 3, 0.1), "no more than 3 points of width 3"),
        (lambda: theory.orthogonality_plateau(1, 3), "from n = 2 on, got n = 1"),
        (lambda: theory.expected_squared_gap([1, 1], 0), "width of at least 1, got 0"),
        (lambda: theory.expected_squared_gap([1, -1], 3), "at least 0, got -1"),
        (lambda: theory.expected_squared_gap([0, 0], 3), "all eigenvalues are 0"),
        (lambda: theory.expected_squared_gap([], 3), "at least one number"),
        (lambda: theory.rank_collapse_from_gap(0.9, 4), r"lies in \[0, 0.866025\], got 0.9"),
        (lambda: theory.rank_collapse_from_gap(0, 0), "at least 1 point"),
    ],
)
def test_bad_input_is_told(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
