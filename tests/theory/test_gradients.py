"""Gradient growth at fixed points: formulas of papers, independent routes, and wide random networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from normscope import theory
from normscope.theory.backward.gradients import backward_map, covariance
from normscope.theory.backward.sampled_gradients import _batch, sampled_growth
from normscope.theory.backward.sphere import RescaledExchangeable
from normscope.theory.backward.stationary import stationary
from normscope.theory.backward.symmetric import _rescaled_covariance
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import GroupGram, group_gram
from normscope.theory.layers.gram_map import GramMap
from reference.gradients import network_log_growth

BATCHES = [4, 5, 8, 32, 1000, 10**6]
COMBINATIONS = [(True, True), (True, False), (False, True), (False, False)]


def odd_point(n: int) -> GroupGram:
    found = theory.odd_point_configuration(n)
    assert found is not None
    r = found.norm_ratio
    across = r**2 + 1 - 2 * r * found.odd_cosine
    return GroupGram(
        np.array([1.0, n - 1]), np.array([r**2, 1.0]), np.array([[0, across], [across, 2 * (1 - found.cluster_cosine)]])
    )


def layer_output(layer: GramMap, n: int) -> GroupGram:
    """Its symmetric fixed point (without rescaling: of norm 1)."""
    groups = GroupMap(layer.recenter, layer.rescale, layer.phi, layer.weight_variance)
    gram = GroupGram(np.array([float(n)]), np.ones(1), np.full((1, 1), 2.0))
    for _ in range(200):
        gram = groups(gram)
        gram = gram if layer.rescale else gram.scaled(1 / gram.variances[0])
    return gram


@pytest.mark.parametrize("n", BATCHES)
def test_yang(n: int) -> None:
    assert GramMap(True, True, "relu").gradient_growth(n) == pytest.approx(theory.gradient_growth(n), rel=1e-11)
    assert GramMap(True, True, "linear").gradient_growth(n) == pytest.approx((n - 2) / (n - 3), rel=1e-11)
    assert GramMap(False, True, "linear").gradient_growth(n) == pytest.approx((n - 1) / (n - 2), rel=1e-11)


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("phi", ["relu", "leaky_relu:0.2", "leaky_relu:-0.5", "abs", "linear"])
def test_closed_forms_of_degree_one(n: int, phi: str) -> None:
    act, c = theory.activation(phi), -1 / (n - 1)
    a, b = float(act.derivative_kernel(1, 1, 1)), float(act.derivative_kernel(1, 1, c))
    m = float(act.distance_kernel(1, 1, 2 - 2 * c)) / 2
    both = ((n - 1) * a + b) / ((n - 3) * m) - 1 / (n - 3)
    assert GramMap(True, True, phi).gradient_growth(n) == pytest.approx(both, rel=1e-10)
    recentered = theory.symmetric_gradient_growth(GramMap(True, False, phi, weight_variance=3), n)
    assert recentered.growth == pytest.approx(3 * ((1 - 1 / n) * a + b / n), rel=1e-12)
    assert recentered.relative == pytest.approx(((1 - 1 / n) * a + b / n) / ((1 - 1 / n) * m), rel=1e-12)
    assert GramMap(False, False, phi, weight_variance=3).gradient_growth(n) == pytest.approx(3 * a, rel=1e-12)


def test_he_initialization_keeps_gradients() -> None:
    he = theory.symmetric_gradient_growth(GramMap(False, False, "relu", weight_variance=2), 32)
    assert (he.growth, he.forward, he.relative) == pytest.approx((1, 1, 1), rel=1e-14)


def test_large_batches_explode_alike_with_and_without_rescaling() -> None:
    recentered = theory.symmetric_gradient_growth(GramMap(True, False, "relu"), 10**7)
    assert recentered.relative == pytest.approx(math.pi / (math.pi - 1), rel=1e-6)


@pytest.mark.parametrize("weight_variance", [1.5, 4.0])
def test_tanh_without_normalization_is_schoenholz(weight_variance: float) -> None:
    """χ = σ_w² E φ'(√q z)² at q = σ_w² E φ(√q z)² + σ_b², by Gauss–Hermite quadrature and plain iteration."""
    z, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    q = 1.0
    for _ in range(3000):
        q = weight_variance * weights @ np.tanh(np.sqrt(q) * z) ** 2 + 0.1
    chi = weight_variance * weights @ (1 - np.tanh(np.sqrt(q) * z) ** 2) ** 2
    layer = GramMap(False, False, "tanh", weight_variance=weight_variance, bias_variance=0.1)
    assert layer.gradient_growth(8) == pytest.approx(chi, rel=1e-6)


def test_a_signal_that_dies_out_leaves_the_slope_at_zero() -> None:
    assert GramMap(True, False, "tanh", weight_variance=0.5).gradient_growth(8) == pytest.approx(0.5, rel=1e-8)


