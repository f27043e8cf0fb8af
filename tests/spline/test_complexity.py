"""Units that cross a ball: exact ones against the edges of a partition, sampled points and themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from normscope.spline import (
    TooManyRegions,
    boundary_distance,
    disc_complexity,
    local_complexity,
    partition,
    read,
)
from normscope.spline.distances.cells import HalfSpaces, closest_point, part_of, whole_ball
from reference.distances import dense, in_ball, sides, small_conv, to_segment


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from([nn.ReLU, nn.Hardtanh, lambda: nn.LeakyReLU(0.2), nn.ReLU6]),
    radius=st.floats(0.05, 1.5),
)
def test_exact_counts_in_the_plane_are_those_of_the_partition(seed, kind, radius):
    """Two ways that share nothing: regions of a ball by quadratic programs, and edges of a slice that cross a disc."""
    model = dense([2, 5, 5, 4, 1], activation=kind, seed=seed)
    points = np.random.default_rng(seed).normal(size=(3, 2))
    exact = local_complexity(model, points, radius, method="exact")
    disc = disc_complexity(partition(model, None, (-8, 8, -8, 8)), points, radius)
    np.testing.assert_array_equal(exact.counts, disc.counts)
    first = local_complexity(model, points, radius)
    np.testing.assert_array_equal(first.counts[first.exact], exact.counts[first.exact])
    assert (first.at_least <= exact.counts).all()
    assert first.exact[:, 0].all()


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_integer_weights_where_lines_meet_and_coincide(seed):
    """Small integers: lines through one point, twice the same line, units that are constant. No unit is lost."""
    rng = np.random.default_rng(seed)
    model = dense([2, 5, 4, 1])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.tensor(rng.integers(-1, 2, parameter.shape)))
    centers = rng.uniform(-1.5, 1.5, size=(2, 2))
    exact = local_complexity(model, centers, 1.0, method="exact")
    disc = disc_complexity(partition(model, None, (-4, 4, -4, 4)), centers, 1.0)
    # an edge is told with one of the units that share it, or with an earlier fold's
    assert (exact.counts >= disc.counts).all()
    program = read(model, (2,))
    for row, center in enumerate(torch.tensor(centers)):
        z = program.arguments(in_ball(center, 1.0, 4000, seed))
        for index in range(2):
            crossed = ((z[index] > 1e-6).any(0) & (z[index] < -1e-6).any(0)).sum()
            assert crossed <= exact.counts[row, index]


@pytest.mark.parametrize("seed", range(3))
def test_exact_counts_with_pooling_hold_all_that_samples_find(seed):
    model = small_conv(seed)
    program = read(model, (1, 4, 4))
    point = torch.randn(1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    radius = float(boundary_distance(program, point[None]).nearest[0, -1]) * 3
    exact = local_complexity(program, point[None], radius, method="exact")
    samples = sides(program, in_ball(point, radius * (1 - 1e-9), 100_000))
    found = [int((part.min(0) != part.max(0)).sum()) for part in samples]
    assert (exact.counts[0] >= found).all()
    assert exact.counts.sum() >= 1
    # no more than what comes within the radius in some region that the samples are in
    few = in_ball(point, radius, 300, seed=1)
    reach = boundary_distance(program, few)
    near = np.linalg.norm((few - point).flatten(1).numpy(), axis=1)
    for place in range(len(program.folds)):
        may = (reach.first_order[place] < radius + near[:, None]).any(0).sum()
        assert exact.counts[0, place] <= may


def test_a_ball_inside_one_region_and_one_that_grazes_a_boundary():
    model = dense([3, 6, 6, 2])
    point = torch.zeros(1, 3, dtype=torch.float64)
    nearest = boundary_distance(model, point).nearest[0, -1]
    for method in ("first_order", "exact"):
        below = local_complexity(model, point, nearest * (1 - 1e-6), method=method)
        above = local_complexity(model, point, nearest * (1 + 1e-6), method=method)
        assert below.counts.sum() == 0
        assert above.counts.sum() == 1


def test_units_that_earlier_folds_decide():
    """Both sides along an earlier fold count, though no region has both; zero on one side of it is no side."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        model[2].weight.copy_(torch.tensor([[1.0, -1.0], [1.0, 0.0]]))  # x, and the positive part of x
    found = local_complexity(model, torch.tensor([[0.1, 0.0], [0.6, 0.0]]), 0.5, method="exact")
    assert found.counts.tolist() == [[2, 1], [0, 0]]


def test_a_window_whose_entries_die_does_not_fold_and_one_whose_largest_changes_does():
    pooled = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Unflatten(1, (1, 2)), nn.MaxPool1d(2))
    with torch.no_grad():
        pooled[0].weight.copy_(torch.eye(2))
        pooled[0].bias.zero_()
    # one entry becomes positive; both are and change places; neither is
    centers = torch.tensor([[0.1, -3.0], [2.0, 2.1], [-2.0, -2.0]])
    found = local_complexity(pooled, centers, 1.0, method="exact")
    assert found.counts.tolist() == [[1, 0], [0, 1], [0, 0]]


def test_first_order_counts_and_their_table():
    model = dense([4, 8, 8, 2])
    points = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    distances = boundary_distance(model, points)
    found = local_complexity(model, points, 0.4)
    expected = np.stack([(part < 0.4).sum(1) for part in distances.first_order], 1)
    np.testing.assert_array_equal(found.counts, expected)
    np.testing.assert_array_equal(found.exact[:, 1], distances.nearest[:, 0] >= 0.4)
    assert found.method == "first_order"
    table = found.table()
    assert list(table["layer"][:2]) == ["1", "3"]
    np.testing.assert_array_equal(table["count"], expected.ravel())
    assert (found.estimate == found.counts).all()


