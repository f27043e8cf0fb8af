"""The two-group model against the layer on whole Gram matrices."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from normscope.theory.layers.gram_map import GramMap
from normscope.theory.phases.indicative import TwoGroups

mpl.use("Agg")

COORDINATE = st.floats(0.0, 0.99)


def dense_coordinates(gram: np.ndarray, k: int) -> np.ndarray:
    """λ/(λ + e) from the points themselves: half the squared distance within, squared distance of the means."""
    values, vectors = np.linalg.eigh(gram)
    points = vectors * np.sqrt(np.maximum(values, 0))
    groups = points[:k], points[k:]
    apart = np.sum((groups[0].mean(0) - groups[1].mean(0)) ** 2)
    within = [np.sum((g[0] - g[1]) ** 2) / 2 for g in groups if len(g) > 1]
    return np.array([w / (w + apart) for w in within])


@given(st.integers(1, 4), st.integers(2, 6), COORDINATE, COORDINATE, st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_model_is_the_layer_on_batches_of_two_groups(k: int, rest: int, a: float, b: float, rescale: bool) -> None:
    model = TwoGroups((k, rest), rescale=rescale)
    point = np.array([a, b][: model.dimension])
    gram = model.gram(point)
    np.testing.assert_allclose(dense_coordinates(gram, k), point, atol=1e-7)
    np.testing.assert_allclose(model.step(point), dense_coordinates(model.layer(gram), k), atol=1e-7)


@pytest.mark.parametrize("sizes", [(1, 8), (3, 6)])
@pytest.mark.parametrize("phi", ["relu", "leaky_relu:0.3", "abs"])
def test_trajectories_are_those_of_whole_batches(sizes: tuple[int, int], phi: str) -> None:
    model = TwoGroups(sizes, activation=phi)
    start = np.full(model.dimension, 0.3)
    full = GramMap(True, False, phi).iterate(model.gram(start), 30)
    np.testing.assert_allclose(model.trajectory(start, 30), model.coordinates(full), atol=1e-8)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("sizes", [(1, 9), (2, 8), (5, 5)])
def test_fixed_points_stay_and_one_of_them_is_exchangeable(sizes: tuple[int, int], rescale: bool) -> None:
    model = TwoGroups(sizes, rescale=rescale)
    np.testing.assert_allclose(model.step(model.exchangeable), model.exchangeable, rtol=1e-10)
    symmetric, *others = model.fixed_points
    assert symmetric.kind == "symmetric"
    np.testing.assert_array_equal(model.place(symmetric), model.exchangeable)
    assert others
    for point in others:
        np.testing.assert_allclose(model.step(model.place(point)), model.place(point), atol=1e-9)


def test_the_field_vanishes_between_its_signs_at_fixed_points() -> None:
    model = TwoGroups((1, 31))
    grid, change = model.field(400, 1e-6, 0.9)
    turns = grid[:-1, 0][np.sign(change[:-1, 0]) != np.sign(change[1:, 0])]
    places = sorted(float(model.place(p)[0]) for p in model.fixed_points)
    assert len(turns) == len(places) - 1  # the tight cluster lies at the end, 0
    np.testing.assert_allclose(turns, places[1:], atol=3e-3)


def test_three_points_are_one_and_two() -> None:
    assert TwoGroups((1, 2)).dimension == 1
    assert TwoGroups((2, 2)).dimension == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TwoGroups((1, 1)), r"at least 3 points in all, got sizes \(1, 1\)"),
        (lambda: TwoGroups((0, 5)), r"got sizes \(0, 5\)"),
        (lambda: TwoGroups((2, 5), activation="tanh"), "positively homogeneous .* 'tanh' is not"),
        (lambda: TwoGroups((1, 5)).step([1.0]), r"1 number\(s\) in \[0, 1\)"),
        (lambda: TwoGroups((2, 5)).step([0.5]), r"2 number\(s\)"),
        (lambda: TwoGroups((2, 5)).coordinates(np.eye(6)), "n = 7 points, got shape"),
        (lambda: TwoGroups((2, 5)).coordinates(np.ones((7, 7))), "all points coincide"),
        (lambda: TwoGroups((1, 5)).trajectory([0.5], -1), "depth is at least 0, got -1"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("sizes", [(1, 15), (3, 13)])
def test_portraits_show_the_fixed_points_where_they_are(sizes: tuple[int, int]) -> None:
    from normscope.theory.phases.figures import plot_portrait

    model = TwoGroups(sizes)
    _, axis = plt.subplots()
    assert plot_portrait(model, axis, depth=20) is axis
    drawn = np.array(
        [[line.get_xdata()[0], line.get_ydata()[0]] for line in axis.get_lines() if line.get_marker() in "o^sD"]
    )
    for point in model.fixed_points:
        place = model.place(point)
        if model.dimension == 2 or place[0] > 0:
            target = place if model.dimension == 2 else np.repeat(place, 2)
            assert np.abs(drawn - target).max(axis=1).min() < 1e-12
    plt.close("all")
