"""Shares of basins of attraction, against single batches followed to the end and intervals by the formula."""

from __future__ import annotations

import numpy as np
import pytest

from normscope.theory.layers.gram_map import GramMap
from normscope.theory.phases.basins import NONE, basins, gaussian_grams

RELU = GramMap(True, False, "relu")


def test_each_batch_ends_where_iterating_it_ends() -> None:
    grams = gaussian_grams(8, 4, 12, seed=3)
    found = basins(RELU, grams)
    assert [p.kind for p in found.points] == ["symmetric", "odd"]
    assert 0 < found.counts[1] < 12  # both are there, or nothing is tested
    ends = RELU.iterate(grams, 1500)[-1]
    for end, where, outlier in zip(ends, found.reached, found.outlier, strict=True):
        norms = np.sqrt(np.diagonal(end))
        odd = norms.max() > 2 * np.median(norms)
        assert odd == (found.points[where].kind == "odd")
        assert outlier == (int(np.argmax(norms)) if odd else -1)


def test_a_batch_on_either_side_of_the_saddle() -> None:
    saddle = next(p for p in RELU.fixed_points(9, (1, 8)) if p.saddle)
    odd = next(p for p in RELU.fixed_points(9, (1, 8)) if p.kind == "odd" and p.stable)
    towards = odd.gram - saddle.gram
    found = basins(RELU, np.stack([saddle.gram + 0.02 * towards, saddle.gram - 0.02 * towards]))
    assert [found.points[i].kind for i in found.reached] == ["odd", "symmetric"]
    assert list(found.outlier) == [0, -1]


def test_the_slope_of_a_leaky_relu_changes_the_time_more_than_the_basin() -> None:
    grams = gaussian_grams(8, 4, 40, seed=1)
    relu, leaky = (basins(GramMap(True, False, phi), grams) for phi in ("relu", "leaky_relu:0.3"))
    assert np.mean(relu.reached == leaky.reached) > 0.9
    assert np.median(leaky.layers) > 2 * np.median(relu.layers)


def test_too_few_layers_lead_nowhere() -> None:
    found = basins(RELU, gaussian_grams(8, 4, 5), depth=3)
    assert found.counts == [0, 0, 5]
    assert set(found.reached) == {NONE}
    assert set(found.layers) == {3}
    table = found.table()
    assert list(table["kind"]) == ["symmetric", "odd", "none of them"]
    assert table["share"].iloc[-1] == 1


def test_rescaled_batches_all_become_symmetric() -> None:
    found = basins(GramMap(True, True, "relu"), gaussian_grams(6, 3, 4), depth=200)
    assert found.counts == [4, 0]


def test_intervals_are_those_of_wilson() -> None:
    found = basins(RELU, gaussian_grams(8, 4, 20), depth=400)
    k, n, z = found.counts[1], 20, 1.959963984540054
    centre, half = (k + z**2 / 2) / (n + z**2), z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    share, low, high = found.share(1)
    assert share == k / n
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_gaussian_batches_have_their_law_and_seed() -> None:
    grams = gaussian_grams(4, 50, 400, seed=2)
    np.testing.assert_array_equal(grams, gaussian_grams(4, 50, 400, seed=2))
    assert not np.array_equal(grams, gaussian_grams(4, 50, 400, seed=3))
    # entries have mean I and standard deviation √((1 + δ)/50): 5 standard errors, a false alarm in 1e-5
    assert np.abs(grams.mean(axis=0) - np.eye(4)).max() < 5 * np.sqrt(2 / 50 / 400)
    assert np.linalg.matrix_rank(gaussian_grams(6, 2, 1)[0]) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_grams(4, 0, 3), "dimension is at least 1, got 0"),
        (lambda: basins(RELU, np.eye(4)), r"batches come as \(batches, n, n\)"),
        (lambda: basins(RELU, np.zeros((0, 4, 4))), r"got shape \(0, 4, 4\)"),
        (lambda: basins(RELU, -np.eye(4)[None]), "semidefinite"),
        (lambda: basins(GramMap(True, False, "erf"), np.eye(4)[None]), "'erf'"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
