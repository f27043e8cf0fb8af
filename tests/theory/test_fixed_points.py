"""Fixed points and their spectra, against dense iteration, dense Jacobians and closed formulas."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import erfcx
from tests.reference.fixed_points import dense_jacobian, largest_mismatch, shape, starts

from normscope.theory.activations.activation import activation
from normscope.theory.groups.chart import Chart
from normscope.theory.groups.elementwise import merged
from normscope.theory.groups.fixed_point import FixedPoint
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.roots import Search
from normscope.theory.groups.spectrum import spectrum
from normscope.theory.layers.gram_map import GramMap
from normscope.theory.lineage.nachum2024 import odd_point_configuration
from normscope.theory.lineage.yang2019 import symmetric_cosine

SWITCHES = [(False, False), (False, True), (True, False), (True, True)]
ACTIVATIONS = ["linear", "relu", "leaky_relu:0.2", "abs"]


def loose(points: list[FixedPoint]) -> list[FixedPoint]:
    """Those that a dense matrix can be perturbed around to all sides."""
    return [p for p in points if np.all((p.groups.sizes == 1) | (p.groups.contrasts > 0))]


def of_kind(points: list[FixedPoint], kind: str, *, stable: bool) -> FixedPoint:
    return next(p for p in points if p.kind == kind and p.stable == stable)


@pytest.mark.parametrize(("recenter", "rescale"), SWITCHES)
@pytest.mark.parametrize("name", [*ACTIVATIONS, "erf", "step"])
def test_every_fixed_point_stays_and_has_the_dense_spectrum(recenter: bool, rescale: bool, name: str) -> None:
    if rescale and name == "erf":
        pytest.skip("must fail, see below")
    n, layer = 5, GramMap(recenter, rescale, name)
    points = layer.fixed_points(n)
    assert points
    for point in points:
        # at cosine −1 the step's kernel has a square root, of rounding
        assert point.residual < (1e-12 if np.isfinite(point.rate) or name != "step" else 1e-6)
        assert point.multiplicities.sum() == n * (n + 1) // 2 - point.scale_free
    for point in loose(points):
        gram = point.gram
        after = layer(gram)
        np.testing.assert_allclose(after / point.growth, gram, atol=1e-9 * np.abs(gram).max())
        if np.linalg.eigvalsh(gram)[0] < 1e-9 * np.trace(gram) and not recenter:
            continue  # antiparallel points: differences leave the positive semidefinite matrices
        # recentering does not see what is added to all entries: it keeps the differences positive semidefinite
        around = gram + recenter * np.trace(gram) / n
        jacobian = dense_jacobian(layer, around, scale_free=point.scale_free)
        expected = np.linalg.eigvals(jacobian)
        counts = point.multiplicities.copy()
        values = point.spectrum
        if point.scale_free:  # the change of scale, which the scaled layer maps to 0
            values, counts = np.append(values, 0.0), np.append(counts, 1)
        # eigenvalues of multiplicity p move by the p-th root of the error of the differences where blocks are defective
        assert largest_mismatch(expected, values, counts) < 2e-5


@pytest.mark.parametrize(("n", "name"), [(7, "relu"), (8, "relu"), (8, "leaky_relu:0.2"), (8, "abs")])
def test_odd_points_and_their_saddles_have_the_dense_spectrum(n: int, name: str) -> None:
    layer = GramMap(True, False, name)
    odd = [p for p in layer.fixed_points(n) if p.kind == "odd"]
    assert len(odd) == 2
    for point in odd:
        expected = np.linalg.eigvals(dense_jacobian(layer, point.gram, scale_free=True))
        values, counts = np.append(point.spectrum, 0.0), np.append(point.multiplicities, 1)
        assert largest_mismatch(expected, values, counts) < 2e-5


@pytest.mark.parametrize("n", [7, 8, 12, 64, 500, 10_000])
def test_the_odd_point_is_that_of_nachum2024(n: int) -> None:
    expected = odd_point_configuration(n)
    assert expected is not None
    point = of_kind(GramMap(True, False).fixed_points(n, sizes=(1, n - 1)), "odd", stable=True)
    assert point.cosines[1, 1] == pytest.approx(expected.cluster_cosine, abs=1e-12)
    assert point.cosines[0, 1] == pytest.approx(expected.odd_cosine, abs=1e-15 * n)
    assert point.norm_ratios[0] == pytest.approx(expected.norm_ratio, rel=1e-9)
    assert point.rate == pytest.approx(expected.rate, abs=1e-9)


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_small_recentered_relu_batches_have_no_odd_point(n: int) -> None:
    points = GramMap(True, False).fixed_points(n)
    assert not [p for p in points if p.kind == "odd"]
    assert [p.kind for p in points if p.stable] == ["symmetric"]


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("n", [2, 5, 64, 10**6])
def test_the_symmetric_cosine_is_that_of_yang2019(n: int, rescale: bool) -> None:
    (point,) = GramMap(True, rescale).fixed_points(n, sizes=(n,))
    assert point.stable
    assert point.cosines[0, 0] == pytest.approx(symmetric_cosine(n), abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(1, 5), (1, 30), (2, 6), (4, 12), (6, 12)])
def test_tight_clusters_open_by_a_closed_formula(k: int, n: int) -> None:
    """Two tight groups under the ReLU: scale falls by (k² + (n − k)²)/2n², what is within a group by 1/2."""
    points = GramMap(True, False).fixed_points(n, sizes=(k, n - k))
    cluster = of_kind(points, "cluster", stable=False)
    assert cluster.rate == pytest.approx(n**2 / (k**2 + (n - k) ** 2), rel=1e-12)
    assert cluster.norm_ratios[0] == pytest.approx((n - k) / k)
    assert cluster.cosines[0, 1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("n", [4, 9, 1000])
@pytest.mark.parametrize("recenter", [False, True])
def test_rescaling_alone_orthogonalizes(n: int, recenter: bool) -> None:
    """N equal eigenvalues: deviations shrink by N/(N + 2), all of them alike; N = n, or n − 1 with recentering."""
    points = GramMap(recenter, True, "linear").fixed_points(n)
    dimensions = n - recenter
    assert points[0].rate == pytest.approx(dimensions / (dimensions + 2), rel=1e-9)
    assert points[0].cosines[0, 0] == pytest.approx(-1 / (n - 1) if recenter else 0, abs=1e-12)
    assert points[0].multiplicities[0] == dimensions * (dimensions + 1) // 2 - 1
    assert not points[0].family
    assert "projections" in points[1].family
    assert points[1].rate == np.inf


def test_families_say_so() -> None:
    for recenter in (False, True):
        (every,) = GramMap(recenter, False, "linear").fixed_points(4)
        assert "Gram matrices stay" in every.family
        assert every.attraction == "neutral"
    (line,) = GramMap(False, False).fixed_points(6)
    assert (line.kind, line.attraction, line.stable) == ("cluster", "algebraic", False)
    assert "any norms" in line.family
    assert line.neutral_directions == 20


@pytest.mark.parametrize("slope", [0.0, 0.2, 0.7, -0.5])
def test_the_slope_moves_no_recentered_fixed_point(slope: float) -> None:
    """F = a² H + b² A with one map A: the same C stay, and eigenvalues are (a² + b² ν μ)/(a² + b² ν)."""
    n, a, b = 9, (1 + slope) / 2, (1 - slope) / 2
    base = GramMap(True, False, "abs").fixed_points(n, sizes=(1, n - 1))
    points = GramMap(True, False, f"leaky_relu:{slope}").fixed_points(n, sizes=(1, n - 1))
    pool = [(p.sizes, p.growth, p.spectrum) for p in points]
    matched = 0
    for point in loose(base):
        growth = a**2 + b**2 * point.growth
        values = (a**2 + b**2 * point.growth * point.spectrum) / growth
        changed = values[np.abs(point.spectrum) > 1e-9]  # the zeros of recentering stay zeros
        for sizes, other, found in pool:
            if sizes == point.sizes and other == pytest.approx(growth, rel=1e-9):
                gaps = np.abs(found[:, None] - changed[None, :]).min(axis=0)
                np.testing.assert_allclose(gaps, 0, atol=1e-8)
                matched += 1
    assert matched == len(loose(base)) == 2


def test_a_large_batch_goes_to_its_asymptotics() -> None:
    """Odd point: 1 − cosine in the cluster → 9π²/2n², rate → 1 − 1/n, norm ratio → n."""
    n = 10**6
    points = GramMap(True, False).fixed_points(n, sizes=(1, n - 1))
    odd = of_kind(points, "odd", stable=True)
    assert odd.groups.one_minus_cosines[1, 1] * n**2 == pytest.approx(9 * np.pi**2 / 2, rel=1e-4)
    assert (1 - odd.rate) * n == pytest.approx(1, rel=1e-3)
    assert odd.norm_ratios[0] == pytest.approx(n, rel=1e-4)
    assert odd.layers_to_shrink == pytest.approx(n, rel=1e-3)
    saddle = next(p for p in points if p.saddle)
    assert saddle.between == (f"odd (1, {n - 1})", f"symmetric ({n},)")
    with pytest.raises(ValueError, match="use the blocks"):
        _ = odd.gram
    assert odd.blocks.shape == (2, 2)


@pytest.mark.parametrize(
    ("recenter", "rescale", "name", "n", "depth"),
    [
        (True, False, "relu", 4, 300),
        (True, False, "relu", 8, 600),
        (True, False, "leaky_relu:0.2", 8, 1500),
        (True, False, "abs", 6, 300),
        (True, False, "step", 6, 100),
        (False, False, "erf", 4, 3000),
        (True, True, "relu", 5, 50),
        (False, True, "relu", 3, 60),
        (True, True, "abs", 4, 40),
        (True, True, "linear", 4, 50),
    ],
)
def test_nothing_that_attracts_is_missing(recenter: bool, rescale: bool, name: str, n: int, depth: int) -> None:
    layer = GramMap(recenter, rescale, name)
    known = [p for p in layer.fixed_points(n) if p.stable]
    shapes = [shape(p.gram) for p in known]
    ends = layer.iterate(np.array(list(starts(n, np.random.default_rng(7)))), depth)[-1]
    for end in ends:
        assert min(np.abs(shape(end) - s).max() for s in shapes) < 1e-4


@pytest.mark.parametrize("n", [7, 12])
def test_a_saddle_is_the_threshold_between_what_it_names(n: int) -> None:
    layer = GramMap(True, False)
    points = layer.fixed_points(n, sizes=(1, n - 1))
    saddle = next(p for p in points if p.saddle)
    odd = of_kind(points, "odd", stable=True)
    assert saddle.between == (f"odd (1, {n - 1})", f"symmetric ({n},)")
    symmetric = layer.fixed_points(n, sizes=(n,))[0]
    expected = [odd.gram, symmetric.gram]
    starts_beside = np.array([0.95 * saddle.gram + 0.05 * toward for toward in expected])
    for end, gram in zip(layer.iterate(starts_beside, 1500)[-1], expected, strict=True):
        np.testing.assert_allclose(shape(end), shape(gram), atol=1e-6)


def test_two_odd_points_are_a_saddle_between_them() -> None:
    n = 12
    points = GramMap(True, False).fixed_points(n, sizes=(2, n - 2))
    saddle = next(p for p in points if p.saddle)
    assert saddle.between == ("odd (1, 11)", "odd (1, 11)")
    assert saddle.unstable_directions == 1


def test_full_batch_normalization_has_outliers_that_last_in_large_batches() -> None:
    """From n = 52 on one point may stay larger than the others, from 57 on two; below, batches become symmetric."""
    layer = GroupMap(True, True, activation("relu"))

    def rates(far: int, n: int) -> list[float]:
        chart = Chart(np.array([far, n - far], dtype=np.float64), recenter=True)
        grams = [layer(chart.unpack(np.exp(root))) for root in Search(layer, chart).roots()]
        return [np.abs(spectrum(layer, gram).values).max() for gram in grams if not merged(gram, 1e-6)]

    assert rates(1, 51) == []
    assert min(rates(1, 52)) < 1
    assert min(rates(2, 56)) > 1
    assert min(rates(2, 57)) < 1


@pytest.mark.parametrize(("name", "mean_of_rest"), [("relu", 1 / np.pi), ("abs", 2 / np.pi)])
def test_the_outlier_of_a_large_batch_holds_a_fixed_share_of_it(name: str, mean_of_rest: float) -> None:
    """Norm ratio c √n, c² = (1 − q)/q, where q = E 1/(1 + ρξ²) and ρ (1 − cosine of the rest) q = 1 − q."""

    def rest(share: float) -> float:
        # E 1/(1 + ρξ²) in closed form
        return float(np.sqrt(np.pi / (2 * share)) * erfcx(1 / np.sqrt(2 * share)))

    share = brentq(lambda x: x * (1 - mean_of_rest) * rest(x) - (1 - rest(x)), 1e-2, 100)
    n = 10**6
    odd = of_kind(GramMap(True, True, name).fixed_points(n, sizes=(1, n - 1)), "odd", stable=True)
    limit = np.sqrt((1 - rest(share)) / rest(share))
    assert odd.norm_ratios[0] / np.sqrt(n) == pytest.approx(limit, rel=4 / np.sqrt(n))


def test_an_outlier_of_full_batch_normalization_comes_back_in_dense_iteration() -> None:
    n = 60
    layer = GramMap(True, True)
    odd = of_kind(layer.fixed_points(n, sizes=(1, n - 1)), "odd", stable=True)
    noise = 0.02 * np.random.default_rng(0).standard_normal((n, n))
    path = layer.iterate(odd.gram + noise @ noise.T, 40)
    away = [np.abs(shape(gram) - shape(odd.gram)).max() for gram in (path[0], path[20], path[40])]
    assert away[0] > 3e-3
    assert away[2] < 0.7 * away[1] < 0.5 * away[0]


def test_groups_of_given_sizes() -> None:
    points = GramMap(True, False).fixed_points(12, sizes=(2, 4, 6))
    clusters = [p for p in points if p.kind == "cluster"]
    assert clusters
    assert all(len(p.sizes) == 3 and not p.stable for p in points)
    for point in points:
        assert point.multiplicities.sum() == 77


@pytest.mark.parametrize("recenter", [False, True])
def test_a_batch_that_vanishes_has_no_fixed_point(recenter: bool) -> None:
    assert GramMap(recenter, False, "sin").fixed_points(3) == []


def test_a_fixed_point_prints_itself_and_goes_to_json() -> None:
    points = GramMap(True, True).fixed_points(4)
    said = json.loads(json.dumps([p.to_dict() for p in points], allow_nan=False))
    assert said[0]["kind"] == "symmetric"
    assert said[0]["layers_to_shrink"] == pytest.approx(-1 / np.log(points[0].rate))
    cluster = next(entry for entry in said if entry["kind"] == "cluster")
    assert cluster["rate"] is None  # leaves with infinite slope
    assert repr(points[0]).startswith("<FixedPoint symmetric (4,); stable, rate 0.52581")
    odd = GramMap(True, False).fixed_points(8)[1]
    assert "saddle" not in repr(odd)
    assert "norms 5.1047 : 1" in repr(odd)


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (GramMap(True, False), (1,), "at least 2 points, got n = 1"),
        (GramMap(True, False), (5, (2, 2)), r"add up to n = 5, got \(2, 2\)"),
        (GramMap(True, False), (5, (0, 5)), "at least 1"),
        (GramMap(True, False), (5, (2.5, 2.5)), "a size is a whole number, got 2.5"),
        (GramMap(True, False), (5, (True, 4)), "a size is a whole number, got True"),
        (GramMap(True, False), (2.5,), "n is a whole number, got 2.5"),
        (GramMap(True, False), ("5",), "n is a whole number, got '5'"),
        (GramMap(True, True, "erf"), (5,), "degree 0 or 1"),
    ],
)
def test_what_must_fail_says_why(layer: GramMap, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        layer.fixed_points(*arguments)