@pytest.mark.parametrize(("recenter", "rescale"), COMBINATIONS)
def test_no_other_second_moment_grows_faster(recenter: bool, rescale: bool) -> None:
    """The leading eigenvalue over all symmetric matrices, not only the exchangeable ones."""
    layer, n = GramMap(recenter, rescale, "leaky_relu:0.3"), 5
    gram = layer.iterate(np.eye(n), 400)[-1]
    whole = theory.gradient_growth_at(layer, group_gram(gram, [1] * n))
    assert whole.growth == pytest.approx(layer.gradient_growth(n), rel=1e-8)


@pytest.mark.parametrize("recenter", [True, False])
@pytest.mark.parametrize("n", [4, 8, 1000])
@pytest.mark.parametrize("phi", ["linear", "leaky_relu:0.2", "abs"])
def test_quadrature_over_directions_is_the_tilted_one(n: int, phi: str, recenter: bool) -> None:
    layer = GramMap(recenter, True, phi)
    pre = _rescaled_covariance(layer, np.array([float(n)]))
    by_directions = RescaledExchangeable(layer.phi, layer.phi.derivative, pre, recenter=recenter, order=40)
    growth = stationary(by_directions, pre.sizes, 1.0, 1.0).growth
    # of four points without recentering, ζ is dense at the end of its range: kinks that reach it converge algebraically
    assert growth == pytest.approx(layer.gradient_growth(n), rel=1e-5 if n == 4 and not recenter else 1e-7)


@pytest.mark.parametrize("recenter", [True, False])
@pytest.mark.parametrize("phi", ["tanh", "elu", "relu"])
def test_sampled_growth_has_the_error_it_states(phi: str, recenter: bool) -> None:
    """Against quadrature: six comparisons, |t| of 31 degrees of freedom, familywise error 1e-4."""
    layer, n = GramMap(recenter, True, phi), 8
    exact = theory.symmetric_gradient_growth(layer, n)
    sampled = sampled_growth(layer, _rescaled_covariance(layer, np.array([float(n)])))
    assert 0 < sampled.error < 0.02 * exact.growth
    assert abs(sampled.growth - exact.growth) < stats.t.isf(1e-4 / 12, 31) * sampled.error + exact.error


