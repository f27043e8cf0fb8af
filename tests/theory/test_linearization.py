"""The derivative of a layer on groups, the nodes of its quadrature, and orders that rounding does not decide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normscope.theory.activations.activation import activation
from normscope.theory.groups.fixed_points import fixed_points
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.groups import GroupGram, GroupMatrix, checked_sizes
from normscope.theory.groups.linearization import Linearized
from normscope.theory.groups.tilting import tilted

STEP = 1e-6


def random_gram(sizes: list[int], seed: int, batch: tuple[int, ...] = ()) -> GroupGram:
    """Of groups whose means are random points, with a spread of their own."""
    rng = np.random.default_rng(seed)
    k, m = checked_sizes(sizes), len(sizes)
    means = rng.standard_normal((*batch, m, m + 1))
    spread = np.where(k > 1, rng.uniform(0.2, 1.5, (*batch, m)), 0.0)
    apart = np.sum((means[..., :, None, :] - means[..., None, :, :]) ** 2, axis=-1)
    own = spread * (1 - 1 / k)
    distances = apart + own[..., :, None] + own[..., None, :]
    distances[..., range(m), range(m)] = 2 * spread
    return GroupGram(k, np.sum(means**2, axis=-1) + own, distances)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=3),
    switches=st.tuples(st.booleans(), st.booleans()),
    phi=st.sampled_from(("relu", "leaky_relu:0.3", "linear", "abs")),
    seed=st.integers(0, 10**6),
)
def test_shared_changes_go_where_differences_say(
    sizes: list[int], switches: tuple[bool, bool], phi: str, seed: int
) -> None:
    layer, gram, change = GroupMap(*switches, activation(phi)), random_gram(sizes, seed), random_gram(sizes, seed + 1)
    derivative = Linearized(layer, gram)
    after = layer(gram)
    np.testing.assert_allclose(derivative.after.variances, after.variances, rtol=1e-15)
    np.testing.assert_allclose(derivative.after.distances, after.distances, rtol=1e-15)
    ahead, behind = (
        layer(GroupGram(gram.sizes, gram.variances + s * change.variances, gram.distances + s * change.distances))
        for s in (STEP, -STEP)
    )
    variances, distances = derivative.shared(change.variances, change.distances)
    scale = after.distances.max() * STEP**0.5
    np.testing.assert_allclose(variances, (ahead.variances - behind.variances) / (2 * STEP), atol=1e-3 * scale)
    np.testing.assert_allclose(distances, (ahead.distances - behind.distances) / (2 * STEP), atol=1e-3 * scale)


@settings(max_examples=30, deadline=None)
@given(
    k=st.integers(1, 2000),
    decades=st.tuples(st.floats(-12, 12), st.floats(-12, 12), st.floats(-12, 12)),
    scale=st.floats(-20, 20),
)
def test_no_node_is_left_out_that_counts(k: int, decades: tuple[float, float, float], scale: float) -> None:
    """Rescaled coordinates have mean square 1: Σ E ẑ² = n, whatever the spectrum. And one of a batch is as it alone."""
    sizes = np.array([1.0, k])
    eigenvalues = 10 ** (np.array(decades) + scale)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    quotient = turn @ np.diag(eigenvalues[:2]) @ turn.T
    contrasts = np.array([0.0, eigenvalues[2] if k > 1 else 0.0])
    alone = tilted(GroupMatrix(sizes, contrasts, quotient), recentered=False)
    assert float(alone.weights @ alone.gram.variances @ sizes) == pytest.approx(sizes.sum(), rel=1e-10)
    flat = GroupMatrix(sizes, np.stack([contrasts, np.ones(2)]), np.stack([quotient, np.eye(2)]))
    both = tilted(flat, recentered=False)
    np.testing.assert_allclose(
        both.weights[0] @ both.gram.variances[0], alone.weights @ alone.gram.variances, rtol=1e-13
    )


def test_rounding_orders_neither_fixed_points_nor_eigenvalues() -> None:
    rates = [point.rate for point in fixed_points(GroupMap(False, False, activation("erf")), 4, (2, 2))]
    assert len(rates) > len(set(np.round(rates, 10)))  # some have one rate
    for point in fixed_points(GroupMap(True, True, activation("abs")), 5, (2, 3)):
        values = point.spectrum
        moduli = np.round(np.abs(values), 10)
        assert np.all(moduli[:-1] >= moduli[1:])
        same = moduli[:-1] == moduli[1:]
        assert np.all(values[:-1].real[same] > values[1:].real[same])
