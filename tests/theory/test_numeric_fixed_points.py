"""Fixed points of activations without a closed kernel: searched with a coarse rule, found with the fine one."""

from __future__ import annotations

import numpy as np
import pytest

from normscope.theory import GroupMap, activation
from normscope.theory.activations.kernel import Activation
from normscope.theory.activations.numeric_kernel import NumericActivation
from normscope.theory.groups.chart import Chart
from normscope.theory.groups.fixed_points import fixed_points
from normscope.theory.groups.roots import Search

ERF = activation("erf")


TWIN = NumericActivation(ERF, "twin", ERF.derivative)


def layer(phi: Activation, weight_variance: float) -> GroupMap:
    return GroupMap(True, False, phi, weight_variance=weight_variance)


@pytest.mark.parametrize(("weight_variance", "sizes"), [(4.0, (8,)), (4.0, (1, 4)), (30.0, (1, 7))])
def test_are_those_of_the_closed_kernel(weight_variance: float, sizes: tuple[int, ...]) -> None:
    closed, found = (fixed_points(layer(phi, weight_variance), sum(sizes), sizes) for phi in (ERF, TWIN))
    assert len(found) == len(closed) > 0
    for point, other in zip(found, closed, strict=True):
        assert (point.kind, point.stable) == (other.kind, other.stable)
        np.testing.assert_allclose(point.groups.variances, other.groups.variances, rtol=1e-8)
        np.testing.assert_allclose(point.groups.distances, other.groups.distances, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(point.spectrum, other.spectrum, rtol=1e-6, atol=1e-8)
        assert point.residual < 1e-11


def test_the_coarse_rule_is_never_the_answer() -> None:
    """Its own fixed point lies beside the true one."""
    chart = Chart(np.array([1.0, 7.0]), recenter=True, tight=(1,))
    (true,) = Search(layer(ERF, 30.0), chart).roots()
    (found,) = Search(layer(TWIN, 30.0), chart).roots()
    (beside,) = Search(layer(TWIN.coarse(), 30.0), chart, converged=1e-6).roots()
    assert abs(found - true) < 1e-11
    assert 1e-7 < abs(beside - true) < 1e-3


@pytest.mark.parametrize("name", ["gelu", "tanh", "silu", "elu"])
def test_the_coarse_rule_has_some_four_digits(name: str) -> None:
    phi, rng = activation(name), np.random.default_rng(0)
    v1 = 10 ** rng.uniform(-3, 3, 40)
    v2 = v1 * 10 ** rng.uniform(-1, 1, 40)
    d = v1 + v2 - 2 * np.sqrt(v1 * v2) * rng.uniform(-1, 1, 40)
    np.testing.assert_allclose(phi.coarse().distance_kernel(v1, v2, d), phi.distance_kernel(v1, v2, d), rtol=1e-3)
    assert phi.coarse() != phi
    assert activation("relu").coarse() is activation("relu")


@pytest.mark.parametrize("name", ["tanh", "gelu", "sigmoid", "erf", "sin", "relu", "step"])
def test_the_slope_of_the_second_moment_is_its_derivative(name: str) -> None:
    phi, v = activation(name), np.array([0.01, 0.7, 20.0])
    step = 1e-4 * v
    difference = (phi.second_moment(v + step) - phi.second_moment(v - step)) / (2 * step)
    np.testing.assert_allclose(phi.second_moment_slope(v), difference, rtol=1e-6, atol=1e-9)