@pytest.mark.parametrize("recenter", [True, False])
def test_sampled_jacobian_by_finite_differences(recenter: bool) -> None:
    """J D Σ' D J for one draw, J D being the transposed derivative of tanh(normalization(z))."""
    generator = np.random.default_rng(0)
    z, factor = generator.standard_normal(6), generator.standard_normal((6, 6))
    z -= z.mean() * recenter

    def feature(x: np.ndarray) -> np.ndarray:
        x = x - x.mean() * recenter
        return np.tanh(x * np.sqrt(6) / np.linalg.norm(x))

    step = 1e-5
    pullback = np.array([(feature(z + step * e) - feature(z - step * e)) / (2 * step) for e in np.eye(6)])
    moment = factor @ factor.T
    pushed = _batch(GramMap(recenter, True, "tanh"), z[:, None], [moment], np.ones(6))[:, 0]
    np.testing.assert_allclose(pushed, (pullback @ moment @ pullback.T)[np.triu_indices(6)], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("phi", ["gelu", "tanh", "elu"])
def test_large_batches_grow_by_the_poincare_ratio(phi: str) -> None:
    """E φ'(z)² / Var φ(z), by Gauss–Legendre on both sides of 0."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    z = np.concatenate([5 * nodes - 5, 5 * nodes + 5])
    weights = np.tile(5 * weights, 2) * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    act = theory.activation(phi)
    variance = weights @ act(z) ** 2 - (weights @ act(z)) ** 2
    expected = weights @ act.derivative(z) ** 2 / variance
    assert expected > 1
    assert GramMap(True, True, phi).gradient_growth(10**7) == pytest.approx(expected, rel=1e-6)


def test_other_fixed_points_of_other_activations_are_sampled() -> None:
    layer = GramMap(True, True, "tanh")
    at = theory.gradient_growth_at(layer, group_gram(layer(np.eye(8)), [3, 5]))
    assert at.error > 0
    assert abs(at.growth - layer.gradient_growth(8)) < stats.t.isf(1e-6, 31) * at.error


@pytest.mark.parametrize("n", [8, 1000])
@pytest.mark.parametrize(("recenter", "rescale"), COMBINATIONS)
def test_the_stationary_moment_only_grows(recenter: bool, rescale: bool, n: int) -> None:
    """One more layer multiplies it by the growth; its trace is n."""
    layer = GramMap(recenter, rescale, "relu", weight_variance=2)
    grams = [layer_output(layer, n)] + ([odd_point(n)] if (recenter, rescale) == (True, False) else [])
    for gram in grams:
        at = theory.gradient_growth_at(layer, gram)
        after = backward_map(layer, covariance(layer, gram))(at.moment)
        assert at.moment.trace == pytest.approx(n)
        np.testing.assert_allclose(2 * after.blocks, at.growth * at.moment.blocks, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(2 * after.diagonal, at.growth * at.moment.diagonal, rtol=1e-9)


@pytest.mark.parametrize("n", [7, 12, 32, 1000])
def test_odd_point_by_groups_and_by_points(n: int) -> None:
    at = theory.gradient_growth_at(GramMap(True, False, "relu"), odd_point(n))
    assert at.growth < 0.5 < at.growth + 1 / n  # E φ'² = ½, and the recentering takes of it
    assert 1 < at.relative < 1 + 3 / n
    if n < 20:
        gram = odd_point(n).dense()
        points = theory.gradient_growth_at(GramMap(True, False, "relu"), group_gram(gram, [1] * n))
        assert points.growth == pytest.approx(at.growth, rel=1e-12)
        assert points.forward == pytest.approx(at.forward, rel=1e-12)
        np.testing.assert_allclose(points.moment.dense(), at.moment.dense(), atol=1e-9)


@pytest.mark.parametrize("n", [8, 32])
@pytest.mark.parametrize("k", [1, 3])
def test_tight_clusters_grow_as_they_drift_apart(n: int, k: int) -> None:
    """Relative growth n²/((n−k)² + k²): the factor by which 1 − cosine grows within the cluster."""
    across = (n - k) ** 2 + k**2
    distances = np.array([[0.0, across], [across, 0.0]])
    tight = GroupGram(np.array([k, n - k], float), np.array([(n - k) ** 2, k**2], float), distances)
    at = theory.gradient_growth_at(GramMap(True, False, "relu"), tight)
    assert at.growth == pytest.approx(0.5, rel=1e-12)
    assert at.relative == pytest.approx(n**2 / across, rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(
    combination=st.sampled_from(COMBINATIONS),
    slope=st.floats(-1, 1),
    n=st.integers(4, 200),
    weight_variance=st.floats(0.1, 10),
)
def test_relative_growth_has_no_weight_variance(
    combination: tuple[bool, bool], slope: float, n: int, weight_variance: float
) -> None:
    phi = f"leaky_relu:{slope}"
    plain = theory.symmetric_gradient_growth(GramMap(*combination, phi), n)
    scaled = theory.symmetric_gradient_growth(GramMap(*combination, phi, weight_variance=weight_variance), n)
    assert scaled.relative == pytest.approx(plain.relative, rel=1e-6)
    assert plain.relative >= 1 - 1e-9  # normalization or not, gradients do not shrink against activations
    assert np.linalg.eigvalsh(plain.moment.dense()).min() >= -1e-9


NETWORKS = [
    (True, True, "relu"),
    (True, False, "relu"),
    (False, True, "relu"),
    (True, True, "tanh"),
    (False, True, "linear"),
]


@pytest.mark.parametrize(("recenter", "rescale", "phi"), NETWORKS)
def test_wide_networks_grow_so(recenter: bool, rescale: bool, phi: str) -> None:
    """Ten layers of explicit weights, where gradients are as independent of the forward pass as they come to be.

    2 · mean(width 512) − mean(width 256) has no error of order 1/width; two-sided t test, familywise error 1e-4.
    """
    layer, n, seeds = GramMap(recenter, rescale, phi), 8, 24
    gram = layer(layer.iterate(np.eye(n), 60)[-1])
    expected = theory.symmetric_gradient_growth(layer, n)
    moment = expected.moment.dense()
    values = np.array(
        [
            [
                network_log_growth(gram, moment, phi, width, 10, 1000 * width + s, recenter=recenter, rescale=rescale)
                for s in range(seeds)
            ]
            for width in (256, 512)
        ]
    )
    extrapolated = 2 * values[1].mean() - values[0].mean()
    error = math.sqrt((4 * values[1].var(ddof=1) + values[0].var(ddof=1)) / seeds)
    assert error < 0.015
    limit = stats.t.isf(1e-4 / 2 / len(NETWORKS), seeds - 1)
    assert abs(extrapolated - math.log(expected.growth)) < limit * error


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GramMap(True, True).gradient_growth(3), r"recentering \+ rescaling \+ relu is finite from n = 4 on"),
        (lambda: GramMap(False, True).gradient_growth(2), "is finite from n = 3 on, got n = 2"),
        (lambda: GramMap(True, False).gradient_growth(1), "is finite from n = 2 on, got n = 1"),
        (lambda: GramMap(False, False).gradient_growth(0), "is finite from n = 1 on, got n = 0"),
        (lambda: GramMap(True, True, "step").gradient_growth(8), "'step' has a gradient of zero almost everywhere"),
        (
            lambda: GramMap(False, False, "gelu", weight_variance=3).gradient_growth(8),
            "activations of 'gelu' grow without bound",
        ),
        (
            lambda: theory.gradient_growth_at(
                GramMap(True, True), group_gram(np.kron(np.eye(2), np.ones((4, 4))), [4, 4])
            ),
            "spans 1 of the at least 3 directions",
        ),
        (
            lambda: theory.gradient_growth_at(GramMap(True, True, "tanh"), group_gram(np.eye(5), [2, 3])),
            "spans 4 of the at least 5 directions",
        ),
    ],
)
def test_bad_input_is_told(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
