"""What random hyperplanes separate and how many regions they make: by hand, by many hyperplanes, by linear programs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normscope import theory
from reference import lineage as reference

# A frequency is held to its probability by five standard errors: by chance it fails in 6e-7 of all seeds.
SIGMAS = 5


def close_to_frequency(hits: np.ndarray, probability: float) -> bool:
    return abs(hits.mean() - probability) < SIGMAS * math.sqrt(probability * (1 - probability) / len(hits))


def test_angles_by_hand() -> None:
    points = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 5.0], [-3.0, 0.0], [1.0, 1e-12]])
    np.testing.assert_allclose(
        theory.separation_probability([1.0, 0.0], points), [0, 0.25, 0.5, 1, 1e-12 / math.pi], rtol=1e-12
    )
    assert theory.separation_probability([3.0, 4.0], [1.0, 2.0], [2.0, 3.0]) == 1  # g is their midpoint
    tiny = theory.separation_probability(np.array([1e-300, 0]), np.array([0, 1e300]))
    assert tiny == pytest.approx(0.5, rel=1e-14)


def test_frequency_with_which_two_points_are_separated() -> None:
    rng = np.random.default_rng(0)
    u, v, g = rng.standard_normal((3, 6))
    normals = rng.standard_normal((20_000, 6))
    hits = (normals @ (u - g) > 0) != (normals @ (v - g) > 0)
    assert close_to_frequency(hits, float(theory.separation_probability(u, v, g)))


@pytest.mark.parametrize(("points", "ratio"), [(1, 3.0), (4, 8.0), (10, 20.0)])
def test_clusters_are_separated_as_often_as_the_bounds_say(points: int, ratio: float) -> None:
    """Clusters on spheres around their centres, across the line of these, where the angles are largest."""
    rng = np.random.default_rng(1)
    offsets = rng.standard_normal((2, points, 5)) * np.array([0, 1, 1, 1, 1])
    offsets /= np.linalg.norm(offsets, axis=2, keepdims=True)
    first, second = offsets[0] + [ratio, 0, 0, 0, 0], offsets[1] - [ratio, 0, 0, 0, 0]
    sides = rng.standard_normal((20_000, 5)) @ np.concatenate([first, second]).T > 0
    separated = (sides[:, :points] == sides[:, :1]).all(1) & (sides[:, points:] == ~sides[:, :1]).all(1)
    failed = 1 - separated.mean()
    sharper = theory.sharper_cluster_separation_bound(points, ratio, 1)
    assert failed < sharper + SIGMAS * math.sqrt(0.25 / 20_000)
    assert sharper < theory.cluster_separation_bound(points, ratio, 1)


@given(st.integers(1, 10_000), st.floats(2.000001, 1e9))
def test_the_sharper_bound_is_below_the_published_one(points: int, ratio: float) -> None:
    published = theory.cluster_separation_bound(points, ratio, 1)
    assert 0 <= theory.sharper_cluster_separation_bound(points, ratio, 1) <= published <= 1
    vacuous = ratio <= 1 + 2 / math.pi * (2 * points - 1)
    assert (published == 1) == vacuous or math.isclose(published, 1, rel_tol=1e-12)


def test_one_pair_of_tangent_points_meets_the_sharper_bound() -> None:
    """One point a cluster, both turned away by the same angle in one plane: P[not separated] is 2/π · arcsin(δ/r)."""
    r, delta = 3.0, 1.0
    turn = math.asin(delta / r)
    u, v = np.array([math.cos(turn), math.sin(turn)]), np.array([-math.cos(turn), math.sin(turn)])
    failed = 1 - theory.separation_probability(u, v)
    assert failed == pytest.approx(theory.sharper_cluster_separation_bound(1, r, delta), rel=1e-12)


def test_balls_by_hand() -> None:
    """In one dimension always; on the circle 2/π · arccos(δ/r); on the sphere, where u_1 is uniform, 1 − δ/r."""
    found = theory.ball_separation_probability([1, 2, 3, 3], 10, [3, 3, 3, 0])
    np.testing.assert_allclose(found, [1, 2 / math.pi * math.acos(0.3), 0.7, 1], rtol=1e-13)


@pytest.mark.parametrize(("dimension", "space"), [(2, 2), (2, 5)])
def test_frequency_with_which_two_discs_are_separated(dimension: int, space: int) -> None:
    """Every point of a fine circle on its own side; in a larger space the discs are those of a plane."""
    rng, r, delta = np.random.default_rng(2), 2.0, 0.5
    angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    circle = np.zeros((2000, space))
    circle[:, 0], circle[:, 1] = delta * np.cos(angle), delta * np.sin(angle)
    centre = np.zeros(space)
    centre[0] = r
    normals = rng.standard_normal((4000, space))
    first, second = normals @ (circle + centre).T > 0, normals @ (circle - centre).T > 0
    hits = (first.all(1) & ~second.any(1)) | (~first.any(1) & second.all(1))
    assert close_to_frequency(hits, float(theory.ball_separation_probability(dimension, r, delta)))


@pytest.mark.parametrize("t", [0.1, 1.0, 3.0])
def test_wide_balls_go_to_the_limit_at_half_the_distance(t: float) -> None:
    """√K u_1 → Z: t = (δ/r)√K, with an error of order 1/K; √(2K), the sequel's, is another number."""
    errors = []
    for k in (1e3, 1e5):
        exact = theory.ball_separation_probability(k, math.sqrt(k), t)
        limit = theory.ball_separation_limit(k, math.sqrt(k), t)
        errors.append(abs(exact - limit))
        assert limit == pytest.approx(math.erfc(t / math.sqrt(2)), rel=1e-12)
        assert abs(exact - math.erfc(t)) > 100 * errors[-1] or t == 3.0
    assert errors[0] < 2e-3
    assert errors[1] == pytest.approx(errors[0] / 100, rel=0.02)


