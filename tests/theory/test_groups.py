"""Groups of exchangeable points: their algebra and their layer, against dense matrices."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normscope.theory.activations.activation import activation
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import (
    GroupGram,
    GroupMatrix,
    checked_sizes,
    group_gram,
    membership,
    recentered_means,
)
from normscope.theory.layers.gram_map import GramMap

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=3)
ACTIVATIONS = ["linear", "relu", "leaky_relu:0.2", "abs"]


def random_dense(sizes: list[int], seed: int, floor: float = 0.2) -> np.ndarray:
    """A positive definite matrix of groups."""
    rng = np.random.default_rng(seed)
    group = membership(sizes)
    factor = rng.standard_normal((len(sizes), len(sizes) + 1))
    dense = (factor @ factor.T)[np.ix_(group, group)] + floor
    dense[np.diag_indices(len(group))] += rng.uniform(0.3, 1.5, len(sizes))[group]
    return dense


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 10**6))
def test_the_algebra_is_that_of_dense_matrices(sizes: list[int], seed: int) -> None:
    first, second = random_dense(sizes, seed), random_dense(sizes, seed + 1)
    a, b = group_gram(first, sizes).matrix, group_gram(second, sizes).matrix
    np.testing.assert_allclose(a.dense(), first, atol=1e-12)
    np.testing.assert_allclose((a @ b).quotient, a.quotient @ b.quotient)
    np.testing.assert_allclose((a @ b @ a).dense(), first @ second @ first, atol=1e-10)
    np.testing.assert_allclose(a.inverse().dense(), np.linalg.inv(first), atol=1e-10)
    root = a.sqrt().dense()
    np.testing.assert_allclose(root @ root, first, atol=1e-10)
    assert a.trace == pytest.approx(np.trace(first))
    assert a.logdet == pytest.approx(np.linalg.slogdet(first)[1], abs=1e-10)


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 10**6))
def test_norms_distances_and_cosines_are_those_of_the_points(sizes: list[int], seed: int) -> None:
    dense = random_dense(sizes, seed)
    groups, group = group_gram(dense, sizes), membership(sizes)
    norms = np.sqrt(np.diagonal(dense))
    gaps = 1 - dense / np.outer(norms, norms)
    different = ~np.eye(len(group), dtype=bool)
    np.testing.assert_allclose(groups.one_minus_cosines[np.ix_(group, group)][different], gaps[different], atol=1e-12)
    assert groups.trace == pytest.approx(np.trace(dense))
    centre = np.eye(len(group)) - 1 / len(group)
    means = recentered_means(groups.sizes, groups.mean_distances)
    indicator = np.equal.outer(np.arange(len(sizes)), group) / groups.sizes[:, None]
    np.testing.assert_allclose(means, indicator @ centre @ dense @ centre @ indicator.T, atol=1e-12)


def test_recentering_a_million_points_loses_nothing_to_cancellation() -> None:
    sizes, apart = np.array([1.0, 10, 999_989]), np.array([[0, 3.0, 2], [3, 0, 1], [2, 1, 0]])
    share = [Fraction(int(k), 1_000_000) for k in sizes]
    exact = np.empty((3, 3))
    for g in range(3):
        for h in range(3):
            u = [int(a == g) - share[a] for a in range(3)]
            w = [int(a == h) - share[a] for a in range(3)]
            exact[g, h] = float(-sum(u[a] * w[b] * int(apart[a, b]) for a in range(3) for b in range(3)) / 2)
    norms = np.sqrt(np.diagonal(exact))  # the smallest is 1e-5
    np.testing.assert_allclose(
        recentered_means(sizes, apart) / np.outer(norms, norms), exact / np.outer(norms, norms), atol=1e-14
    )


@pytest.mark.parametrize("recenter", [False, True])
@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("name", [*ACTIVATIONS, "erf", "step"])
@pytest.mark.parametrize("sizes", [[4], [1, 3], [2, 1, 3]])
def test_the_layer_is_that_of_the_whole_gram_matrix(recenter: bool, rescale: bool, name: str, sizes: list[int]) -> None:
    if rescale and name == "erf":
        pytest.skip("no quadrature: must fail, see below")
    dense = random_dense(sizes, 3)
    whole = GramMap(recenter, rescale, name, weight_variance=1.5, bias_variance=0.2)(dense)
    layer = GroupMap(recenter, rescale, activation(name), weight_variance=1.5, bias_variance=0.2)
    np.testing.assert_allclose(layer(group_gram(dense, sizes)).dense(), whole, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("spread", [1e-4, 1e-9, 1e-14])
def test_a_tight_cluster_opens_as_in_forty_digits(spread: float) -> None:
    """1 − J(1 − δ) of the ReLU within a tight group of a million points, beside an odd one."""
    sizes = np.array([1.0, 999_999])
    gram = GroupGram(sizes, np.array([2.0, 1]), np.array([[0.0, 3], [3, 2 * spread]]))
    after = GroupMap(False, False, activation("relu"))(gram)
    with mpmath.workdps(40):
        c = 1 - mpmath.mpf(spread)
        j = (mpmath.sqrt(1 - c * c) + (mpmath.pi - mpmath.acos(c)) * c) / mpmath.pi
        exact = float(1 - j)
    assert after.one_minus_cosines[1, 1] == pytest.approx(exact, rel=1e-12, abs=0)


def test_rescaling_orthogonal_points_by_hand() -> None:
    """ReLU of ẑ uniform on a sphere: lengths and directions of Gaussians are independent, so cosines are J(0) = 1/π."""
    n = 5
    gram = GroupGram(np.array([float(n)]), np.ones(1), np.full((1, 1), 2.0))
    after = GroupMap(False, True, activation("relu"))(gram)
    assert after.variances[0] == pytest.approx(0.5, rel=1e-12)
    np.testing.assert_allclose(1 - after.one_minus_cosines, 1 / np.pi, rtol=1e-12)


@pytest.mark.parametrize("tiny", [1.0, 1e-6, 1e-12, 0.0])
def test_rescaling_is_right_whatever_the_spectrum(tiny: float) -> None:
    """Linear, recentered pair of groups: E a ξ²/(a ξ² + b η²) = √a/(√a + √b) for one direction each."""
    sizes = np.array([1.0, 2])  # centred: one direction across, of 2/3 E, and one contrast, λ
    gram = GroupGram(sizes, np.ones(2), np.array([[0.0, 1 + tiny / 2], [1 + tiny / 2, 2 * tiny]]))
    across = 2 / 3
    after = GroupMap(True, True, activation("linear"))(gram)
    expected = 3 * np.sqrt(tiny) / (np.sqrt(tiny) + np.sqrt(across))
    assert after.contrasts[1] == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: checked_sizes([]), "from 1 on"),
        (lambda: checked_sizes([2, 0]), r"from 1 on, got \[2, 0\]"),
        (lambda: membership([1.5, 2]), "whole sizes"),
        (lambda: membership([3, 5000]), "5003 points is too large"),
        (lambda: group_gram(np.eye(4), [1, 2]), "add up to 3"),
        (lambda: GroupMap(True, True, activation("erf")), "degree 0 or 1"),
    ],
)
def test_what_must_fail_says_why(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()


def test_a_group_of_one_has_no_contrast() -> None:
    alone = GroupMatrix(np.array([1.0]), np.array([np.nan]), np.array([[4.0]]))
    assert alone.dense() == pytest.approx(4.0)
    assert alone.logdet == pytest.approx(np.log(4))
    assert alone.inverse().diagonal == pytest.approx(0.25)