def test_counts_of_sampled_units_are_scaled_up():
    model = dense([4, 200, 2])
    points = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    whole, some = local_complexity(model, points, 0.5), local_complexity(model, points, 0.5, units=50, seed=3)
    assert (some.looked_at.tolist(), some.units.tolist()) == ([50], [200])
    assert some.counts.max() <= 50
    np.testing.assert_array_equal(some.estimate, some.counts * 4.0)
    # the mean over points of the share is that of 50 of 200 units drawn without replacement; 5 standard errors
    shares = (boundary_distance(model, points).first_order[0] < 0.5).mean(0)
    error = np.sqrt(shares.var(ddof=1) / 50 * (1 - 50 / 200))
    assert abs(some.estimate.mean() - whole.counts.mean()) < 5 * 200 * error


def test_counts_of_one_layer():
    model, points = dense([2, 6, 6, 6, 1]), torch.zeros(1, 2)
    whole = local_complexity(model, points, 0.7, method="exact")
    middle = local_complexity(model, points, 0.7, method="exact", layers="3")
    assert middle.layers == ("3",)
    np.testing.assert_array_equal(middle.counts, whole.counts[:, 1:2])


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 7), dimension=st.integers(1, 4))
def test_closest_points_meet_all_conditions_and_none_is_closer(seed, rows, dimension):
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(rows, dimension))
    bounds = HalfSpaces(normals / np.linalg.norm(normals, axis=1, keepdims=True), rng.uniform(-1, 0.9, rows))
    found = closest_point(bounds)
    samples = rng.normal(size=(3000, dimension))
    samples *= (rng.uniform(size=3000) ** (1 / dimension) / np.linalg.norm(samples, axis=1))[:, None]
    meets = (samples @ bounds.normals.T >= bounds.offsets).all(1)
    if found is None:
        assert not meets.any()
        return
    assert (bounds.normals @ found >= bounds.offsets - 1e-12).all()
    assert np.linalg.norm(found) < 1
    assert (np.linalg.norm(samples[meets], axis=1) >= np.linalg.norm(found) - 1e-12).all()
    part = part_of(whole_ball(dimension), bounds)
    assert part is not None
    assert (bounds.normals @ part.point >= bounds.offsets - 1e-12).all()


def test_discs_against_segments_one_by_one():
    model = dense([2, 6, 5, 1], seed=3)
    pieces = partition(model, None, (-3, 3, -3, 3))
    centers = np.random.default_rng(0).uniform(-2, 2, size=(10, 2))
    found = disc_complexity(pieces, centers, 0.5)
    for row, center in enumerate(centers):
        units = {
            (fold, unit)
            for start, end, fold, unit in pieces.edges[["start", "end", "fold", "unit"]].itertuples(index=False)
            if fold >= 0 and to_segment(center, pieces.vertices[start], pieces.vertices[end]) < 0.5
        }
        assert found.counts[row].tolist() == [sum(fold == index for fold, _ in units) for index in range(2)]
    assert found.method == "slice"
    assert found.exact.all()


def test_too_many_regions_is_told():
    model = dense([4, 30, 30, 1])
    with pytest.raises(
        TooManyRegions, match=r"more than 50 regions within 2 of point 0: take a smaller radius"
    ) as error:
        local_complexity(model, torch.zeros(1, 4), 2.0, method="exact", budget=50)
    assert "\n" not in str(error.value)


def test_the_budget_is_the_number_of_regions():
    """Three lines that cross one another inside the disc: seven regions."""
    model = dense([2, 3, 3, 1])
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        model[0].bias.copy_(torch.tensor([0.0, 0.0, 0.1]))
    found = local_complexity(model, torch.zeros(1, 2), 1.0, method="exact", budget=7)
    assert found.counts[0, 0] == 3
    with pytest.raises(TooManyRegions, match="more than 6 regions"):
        local_complexity(model, torch.zeros(1, 2), 1.0, method="exact", budget=6)


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_radii(radius):
    model = dense([2, 3, 1])
    pieces = partition(model, None, (-1, 1, -1, 1))
    calls = [
        lambda: local_complexity(model, torch.zeros(1, 2), radius),
        lambda: disc_complexity(pieces, [[0, 0]], radius),
        lambda: boundary_distance(model, torch.zeros(1, 2)).crossing(radius),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="radius is a positive, finite distance"):
            call()


def test_bad_input_is_told_in_one_line():
    model = dense([2, 3, 1])
    pieces = partition(model, None, (-1, 1, -1, 1))
    with pytest.raises(ValueError, match="method is 'first_order' or 'exact', got 'fast'"):
        local_complexity(model, torch.zeros(1, 2), 1.0, method="fast")
    with pytest.raises(ValueError, match="leave units out"):
        local_complexity(model, torch.zeros(1, 2), 1.0, method="exact", units=2)
    with pytest.raises(ValueError, match=r"disc of radius 0.5 around center 1 leaves the window"):
        disc_complexity(pieces, [[0, 0], [0.6, 0]], 0.5)
    with pytest.raises(ValueError, match=r"points have shape \(2,\)"):
        disc_complexity(pieces, [0, 0], 0.5)
    with pytest.raises(ValueError, match="no layer 'x' folds"):
        local_complexity(model, torch.zeros(1, 2), 1.0, method="exact", layers="x")


def test_a_partition_that_was_stopped_is_refused():
    with pytest.warns(RuntimeWarning, match="not complete"):
        pieces = partition(dense([2, 20, 20, 1]), None, (-3, 3, -3, 3), max_regions=300)
    with pytest.raises(ValueError, match="stopped before its last fold"):
        disc_complexity(pieces, [[0, 0]], 0.5)
