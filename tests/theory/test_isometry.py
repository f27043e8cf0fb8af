"""Strength of a non-linearity, decay of the isometry gap: by hand, as properties, against explicit random layers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import psi
from scipy.stats import ortho_group

from normscope import theory
from reference import lineage as reference

# An estimate is held to its expectation by five of its standard errors: by chance it fails in 6e-7 of all seeds.
SIGMAS = 5

spectra = arrays(np.float64, st.integers(2, 9), elements=st.floats(1e-6, 1))


def close_to_mean(draws: np.ndarray, expected: float) -> bool:
    return abs(np.mean(draws) - expected) < SIGMAS * np.std(draws, ddof=1) / math.sqrt(len(draws))


# Joudaki et al. 2023


@pytest.mark.parametrize(
    ("name", "strength"),
    [
        ("linear", 1),
        ("abs", 2),
        ("relu", 2 - math.pi / (2 * (math.pi - 1))),
        ("step", 2 - 2 / math.pi),
        ("sin", 2 - 1 / math.sinh(1)),
        ("leaky_relu:0.2", 2 - 0.36 / (0.36 + 0.16 * (1 - 2 / math.pi))),
        (np.exp, 2 - 1 / (math.e - 1)),
    ],
)
def test_strengths_by_hand(name: str, strength: float) -> None:
    found = theory.nonlinearity_strength(name)
    assert abs(found.value - strength) < found.error < 1e-13


def test_a_kink_off_the_grid_shows_in_the_error_and_can_be_named() -> None:
    def clipped(x: np.ndarray) -> np.ndarray:
        return np.clip(x, -0.3, 0.7)

    blind, told = theory.nonlinearity_strength(clipped), theory.nonlinearity_strength(clipped, kinks=(-0.3, 0.7))
    assert told.error < 1e-13 < 1e-6 < abs(blind.value - told.value) < blind.error
    coefficients = [
        reference.hermite_coefficient(lambda x: min(max(x, -0.3), 0.7), k, kinks=(-0.3, 0.7)) for k in range(4)
    ]
    np.testing.assert_allclose(
        theory.hermite_coefficients(clipped, 3, kinks=(-0.3, 0.7)).coefficients, coefficients, atol=1e-14
    )


def test_hermite_coefficients() -> None:
    sin = theory.hermite_coefficients("sin", 9)
    by_hand = [0 if k % 2 == 0 else (-1) ** (k // 2) / math.sqrt(math.e * math.factorial(k)) for k in range(10)]
    np.testing.assert_allclose(sin.coefficients, by_hand, atol=1e-14)
    relu = theory.hermite_coefficients("relu", 400)
    assert relu.second_moment == pytest.approx(0.5, abs=1e-14)
    assert relu.error < 1e-13
    # by parts, with φ'' a Dirac delta: c_k = He_(k−2)(0) / √(2π k!), and c_2j² = C(2j, j) / (4^j · 2π (2j − 1)²)
    for j in range(201):
        size = math.sqrt(math.comb(2 * j, j) / 4**j / (2 * math.pi)) / abs(2 * j - 1)
        assert relu.coefficients[2 * j] == pytest.approx(-size if j and j % 2 == 0 else size, abs=1e-13)
    np.testing.assert_allclose(relu.coefficients[1::2], [0.5] + [0] * 199, atol=1e-13)


def relu_layer(cosines: np.ndarray) -> np.ndarray:
    """Infinite width: ReLU, then each point less its mean over the features, over its scale."""
    after = (theory.relu_cosine(np.clip(cosines, -1, 1)) - 1 / math.pi) / (1 - 1 / math.pi)
    np.fill_diagonal(after, 1)
    return after


@given(st.integers(2, 7), st.integers(0, 2**32 - 1), st.floats(0, 0.999))
def test_the_isometry_gap_stays_below_its_bound(n: int, seed: int, shared: float) -> None:
    x = np.random.default_rng(seed).standard_normal((n, n + 3))
    x = math.sqrt(1 - shared) * x + math.sqrt(shared) * x[0]
    cosines = x @ x.T / np.linalg.norm(x, axis=1) / np.linalg.norm(x, axis=1)[:, None]
    smallest, strength = np.linalg.eigvalsh(cosines)[0], theory.nonlinearity_strength("relu").value
    ratio = 1 / smallest - 1
    for depth in range(12):
        bound = theory.isometry_gap_bound(depth, strength, smallest)
        assert reference.isometry_gap(cosines) <= bound * (1 + 1e-9) + 1e-13
        assert 1 / np.linalg.eigvalsh(cosines)[0] - 1 <= ratio * strength**-depth * (1 + 1e-9) + 1e-13
        cosines = relu_layer(cosines)


def test_the_gap_itself_does_not_decay_at_that_rate_from_parallel_points() -> None:
    """By half of ln κ'(1) a layer, not by a factor; close to isometry by the factor (2 − β₀)²."""
    strength = theory.nonlinearity_strength("relu").value
    near = np.array([[1, 1 - 1e-9], [1 - 1e-9, 1]])
    first, second = (reference.isometry_gap(m) for m in (near, relu_layer(near)))
    slope = math.pi / (math.pi - 1)  # of the centred arc-cosine kernel at 1
    assert first - second == pytest.approx(math.log(slope) / 2, rel=1e-3)
    assert second > first / strength
    apart = np.array([[1, 1e-4], [1e-4, 1]])
    first, second = (reference.isometry_gap(m) for m in (apart, relu_layer(apart)))
    assert second / first == pytest.approx((2 - strength) ** 2, rel=1e-3)


