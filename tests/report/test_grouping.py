"""Which samples sit apart: the cases, and those between them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from normscope.report.grouping import grouping


def gram(cosines: np.ndarray, norms: object = 1.0) -> np.ndarray:
    norms = np.broadcast_to(np.asarray(norms, dtype=float), (len(cosines),))
    return cosines * np.outer(norms, norms)


def cluster(n: int, tight: float, apart: dict[int, float], among: float = 0.0) -> np.ndarray:
    """Cosine ``tight`` within a cluster, of each sample in ``apart`` its own to the cluster, ``among`` those."""
    cosines = np.full((n, n), tight)
    for i, cosine in apart.items():
        cosines[i, :] = cosines[:, i] = cosine
    for i in apart:
        for j in apart:
            cosines[i, j] = among
    np.fill_diagonal(cosines, 1)
    return cosines


@pytest.mark.parametrize(
    ("cosines", "odd"),
    [
        (cluster(12, 0.95, {}), ()),
        (cluster(12, 0.3, {}), ()),
        (cluster(12, 0.95, {3: 0.0}), (3,)),
        (cluster(12, 0.95, {3: 0.45}), (3,)),
        (cluster(12, 0.95, {3: 0.5}), ()),  # half of 0.95 is the border
        (cluster(12, 0.61, {3: 0.0}), (3,)),
        (cluster(12, 0.59, {3: 0.0}), ()),  # the others are no tight cluster
        (cluster(12, 0.9, {3: 0.1, 7: 0.0}), (7, 3)),  # equally odd: the score of either is near 0
        (cluster(12, 0.9, {3: 0.02, 7: 0.0}, among=1.0), (7, 3)),  # a little cluster of their own
        (cluster(12, 0.95, {3: 0.0, 7: 0.44}, among=0.4), (3, 7)),  # 7 is apart from the cluster, not from 3
        (cluster(12, 0.9, {1: 0.0, 3: 0.0, 7: 0.0}), (1, 3, 7)),
        (cluster(12, 0.9, {1: 0.0, 3: 0.0, 7: 0.0, 8: 0.0}), ()),  # more than a quarter: groups, not odd points
        (cluster(3, 0.9, {1: 0.0}), ()),
        (cluster(4, 0.9, {1: 0.0}), (1,)),
        (np.eye(12), ()),
        (np.ones((12, 12)), ()),
    ],
)
def test_odd_samples(cosines: np.ndarray, odd: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    for norms in (1.0, 1e-30, 1e30, generator.uniform(0.1, 60, len(cosines))):
        assert grouping(gram(cosines, norms)).odd == odd


def test_its_numbers() -> None:
    found = grouping(gram(cluster(12, 0.9, {3: 0.1, 7: 0.0})))
    assert found.directions == 12
    assert found.odd_cosine == pytest.approx(0.05)
    assert found.cluster_cosine == pytest.approx(0.9)
    none = grouping(gram(cluster(12, 0.5, {})))
    assert (none.directions, none.cluster_cosine) == (12, pytest.approx(0.5))
    assert math.isnan(none.odd_cosine)


def test_the_order_of_the_samples_does_not_matter() -> None:
    cosines = cluster(12, 0.9, {3: 0.1, 7: 0.0})
    order = np.random.default_rng(0).permutation(12)
    found = grouping(gram(cosines)[np.ix_(order, order)])
    assert tuple(int(order[i]) for i in found.odd) == (7, 3)


def test_samples_that_are_zero_have_no_direction() -> None:
    cosines = cluster(12, 0.9, {3: 0.0})
    cosines[[0, 5], :] = cosines[:, [0, 5]] = 0
    found = grouping(cosines)
    assert (found.odd, found.directions) == ((3,), 10)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_without_directions_nothing_is_said(value: float) -> None:
    found = grouping(np.full((5, 5), value))
    assert (found.odd, found.directions) == ((), 0)
    assert math.isnan(found.cluster_cosine)