@pytest.mark.parametrize(("units", "inputs"), [(0, 2), (1, 1), (3, 1), (2, 2), (4, 2), (5, 2), (3, 3), (5, 3)])
@pytest.mark.parametrize("central", [False, True])
def test_regions_are_those_that_linear_programs_find(units: int, inputs: int, central: bool) -> None:
    rng = np.random.default_rng(units)
    normals = rng.standard_normal((units, inputs))
    offsets = normals @ rng.standard_normal(inputs) if central else rng.standard_normal(units)
    if units == 0:
        assert (theory.region_count(0, inputs, central=central), theory.bounded_region_count(0, inputs)) == (1, 0)
        return
    expected = reference.regions(normals, offsets)
    found = (
        theory.region_count(units, inputs, central=central),
        theory.bounded_region_count(units, inputs, central=central),
    )
    assert found == expected


@given(st.integers(0, 60), st.integers(1, 60))
def test_bounded_regions_need_more_units_than_inputs(units: int, inputs: int) -> None:
    assert (theory.bounded_region_count(units, inputs) > 0) == (units > inputs)
    assert theory.bounded_region_count(units, inputs, central=True) == 0
    assert theory.region_count(units, inputs, central=True) <= theory.region_count(units, inputs)
    # one hyperplane more cuts as many regions as the others make of it
    for central in (False, True):
        if units and inputs > 1:
            cut = theory.region_count(units, inputs - 1, central=central)
            more = theory.region_count(units + 1, inputs, central=central)
            assert more == theory.region_count(units, inputs, central=central) + cut


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.separation_probability([1.0, 0.0], [0.0, 0.0]), "coincides with the point"),
        (lambda: theory.separation_probability(1.0, [1.0, 0.0]), "points are vectors"),
        (lambda: theory.cluster_separation_bound(0, 3, 1), "at least 1 point, got 0"),
        (lambda: theory.cluster_separation_bound(2, 2, 1), "more than twice the spread"),
        (lambda: theory.sharper_cluster_separation_bound(2, 1, 1), "half distance 1 is not more than the spread 1"),
        (lambda: theory.ball_separation_probability(0.5, 2, 1), "at least 1 dimension, got 0.5"),
        (lambda: theory.ball_separation_probability(2, 1, 2), "half distance 1 is not more than the radius 2"),
        (lambda: theory.ball_separation_limit(2, 1, -1), "radius is at least 0, got -1"),
        (lambda: theory.region_count(-1, 2), "at least 0 units, got -1"),
        (lambda: theory.bounded_region_count(3, 0), "at least 1 input, got 0"),
    ],
)
def test_bad_input_is_told(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