def test_normalization_gain_is_the_drop_of_the_gap() -> None:
    x = np.random.default_rng(4).standard_normal((4, 9)) * np.array([[1], [1e-3], [5], [2]])
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    drop = reference.isometry_gap(x @ x.T) - reference.isometry_gap((x / norms) @ (x / norms).T)
    gain = theory.normalization_gain(norms[:, 0] ** 2)
    assert gain == pytest.approx(drop, rel=1e-9)
    assert math.exp(gain) >= 1 + norms.var() / norms.mean() ** 2  # as the paper has it
    assert theory.normalization_gain([1e-300, 1e-300]) == pytest.approx(0, abs=1e-15)


# Meterez et al. 2024


@pytest.mark.parametrize("weights", ["orthogonal", "gaussian"])
def test_change_of_the_isometry_gap_in_one_layer(weights: str) -> None:
    rng, d = np.random.default_rng(5), 4
    x = rng.standard_normal((d, d))
    before, eigenvalues = reference.isometry_gap(x @ x.T), np.linalg.eigvalsh(x @ x.T)
    changes = []
    for _ in range(3000):
        weight = ortho_group.rvs(d, random_state=rng) if weights == "orthogonal" else rng.standard_normal((d, d))
        after = reference.rescaled_layer(x, weight)
        changes.append(reference.isometry_gap(after @ after.T) - before)
    assert close_to_mean(np.array(changes), theory.isometry_gap_change(eigenvalues, weights))


@given(spectra)
def test_orthogonal_weights_never_raise_the_expected_gap(values: np.ndarray) -> None:
    assert theory.isometry_gap_change(values) <= 1e-14
    d = len(values)
    more = theory.isometry_gap_change(values, "gaussian") - theory.isometry_gap_change(values)
    assert more == pytest.approx(psi(d / 2) - np.mean([psi(j / 2) for j in range(1, d + 1)]), rel=1e-9)


def test_gaussian_weights_add_one_in_wide_layers() -> None:
    assert theory.isometry_gap_change(np.ones(1000), "gaussian") == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.nonlinearity_strength(np.ones_like), "constant to rounding"),
        (lambda: theory.nonlinearity_strength("relux"), "unknown activation 'relux'"),
        (lambda: theory.nonlinearity_strength("relu", kinks=[math.inf]), "a kink is a finite number"),
        (lambda: theory.hermite_coefficients("relu", -1), "at least 0, got -1"),
        (lambda: theory.isometry_gap_bound(-1, 1.2, 0.5), "depth is at least 0"),
        (lambda: theory.isometry_gap_bound(1, 2.2, 0.5), r"lies in \[1, 2\], got 2.2"),
        (lambda: theory.isometry_gap_bound(1, 1.2, 0), "if the points are independent, got 0"),
        (lambda: theory.normalization_gain([1, 0]), "that point has no direction"),
        (lambda: theory.normalization_gain(3), "at least one number"),
        (lambda: theory.isometry_gap_change([1, 0]), "linearly dependent points is infinite"),
        (lambda: theory.isometry_gap_change([1, 2], "uniform"), "'orthogonal' or 'gaussian', got 'uniform'"),
    ],
)
def test_bad_input_is_told(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
