"""One wide layer as a map of Gram matrices: simulation, many digits, symmetries, close points, depth, wrong input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy.stats import norm

from normscope import theory
from normscope.theory.layers.coordinates import principal_coordinates
from normscope.theory.layers.geometry import Geometry
from normscope.theory.layers.gram_map import GramMap
from normscope.theory.layers.rescaled import STEP, rescaled_kernel
from reference import theory as slow

COMBINATIONS = [(recenter, rescale) for recenter in (False, True) for rescale in (False, True)]
NAMES = ["linear", "relu", "leaky_relu:0.2", "abs", "erf", "sin", "step", "tanh", "gelu"]
DEGREE_ONE = ["linear", "relu", "leaky_relu:0.2", "abs"]


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(slow.DIGITS):
        yield


def wishart(n: int, d: int = 20, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).standard_normal((n, d)) * np.linspace(0.5, 2, n)[:, None]
    return points @ points.T / d


def test_the_map_is_what_random_features_have() -> None:
    """4 combinations, 9 activations, 10 entries, with bias and weight variance: familywise error 1e-6."""
    n, count, rng = 4, 60_000, np.random.default_rng(1)
    gram = wishart(n)
    bound = norm.isf(1e-6 / (2 * len(COMBINATIONS) * len(NAMES) * n * (n + 1) / 2))
    before = np.linalg.cholesky(1.5 * gram + 0.3) @ rng.standard_normal((n, count))
    for recenter, rescale in COMBINATIONS:
        z = before - before.mean(axis=0) if recenter else before
        z = z / np.sqrt(np.mean(z**2, axis=0)) if rescale else z
        for name in NAMES:
            layer = GramMap(recenter, rescale, name, weight_variance=1.5, bias_variance=0.3)
            expected, uncertain = layer.with_error(gram)
            features = layer.phi(z)
            measured = features @ features.T / count
            spread = np.sqrt((np.square(features) @ np.square(features).T / count - measured**2) / count)
            allowed = bound * np.hypot(spread, uncertain) + 1e-12
            assert np.all(np.abs(measured - expected) <= allowed), (recenter, rescale, name)


@pytest.mark.parametrize("recenter", [False, True])
@pytest.mark.parametrize("name", DEGREE_ONE)
def test_rescaled_points_in_a_plane_are_integrals_over_one_angle(recenter: bool, name: str) -> None:
    """Without the tilted Gaussians of the fast route. 1 − cos down to 1e-14, 1e-8 of every norm and every distance."""
    batches = [
        [("1", "0"), ("1", "1.4e-7")],
        [("0.8", "0.1"), ("-0.5", "0.9"), ("0.3", "-1.4")],
        [("1", "0"), ("1", "1e-6"), ("-2", "1.5")],
    ]
    if recenter:  # a tight cluster and an odd point: the origin is known from the distances alone
        batches.append([("4", "0"), ("1", "0"), ("1", "1e-7"), ("1.0000001", "2e-7"), ("0.9999999", "-1e-7")])
    for batch in batches:
        points = [[mpf(a) for a in point] for point in batch]
        geometry = Geometry(*slow.geometry_of(slow.gram_of(points)))
        if recenter:
            mean = [sum(column) / len(points) for column in zip(*points, strict=True)]
            points = [[a - b for a, b in zip(point, mean, strict=True)] for point in points]
        second, apart = slow.circle_rescaled(name, points)
        after = GramMap(recenter, True, name).step(geometry)
        np.testing.assert_allclose(after.variances, np.array(second, dtype=float), rtol=1e-12)
        np.testing.assert_allclose(after.distances, np.array(apart, dtype=float), rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize("name", DEGREE_ONE)
@pytest.mark.parametrize("shape", ["rank 1", "rank 2", "12 decades", "isotropic", "tight"])
@pytest.mark.parametrize("n", [2, 5, 32])
def test_halving_the_step_of_the_rescaling_integral_changes_nothing(name: str, shape: str, n: int) -> None:
    rng = np.random.default_rng(n)
    points = rng.standard_normal((n, n))
    points = {
        "rank 1": points[:, :1],
        "rank 2": points[:, :2],
        "12 decades": points * np.logspace(0, -6, n),
        "isotropic": np.eye(n),
        "tight": np.concatenate([np.full((n, 1), 3.0), 1e-7 * points], axis=1),
    }[shape]
    geometry = Geometry.from_points(points)
    axes = principal_coordinates(geometry.distances, geometry.variances)
    phi = GramMap(False, True, name).phi
    for coarse, fine in zip(rescaled_kernel(phi, axes, STEP), rescaled_kernel(phi, axes, STEP / 2), strict=True):
        np.testing.assert_allclose(coarse, fine, rtol=1e-10, atol=1e-25)
    # by construction Σ ẑ² = n: the mean of φ² is a² + b² whatever C is
    assert np.mean(rescaled_kernel(phi, axes)[0]) == pytest.approx(phi.odd**2 + phi.even**2, rel=1e-12)


@pytest.mark.parametrize("n", [3, 6])
def test_linear_rescaling_takes_square_roots_of_eigenvalues_of_a_plane(n: int) -> None:
    """Rank 2: E ẑẑᵀ = n Σ_k √λ_k u_k u_kᵀ / Σ √λ_k."""
    points = np.random.default_rng(0).standard_normal((n, 2)) * [1.0, 1e-3]
    u, s, _ = np.linalg.svd(points, full_matrices=False)
    np.testing.assert_allclose(
        GramMap(False, True, "linear")(points @ points.T), n * (u * s) @ u.T / s.sum(), atol=1e-8
    )
    after = GramMap(False, True, "linear").step(Geometry.from_points(points * math.sqrt(2)))
    np.testing.assert_allclose(after.gram, n * (u * s) @ u.T / s.sum(), atol=1e-12)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("name", ["relu", "tanh", "step", "abs"])
def test_points_on_a_line(rescale: bool, name: str) -> None:
    """Rank 1: with rescaling ẑ is ± one vector, without it x_i times a Gaussian."""
    x = np.array([1.0, -2.0, 0.5, 0.0])
    layer = GramMap(False, rescale, name)
    if rescale:
        z = x * 2 / np.linalg.norm(x)
        expected = sum(np.outer(layer.phi(side * z), layer.phi(side * z)) for side in (1, -1)) / 2
    else:
        nodes, weights = np.polynomial.legendre.leggauss(100)
        xi = 6 * (nodes + 1)
        weight = 6 * weights * norm.pdf(xi)
        features = [layer.phi(side * x[:, None] * xi) for side in (1, -1)]
        expected = sum(f * weight @ f.T for f in features)
    np.testing.assert_allclose(layer(np.outer(x, x)), expected, atol=1e-7)


@pytest.mark.parametrize("seed", range(20))
def test_low_rank_is_seen_through_rounding(seed: int) -> None:
    """A direction of 1e-16 that is none would change what is rescaled by 1e-8."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 40))
    x = rng.standard_normal(n) * 10 ** rng.uniform(-2, 2, n)
    z = x * np.sqrt(n) / np.linalg.norm(x)
    expected = (np.outer(np.maximum(z, 0), np.maximum(z, 0)) + np.outer(np.minimum(z, 0), np.minimum(z, 0))) / 2
    np.testing.assert_allclose(GramMap(False, True)(np.outer(x, x)), expected, atol=1e-12 * n)
    plane = Geometry.from_points(rng.standard_normal((n, 2)))
    assert principal_coordinates(plane.distances, plane.variances).shape == (n, 2)
    assert principal_coordinates(plane.distances, None).shape == (n, 2)


