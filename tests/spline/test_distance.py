"""Distances to folds: exact to the nearest, against quadratic programs, edges of the partition and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import normscope as ns
from fingerprint import fingerprint
from normscope.spline import boundary_distance, local_complexity, partition, read
from reference.distances import dense, distance_to_border, edge_distances, facets, sides, small_conv, unit_distance

MODELS = {
    "mlp": (dense([3, 8, 7, 2]), (3,)),
    "leaky": (dense([2, 6, 6, 6, 1], activation=lambda: nn.LeakyReLU(0.1)), (2,)),
    "hardtanh": (dense([4, 6, 5, 2], activation=nn.Hardtanh), (4,)),
    "conv": (small_conv(), (1, 4, 4)),
    "pool": (nn.Sequential(nn.MaxPool2d(2, padding=1), nn.Flatten(), dense([9, 4, 2])), (1, 4, 4)),
}


def points_of(shape: tuple[int, ...], count: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", ["forward", "reverse", "auto"])
def test_first_order_distances_are_those_of_one_unit_at_a_time(name, mode):
    model, shape = MODELS[name]
    program, points = read(model, shape), points_of(shape)
    found = boundary_distance(model, points, mode=mode)
    for index in range(len(program.folds)):
        expected = [[unit_distance(unit) for unit in facets(program, point, index)] for point in points]
        np.testing.assert_allclose(found.first_order[index], expected, rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_nearest_is_the_distance_to_the_border_of_the_polytope(name):
    model, shape = MODELS[name]
    program, points = read(model, shape), points_of(shape, 3)
    found = boundary_distance(model, points)
    assert found.exact.all()
    for row, point in enumerate(points):
        functions = []
        for index in range(len(program.folds)):
            functions += [f for unit in facets(program, point, index) for f in unit if np.linalg.norm(f[1]) > 1e-13]
            assert found.nearest[row, index] == pytest.approx(distance_to_border(functions), rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_folds_inside_the_nearest_distance_and_something_just_beyond(name):
    model, shape = MODELS[name]
    program, points = read(model, shape), points_of(shape, 4)
    found = boundary_distance(model, points)
    for row, point in enumerate(points):
        for place in range(len(program.folds)):
            radius = found.nearest[row, place]
            directions = torch.randn(2000, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(row))
            directions /= directions.flatten(1).norm(dim=1).reshape(-1, *[1] * len(shape))
            here = sides(program, point[None])
            inside = sides(program, point + radius * (1 - 1e-9) * directions)
            assert all((inside[index] == here[index]).all() for index in range(place + 1))
            fold, unit = int(found.nearest_fold[row, place]), int(found.nearest_unit[row, place])
            value, gradient = min(
                (f for f in facets(program, point, fold)[unit] if np.linalg.norm(f[1])),
                key=lambda f: abs(f[0]) / np.linalg.norm(f[1]),
            )
            foot = -value * gradient / (gradient @ gradient) * (1 + 1e-6)
            beyond = sides(program, point[None] + torch.tensor(foot).reshape(1, *shape))
            assert beyond[fold][0, unit] != here[fold][0, unit]


def test_distances_to_single_units_against_the_edges_of_the_partition():
    """Proven ones are exact; the rest is wrong in both directions, but no closer than the ball that was proven."""
    model = dense([2, 12, 12, 1])
    pieces = partition(model, None, (-12, 12, -12, 12))
    points = np.random.default_rng(0).normal(size=(60, 2))
    found = boundary_distance(model, points)
    wrong, seen, closer, farther = 0, 0, 0, 0
    for index in range(2):
        true, first = edge_distances(pieces, points, index), found.first_order[index]
        in_window = (true < 8) | (first < 8)  # beyond 12 − 4 the window may hide an edge
        proven = found.proven(index)
        np.testing.assert_allclose(first[proven & in_window], true[proven & in_window], rtol=1e-9)
        assert (true >= np.minimum(found.earlier(index), 8)[:, None] * (1 - 1e-9))[~proven].all()
        off = ~np.isclose(first, true, rtol=1e-6) & in_window
        assert not (off & proven).any()
        wrong, seen = wrong + off.sum(), seen + in_window.sum()
        closer, farther = closer + (off & (first < true)).sum(), farther + (off & (first > true)).sum()
    # "some 40 % of cases on a small net": of both layers together. Set knowing the shares of other nets
    # (34 to 63 %): it guards against change, and is no evidence for the 40 %
    assert 0.3 < wrong / seen < 0.5
    assert min(closer, farther) > 0.1 * wrong


def test_what_is_sampled_is_an_upper_bound_and_says_so():
    model, points = dense([5, 40, 40, 2]), points_of((5,), 20)
    whole, some = boundary_distance(model, points), boundary_distance(model, points, units=10, seed=1)
    assert whole.exact.tolist() == [True, True]
    assert some.exact.tolist() == [False, False]
    assert [len(units) for units in some.units] == [10, 10]
    assert all((np.diff(units) > 0).all() for units in some.units)
    assert (some.nearest >= whole.nearest).all()
    assert (some.nearest > whole.nearest).any()
    for index in range(2):
        np.testing.assert_allclose(some.first_order[index], whole.first_order[index][:, some.units[index]], rtol=1e-12)
    assert some.proven(0).all()  # the first layer bends nowhere
    assert not some.proven(1).any()
    again = boundary_distance(model, points, units=10, seed=1)
    assert all((a == b).all() for a, b in zip(some.units, again.units, strict=True))
    other = boundary_distance(model, points, units=10, seed=2)
    assert any((a != b).any() for a, b in zip(some.units, other.units, strict=True))


def test_layers_by_name_and_pattern():
    model, points = dense([3, 6, 6, 6, 1]), points_of((3,))
    whole = boundary_distance(model, points)
    last = boundary_distance(model, points, layers="5")
    assert last.layers == ("5",)
    assert last.exact.tolist() == [False]
    np.testing.assert_array_equal(last.first_order[0], whole.first_order[2])
    first = boundary_distance(model, points, layers=["1", "3"])
    assert first.exact.tolist() == [True, True]
    np.testing.assert_array_equal(first.nearest, whole.nearest[:, :2])
    assert boundary_distance(model, points, layers="[13]").layers == ("1", "3")
    np.testing.assert_array_equal(whole.proven("3"), whole.proven(1))


def test_nothing_is_proven_behind_a_layer_that_was_left_out():
    model, points = dense([3, 6, 6, 6, 1]), points_of((3,))
    found = boundary_distance(model, points, layers=["1", "5"])
    assert found.exact.tolist() == [True, False]
    assert (found.earlier("5") == 0).all()
    assert not found.proven("5").any()
    assert not found.crossing(1.0).exact[:, 1].any()
    assert np.isinf(found.earlier("1")).all()


def test_a_unit_that_is_constant_is_nowhere():
    model = dense([2, 4, 4, 1])
    with torch.no_grad():
        model[0].weight[0] = 0.0
        model[0].bias[0] = 0.0
        model[2].weight[:] = 0.0
    found = boundary_distance(model, points_of((2,)))
    assert np.isinf(found.first_order[0][:, 0]).all()
    assert np.isinf(found.first_order[1]).all()
    np.testing.assert_array_equal(found.nearest[:, 1], found.nearest[:, 0])
    table = found.table()
    assert not table[["nearest", "closest"]].isna().any().any()


def test_whose_the_nearest_boundary_is():
    """Nobody's without one; of two folds with one boundary the first one's."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        nowhere = boundary_distance(model, torch.ones(1, 2))
        for linear in (model[0], model[2]):
            linear.weight[1, 1] = 1.0
    found = boundary_distance(model, torch.ones(1, 2))
    assert (nowhere.nearest_fold.tolist(), nowhere.nearest_unit.tolist()) == ([[-1, -1]], [[-1, -1]])
    assert (found.nearest_fold.tolist(), found.nearest_unit.tolist()) == ([[0, 0]], [[1, 1]])
    assert found.nearest.tolist() == [[1.0, 1.0]]


