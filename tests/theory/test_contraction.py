"""Layers that shrink every batch: found by a bound, and confirmed by batches that go through them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normscope.theory import GramMap, activation, transitions
from normscope.theory.activations.numeric_kernel import NumericActivation
from normscope.theory.groups.contraction import takes_all_to_zero
from normscope.theory.groups.group_map import GroupMap

NUMERIC = ("tanh", "sigmoid", "softplus", "gelu", "silu", "elu")


def layer(phi: object, weight_variance: float = 1.0, *, recenter: bool = True) -> GroupMap:
    return GroupMap(recenter, False, activation(phi), weight_variance=weight_variance)  # type: ignore[arg-type]  # names


@pytest.mark.parametrize("name", [*NUMERIC, "sin"])
def test_with_weights_of_variance_one_every_batch_goes_to_zero(name: str) -> None:
    assert takes_all_to_zero(layer(name))
    for n in (2, 8, 32, 10**6):
        assert GramMap(True, False, name).fixed_points(n) == []
    assert transitions(True, False, name) == []


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "gelu", "silu"])
def test_a_slope_on_one_side_counts_half(name: str) -> None:
    assert takes_all_to_zero(layer(name, 2.0))
    for n in (2, 8, 32):
        assert GramMap(True, False, name, weight_variance=2.0).fixed_points(n) == []


SHRINKING = (("tanh", 1.0), ("gelu", 1.0), ("softplus", 1.0), ("gelu", 2.0), ("silu", 2.0), ("softplus", 2.0))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(-3, 3), which=st.sampled_from(SHRINKING))
def test_and_the_recentered_variance_of_a_batch_shrinks(seed: int, scale: float, which: tuple[str, float]) -> None:
    name, weight_variance = which
    points = np.random.default_rng(seed).standard_normal((4, 3)) * 10**scale
    centre = np.eye(4) - 1 / 4
    before = centre @ points @ points.T @ centre
    after = centre @ GramMap(True, False, name, weight_variance=weight_variance)(points @ points.T) @ centre
    assert np.trace(after) < np.trace(before)


@pytest.mark.parametrize(
    ("phi", "weight_variance"),
    [
        ("tanh", 1.1),  # grows near 0
        ("erf", 1.0),  # slope 2/√π at 0
        ("sigmoid", 16.5),
        (lambda x: np.maximum(x, 0.0), 2.1),
        ("gelu", 2.1),  # far out as the ReLU
        (lambda x: x, 1.0),  # every batch stays
        (lambda x: np.abs(x), 1.0),  # no rounding of ℓ decides
        (np.sign, 0.01),  # infinitely steep at 0
        (lambda x: x + np.where(np.abs(x - 3) < 0.1, 0.5, 0.0), 1.0),  # at one place only
        (lambda x: np.tanh(2000 * x) / 1000, 1.0),  # tanh(2x) in other units
        (lambda x: 0.5 * x + 1e-4 * np.tanh(1e5 * x), 1.0),  # steep only close to 0
        (lambda x: 0.7 + 0.5 * x + 1e-10 * np.tanh(1e10 * x), 1.0),  # closer, and behind an offset
        (lambda x: 0.5 * x + 1e-6 * x**2, 1.0),  # and only far out
        (lambda x: 1000 + x, 1.0),  # every batch stays, but for rounding at tiny x
        ("softplus", 2.0001),  # far out as the ReLU, and comes to it slowly
        ("elu", 1.0001),  # near 0 as the identity, likewise
    ],
)
def test_where_the_bound_does_not_hold_nothing_is_said(phi: object, weight_variance: float) -> None:
    assert not takes_all_to_zero(layer(phi, weight_variance))


@pytest.mark.parametrize(
    ("phi", "weight_variance"),
    [
        (lambda x: np.tanh(0.9e3 * x) / 1e3, 1.0),
        (lambda x: 1e3 * np.tanh(x / 1e3) + 5e3, 1.0),
        (lambda x: 2 / (1 + np.exp(-2 * np.clip(x, -300, 300))) - 1, 1.0),  # tanh, by a difference that cancels
    ],
)
def test_units_offset_and_rounding_change_nothing(phi: object, weight_variance: float) -> None:
    assert takes_all_to_zero(layer(phi, weight_variance))


def test_nor_without_recentering_or_where_the_scale_is_free() -> None:
    assert not takes_all_to_zero(layer("tanh", recenter=False))
    assert not takes_all_to_zero(GroupMap(True, False, activation("relu"), weight_variance=0.1))
    assert not takes_all_to_zero(GroupMap(True, True, activation("step")))


@pytest.mark.parametrize("name", NUMERIC)
def test_the_second_moment_over_one_variable_is_that_over_two(name: str) -> None:
    phi = activation(name)
    variances = np.array([[0.0, 1e-8, 0.01], [1.0, 40.0, 1e6]])
    np.testing.assert_allclose(phi.second_moment(variances), phi.kernel(variances, variances, variances), rtol=1e-10)


@pytest.mark.parametrize("name", ["erf", "sin", "relu", "step"])
def test_and_that_of_the_closed_form(name: str) -> None:
    exact = activation(name)
    numeric = NumericActivation(exact, "twin")
    variances = np.geomspace(1e-6, 30.0, 15)
    np.testing.assert_allclose(numeric.second_moment(variances), exact.second_moment(variances), rtol=1e-10)


def test_a_moment_that_does_not_exist_says_so() -> None:
    steep = NumericActivation(lambda x: np.exp(x**2 / 3000), "steep")
    assert np.isfinite(steep.second_moment(10.0))
    with pytest.raises(ValueError, match="grows too fast for Gaussian input of variance 2000"):
        steep.second_moment(np.array([1.0, 2000.0]))