@pytest.mark.parametrize("n", [4, 8, 64, 256])
def test_full_batch_norm_has_the_fixed_point_of_yang(n: int) -> None:
    cosine = theory.symmetric_cosine(n)
    symmetric = np.eye(n) + cosine * (1 - np.eye(n))
    after = GramMap(True, True, "relu")(symmetric)
    np.testing.assert_allclose(after, symmetric / 2, rtol=1e-10)


@pytest.mark.parametrize("n", [7, 12, 64])
def test_the_odd_point_is_a_fixed_point(n: int) -> None:
    odd = theory.odd_point_configuration(n)
    assert odd is not None
    norms = np.array([odd.norm_ratio] + [1.0] * (n - 1))
    cosines = np.full((n, n), odd.cluster_cosine)
    cosines[0, 1:] = cosines[1:, 0] = odd.odd_cosine
    np.fill_diagonal(cosines, 1)
    path = GramMap(True, False).iterate(cosines * np.outer(norms, norms), 3)
    np.testing.assert_allclose(path[3], path[0], atol=1e-12 * n)


@pytest.mark.parametrize("recenter", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_forty_layers_from_a_cluster_of_cosine_one_minus_1e_14(recenter: bool, slope: float) -> None:
    """An odd point and five that nearly coincide, in 50 digits: 1 − cosine is right to 1e-9 at every layer."""
    rng = np.random.default_rng(1)
    points = [
        [mpf(5 * (i == 0)), mpf(i > 0)] + [mpf(float(x)) * mpf("1e-7") for x in rng.standard_normal(5)]
        for i in range(6)
    ]
    gram = slow.gram_of(points)
    path, _ = GramMap(recenter, False, f"leaky_relu:{slope}").iterate_geometry(Geometry(*slow.geometry_of(gram)), 40)
    assert slow.one_minus_cosine(gram)[1:, 1:][~np.eye(5, dtype=bool)].min() < 2e-14
    for computed in path.one_minus_cosine:
        np.testing.assert_allclose(computed, slow.one_minus_cosine(gram), rtol=1e-9, atol=1e-30)
        gram = slow.relu_layer(gram, recenter, slope)


@pytest.mark.parametrize("rank", [3, 7])
@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_alike_directions_need_no_sampling(name: str, rank: int) -> None:
    """Exchangeable points behind recentering, orthogonal ones: quadrature on the sphere against uniform directions."""
    n, recenter = (rank + 1, True) if rank == 7 else (rank, False)
    layer = GramMap(recenter, True, name)
    exact, error = layer.with_error(np.eye(n))
    assert error.max() < 1e-10
    z = np.random.default_rng(0).standard_normal((200_000, n))
    z = z - z.mean(axis=1, keepdims=True) if recenter else z
    features = layer.phi(z * np.sqrt(n) / np.linalg.norm(z, axis=1, keepdims=True))
    product = features[:, 0] * features[:, 1]
    bound = norm.isf(1e-6 / 16)  # two entries, two tails, four cases
    for sample, value in ((product, exact[0, 1]), (features[:, 0] ** 2, exact[0, 0])):
        assert abs(sample.mean() - value) <= bound * sample.std() / math.sqrt(len(sample))


def test_sampling_converges_to_quadrature() -> None:
    """The ReLU as a function of one's own has degree None and is sampled: errors are within 6 standard errors.

    Of 16 replicates their ratio is about Student's t with 15 degrees of freedom: beyond 6 with probability 2.4e-5, over
    21 entries 5e-4.
    """
    sampled = GramMap(True, True, lambda x: np.maximum(x, 0))
    gram = wishart(6)
    value, error = sampled.with_error(gram)
    assert 0 < error.max() < 5e-3
    assert np.all(np.abs(value - GramMap(True, True, "relu")(gram)) <= 6 * error)
    np.testing.assert_array_equal(value, sampled(gram))


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 7),
    rank=st.integers(1, 7),
    kind=st.sampled_from(COMBINATIONS),
    name=st.sampled_from(["linear", "relu", "abs", "erf", "sin", "step"]),
)
@settings(max_examples=60, deadline=None)
def test_output_is_a_gram_matrix_and_follows_permutations_and_scale(
    seed: int, n: int, rank: int, kind: tuple[bool, bool], name: str
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((n, rank))
    gram, order = points @ points.T, rng.permutation(n)
    layer = GramMap(*kind, name)
    if layer.rescale and layer.phi.degree is None:
        layer = GramMap(kind[0], False, name)
    after = layer(gram)
    size = np.abs(after).max() + 1e-300
    np.testing.assert_array_equal(after, after.T)
    assert np.linalg.eigvalsh(after)[0] >= -1e-12 * size * n
    # of the rank, rounding decides: what it changes goes like its root for kinks and for rescaling
    np.testing.assert_allclose(layer(gram[np.ix_(order, order)]), after[np.ix_(order, order)], atol=3e-7 * size)
    if layer.phi.degree is not None:
        power = 0 if layer.rescale else layer.phi.degree
        np.testing.assert_allclose(layer(4e6 * gram), 4e6**power * after, atol=3e-7 * 4e6**power * size)


def test_batches_of_matrices() -> None:
    grams = np.stack([[wishart(4, seed=k) for k in (0, 1)], [wishart(4, seed=k) for k in (2, 3)]])
    for recenter, rescale in COMBINATIONS:
        layer = GramMap(recenter, rescale)
        after, (path, log_scale) = layer(grams), layer.iterate(grams, 2, return_log_scale=True)
        assert path.shape == (3, 2, 2, 4, 4)
        assert log_scale.shape == (3, 2, 2)
        for index in np.ndindex(2, 2):
            np.testing.assert_allclose(after[index], layer(grams[index]), rtol=1e-13)
            np.testing.assert_allclose(path[:, *index], layer.iterate(grams[index], 2), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ["relu", "step", "erf", "gelu"])
@pytest.mark.parametrize(("recenter", "rescale"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("bias", [0.0, 0.2])
def test_iterate_is_the_map_again_and_again(name: str, recenter: bool, rescale: bool, bias: float) -> None:
    rescale = rescale and name in ("relu", "step")
    layer = GramMap(recenter, rescale, name, weight_variance=1.7, bias_variance=bias)
    now = wishart(5)
    path, log_scale = layer.iterate(now, 5, return_log_scale=True)
    np.testing.assert_allclose(np.trace(path, axis1=1, axis2=2), 5)
    for shape, scale in zip(path, log_scale, strict=True):
        np.testing.assert_allclose(np.exp(scale) * shape, now, rtol=1e-9, atol=1e-12)
        now = layer(now)


def test_ten_thousand_layers_neither_vanish_nor_overflow() -> None:
    """RC + ReLU at the symmetric point: recentering leaves (1 − J)(n − 1)/n of the norms and the ReLU half of that."""
    n, depth, starts = 4, 10_000, np.array([1e-300, 1.0, 1e300])
    cosine = theory.symmetric_cosine(n)
    symmetric = np.eye(n) + cosine * (1 - np.eye(n))
    path, log_scale = GramMap(True, False).iterate(starts[:, None, None] * symmetric, depth, return_log_scale=True)
    np.testing.assert_allclose(path[-1], np.stack([symmetric] * 3), rtol=1e-10)
    factor = (1 - cosine) * (n - 1) / n / 2
    np.testing.assert_allclose(log_scale[-1], np.log(starts) + depth * math.log(factor), rtol=1e-12)


def test_the_scale_of_a_smooth_activation_leaves_float64() -> None:
    """Tiny input sees the slope of GELU at 0, 1/2; huge input a ReLU. A bounded one forgets the scale."""
    path, log_scale = GramMap(False, False, "gelu").iterate(np.eye(3), 1100, return_log_scale=True)
    assert log_scale[-1] - log_scale[-2] == pytest.approx(math.log(1 / 4), rel=1e-9)
    assert log_scale[-1] < -1500
    np.testing.assert_allclose(path[-1], path[-2], atol=1e-12)
    _, grown = GramMap(False, False, "gelu", weight_variance=4.0).iterate(np.eye(3), 1100, return_log_scale=True)
    assert grown[-1] - grown[-2] == pytest.approx(math.log(2), rel=1e-3)
    assert grown[-1] > 740
    with pytest.raises(OverflowError, match=r"grew to e\*\*\d+ and <lambda> is not homogeneous there"):
        GramMap(False, False, lambda x: x * np.log1p(np.abs(x))).iterate(np.eye(2) * 1e60, 200)


def test_points_that_coincide() -> None:
    same = np.ones((3, 3))
    np.testing.assert_array_equal(GramMap(True, False)(same), np.zeros((3, 3)))
    np.testing.assert_allclose(GramMap(True, False, "sigmoid")(same), np.full((3, 3), 0.25), rtol=1e-13)
    path, log_scale = GramMap(True, False).iterate(same, 3, return_log_scale=True)
    np.testing.assert_array_equal(path[1:], 0)
    np.testing.assert_array_equal(log_scale[1:], -np.inf)
    np.testing.assert_allclose(GramMap(False, True)(same), same / 2)
    # duplicates stay duplicates
    points = np.array([[1.0, 2.0], [1.0, 2.0], [0.3, -1.0]])
    for recenter, rescale in COMBINATIONS:
        after = GramMap(recenter, rescale).step(Geometry.from_gram(points @ points.T))
        assert after.distances[0, 1] == 0
        assert after.distances[0, 2] > 0.1


def test_one_point_two_points_and_a_point_at_the_mean() -> None:
    assert GramMap(False, False)([[2.0]]) == pytest.approx(1.0)
    assert GramMap(False, True)([[2.0]]) == pytest.approx(0.5)
    assert GramMap(True, False)([[2.0]]) == 0
    # two points behind batch norm are ±1
    np.testing.assert_allclose(GramMap(True, True)(wishart(2)), np.eye(2) / 2, atol=1e-14)
    np.testing.assert_allclose(GramMap(True, True, "linear")(wishart(2)), [[1, -1], [-1, 1]], atol=1e-14)
    middle = np.array([[-1.0], [0.0], [1.0]])
    np.testing.assert_allclose(GramMap(True, True)(middle @ middle.T), np.diag([0.75, 0, 0.75]), atol=1e-12)


def test_the_rounding_of_float32_passes() -> None:
    points = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    rough, gram = (points @ points.T).astype(np.float64), points.astype(np.float64) @ points.T.astype(np.float64)
    np.testing.assert_allclose(GramMap(True, False)(rough), GramMap(True, False)(gram), atol=1e-5)


def test_repr_is_the_call() -> None:
    layer = GramMap(True, False, "leaky_relu:0.2", weight_variance=2.0)
    assert eval(repr(layer)) == layer
    assert repr(layer).startswith(
        "GramMap(recenter=True, rescale=False, activation='leaky_relu:0.2', weight_variance=2.0"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GramMap(True, False, "rleu"), "unknown activation 'rleu'"),
        (lambda: GramMap(True, False, weight_variance=0), "weight_variance is positive and finite, got 0"),
        (lambda: GramMap(True, False, bias_variance=-1), "bias_variance is finite and at least 0, got -1"),
        (lambda: GramMap(True, False)(np.ones((2, 3))), r"square, \(..., n, n\), got shape \(2, 3\)"),
        (lambda: GramMap(True, False)(3.0), r"got shape \(\)"),
        (lambda: GramMap(True, False)(np.full((2, 2), np.nan)), "finite, got nan or infinity"),
        (
            lambda: GramMap(True, False)([[1, 0.5], [0.2, 1]]),
            "symmetric, got entries that differ from their mirror by 0.3",
        ),
        (lambda: GramMap(True, False)([[1, 2], [2, 1]]), "positive semidefinite, got eigenvalue -1"),
        (lambda: GramMap(True, False)([[-1, 0], [0, 1]]), "positive semidefinite, got diagonal entry -1"),
        (lambda: GramMap(True, False)([[0, 0.5], [0.5, 1]]), "point of norm 0 is 0|symmetric"),
        (lambda: GramMap(True, True)(np.ones((3, 3))), "nothing to rescale: all points are 0, or coincide"),
        (lambda: GramMap(False, True)(np.zeros((3, 3))), "nothing to rescale"),
        (lambda: GramMap(True, True)([[1.0]]), "nothing to rescale"),
        (lambda: GramMap(True, False).iterate(np.eye(2), -1), "depth is at least 0, got -1"),
        (lambda: Geometry(np.ones(2), np.ones((3, 3))), r"got \(2,\) and \(3, 3\)"),
        (lambda: Geometry.from_points(np.ones(3)), r"one row a point, got shape \(3,\)"),
    ],
)
def test_bad_input_is_told(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