def test_dead_windows_of_max_pooling_are_nowhere():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[0].bias.fill_(-10.0)
    found = boundary_distance(model, points_of((1, 4, 4)))
    assert np.isinf(found.first_order[1]).all()


def test_entries_of_a_window_that_are_equal_but_for_rounding_never_change_places():
    """0.1 a + 0.2 a and 0.3 a."""
    model = nn.Sequential(
        nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Unflatten(1, (1, 2)), nn.MaxPool1d(2)
    )
    with torch.no_grad():
        model.double()
        model[0].weight.copy_(torch.tensor([[1.0, 0.7], [1.0, 0.7]], dtype=torch.float64))
        model[1].weight.copy_(torch.tensor([[0.1, 0.2], [0.3, 0.0]], dtype=torch.float64))
    points = points_of((2,), 50)
    values = model[:2](points).detach()
    assert (values[:, 0] != values[:, 1]).any()
    assert np.isinf(boundary_distance(model, points, mode="forward").first_order[0]).all()
    assert np.isinf(boundary_distance(model, points, mode="reverse").first_order[0]).all()
    assert local_complexity(model, points[:3], 5.0, method="exact").counts.sum() == 0


def test_a_point_on_a_boundary_has_distance_zero():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
        model[0].bias.zero_()
    found = boundary_distance(model, torch.tensor([[0.0, 3.0], [-4.0, 3.0]]))
    assert found.nearest.tolist() == [[0.0], [3.0]]
    assert found.nearest_unit.tolist() == [[0], [1]]


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_distances_scale_with_the_input(seed, scale):
    """x → x/s with the first weights times s is the same network, seen in other units."""
    model = dense([3, 5, 4, 2], seed=seed)
    points = points_of((3,), 4, seed)
    before = boundary_distance(model.double(), points)
    with torch.no_grad():
        model[0].weight.mul_(scale)
    after = boundary_distance(model, points / scale)
    np.testing.assert_allclose(after.nearest * scale, before.nearest, rtol=1e-9)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_nearest_falls_with_depth_and_never_by_more_than_the_distance_moved(seed):
    model = dense([4, 6, 6, 6, 2], seed=seed)
    points = points_of((4,), 2, seed)
    found = boundary_distance(model, points)
    assert (np.diff(found.nearest, axis=1) <= 0).all()
    # the distance to a closed set: Lipschitz with constant 1
    apart = float((points[0] - points[1]).norm())
    assert (np.abs(found.nearest[0] - found.nearest[1]) <= apart * (1 + 1e-9)).all()


def test_statistics_of_a_batch():
    linear, relu, head = dense([3, 6, 2]).double()
    model = nn.Sequential(linear, nn.BatchNorm1d(6), relu, head)
    batch = points_of((3,), 30, seed=5) + 1
    found = boundary_distance(model, batch[:4], batch=batch)
    z = linear(batch).detach()
    expected = (z[:4] - z.mean(0)).abs() / linear.weight.detach().norm(dim=1)
    np.testing.assert_allclose(found.first_order[0], expected.numpy(), rtol=1e-9)
    assert not np.allclose(found.first_order[0], boundary_distance(model, batch[:4]).first_order[0])


def test_a_residual_network():
    model = ns.models.cifar_resnet(depth=8, norm="batch")
    found = boundary_distance(model, torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), units=5)
    assert found.first_order[-1].shape == (2, 5)
    assert (found.nearest > 0).all()
    assert len(found.table()) == 2 * len(found.folds)


def test_the_model_stays_as_it_is_and_no_points_are_points():
    model = small_conv().train()
    before = fingerprint(model)
    boundary_distance(model, points_of((1, 4, 4)))
    assert fingerprint(model) == before
    assert boundary_distance(model, torch.empty(0, 1, 4, 4)).nearest.shape == (0, 4)


BAD = [
    (torch.zeros(3), {}, "samples come first"),
    (torch.tensor([[0.0, float("nan")]]), {}, "nan or infinity: first in row 0"),
    (np.array([["a", "b"]]), {}, "no array of numbers"),
    (torch.zeros(1, 2, dtype=torch.complex64), {}, "complex"),
    (torch.zeros(1, 2), {"layers": "relu"}, "no layer 'relu' folds in this model; there is 1, 3"),
    (torch.zeros(1, 2), {"layers": []}, "empty list"),
    (torch.zeros(1, 2), {"units": 0}, "at least 1, got 0"),
    (torch.zeros(1, 2), {"mode": "sideways"}, "mode is one of auto, forward, reverse, got 'sideways'"),
]


@pytest.mark.parametrize(("inputs", "options", "message"), BAD)
def test_bad_input_is_told_in_one_line(inputs, options, message):
    with pytest.raises((ValueError, TypeError), match=message) as error:
        boundary_distance(dense([2, 3, 3, 1]), inputs, **options)
    assert "\n" not in str(error.value)


def test_bad_programs():
    program = read(dense([2, 3, 1]), (2,))
    with pytest.raises(ValueError, match=r"inputs have shape \(1, 3\), this model takes \(n, 2\)"):
        boundary_distance(program, torch.zeros(1, 3))
    with pytest.raises(ValueError, match="has its statistics already"):
        boundary_distance(program, torch.zeros(1, 2), batch=torch.zeros(4, 2))
    with pytest.raises(ValueError, match="does not fold"):
        boundary_distance(nn.Linear(2, 2), torch.zeros(1, 2))
    found = boundary_distance(program, torch.zeros(1, 2))
    with pytest.raises(ValueError, match="no layer '7' among these folds"):
        found.proven("7")
    with pytest.raises(IndexError, match="folds 0 to 0, not 3"):
        found.proven(3)
