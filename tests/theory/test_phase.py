"""Phase diagram and transitions, against fixed points counted on both sides, a scalar twin and dense Jacobians."""

from __future__ import annotations

import json
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy.optimize import brentq, minimize_scalar
from tests.reference.fixed_points import dense_jacobian

from normscope.theory.activations.activation import leaky_relu
from normscope.theory.groups.chart import Chart
from normscope.theory.groups.group_map import GroupMap
from normscope.theory.groups.roots import Search
from normscope.theory.layers.gram_map import GramMap
from normscope.theory.lineage import nachum2024
from normscope.theory.phases import continuation
from normscope.theory.phases.continuation import crossing, follow, sign_changes
from normscope.theory.phases.phase import phase_diagram, searched
from normscope.theory.phases.transitions import transitions

mpl.use("Agg")

ODD_RELU = 6.107075125  # batch sizes, as real numbers, at which fixed points are born: the numbers of docs/theory.md
ODD_BATCH_NORM = 51.37178249


def distinct_roots(layer: GroupMap, sizes: list[float]) -> int:
    """Fixed points of two groups by bracketing or many starts, without those at which all points are alike."""
    chart = Chart(np.array(sizes), recenter=True)
    grams = [layer(chart.unpack(np.exp(root))) for root in Search(layer, chart).roots()]
    return sum(bool(abs(g.variances[0] / g.variances[-1] - 1) > 1e-6) for g in grams)


def test_continuation_goes_round_a_circle_and_finds_its_folds() -> None:
    def circle(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([y @ y - 4]), 2 * y[None]

    points = follow(circle, np.array([2.0, 0.0]), 1.0, lambda _: True)
    assert max(abs(float(p.y @ p.y) - 4) for p in points) < 1e-12
    folds = [
        crossing(circle, points[i], points[i + 1], lambda p: float(p.tangent[-1]))
        for i in sign_changes([p.tangent[-1] for p in points])
    ]
    assert {round(fold.t, 10) for fold in folds if fold is not None} == {2.0, -2.0}
    assert sign_changes([1.0, np.nan, -1.0, np.inf, 1.0, -1.0]) == [4]


@pytest.mark.parametrize(("angle", "direction"), [(0.0, 1.0), (0.0, -1.0), (0.7, 1.0), (1.5, -1.0), (4.0, 1.0)])
def test_a_closed_curve_is_followed_once(angle: float, direction: float) -> None:
    def circle(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([y @ y - 4]), 2 * y[None]

    points = follow(circle, 2 * np.array([np.cos(angle), np.sin(angle)]), direction, lambda _: True)
    angles = np.unwrap([np.arctan2(p.t, p.y[0]) for p in points])
    assert angles[-1] - angles[0] == pytest.approx(2 * np.pi * direction * np.sign(np.cos(angle)), abs=1e-12)
    assert points[-1] is points[0]
    # through the same place the other way is no end
    back = continuation.CurvePoint(points[0].y, -points[0].tangent)
    assert continuation._passes(circle, points[-2], points[1], points[0], np.zeros(2))
    assert not continuation._passes(circle, points[-2], points[1], back, np.zeros(2))


def test_where_a_curve_crosses_itself_it_goes_on() -> None:
    def eight(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, t = y  # t² = x² (1 − x²), singular only at 0: the start lies beside it
        return np.array([t**2 - x**2 * (1 - x**2)]), np.array([[-2 * x + 4 * x**3, 2 * t]])

    start = np.array([0.01, 0.01 * np.sqrt(1 - 1e-4)])
    points = follow(eight, start, 1.0, lambda _: True)
    assert max(p.y[0] for p in points) > 0.9
    assert min(p.y[0] for p in points) < -0.9
    assert np.abs(points[-1].y - start).max() == 0
    assert len(points) < 200


def test_the_odd_point_is_born_between_six_and_seven() -> None:
    found = transitions(True, False, low=5, high=12, first=(0, 1))
    assert [(t.kind, t.family) for t in found] == [("birth", "odd (1, n − 1)")]
    (birth,) = found
    assert (birth.below, birth.above, birth.attracts) == ("none", "saddle and stable", True)
    assert abs(birth.value - ODD_RELU) < 1e-9
    assert birth.error < 1e-10

    def least(n: float) -> float:
        """Of log(t'/t), t' the scalar map of Nachum et al., where the odd point appears."""

        def growth(u: float) -> float:
            return float(np.log(nachum2024._next(n, np.exp(u))) - u)

        return float(minimize_scalar(growth, bounds=(0.5, 2.5), method="bounded", options={"xatol": 1e-9}).fun)

    # at the fold it touches 0
    lower, upper = birth.value - 1e-4, birth.value + 1e-4
    assert least(lower) > 0 > least(upper)
    assert abs(brentq(least, lower, upper, xtol=1e-13) - birth.value) < 1e-9


@pytest.mark.parametrize(("rescale", "k", "low", "high"), [(False, 1, 5, 9), (True, 1, 49, 54), (True, 2, 53.5, 56)])
def test_births_are_where_fixed_points_begin_to_be_found(rescale: bool, k: int, low: float, high: float) -> None:
    births = [t for t in transitions(True, rescale, low=low, high=high, first=(k,)) if t.kind == "birth"]
    births = [t for t in births if "tight" not in t.family]
    assert len(births) == 1
    layer = GroupMap(True, rescale, GramMap(True, rescale).phi)
    value = births[0].value
    assert distinct_roots(layer, [k, value * (1 - 1e-4) - k]) == 0
    assert distinct_roots(layer, [k, value * (1 + 1e-4) - k]) == 2
    if rescale and k == 1:
        assert abs(value - ODD_BATCH_NORM) < 1e-7


def test_whole_batch_sizes_agree_with_the_real_ones() -> None:
    def odd(rescale: bool, n: int) -> int:
        return sum(p.kind == "odd" and p.stable for p in GramMap(True, rescale).fixed_points(n, (1, n - 1)))

    assert [odd(False, 6), odd(False, 7), odd(True, 51), odd(True, 52)] == [0, 1, 0, 1]


def test_two_points_may_stay_together_where_symmetry_breaking_says() -> None:
    found = transitions(True, True, low=55, high=58, first=(2,))
    (change,) = [t for t in found if t.kind == "symmetry breaking"]
    assert (change.below, change.above) == ("saddle", "stable")
    before, after = (GramMap(True, True).fixed_points(n, (2, n - 2)) for n in (56, 57))
    assert 56 < change.value < 57
    assert not any(p.stable for p in before)
    assert sum(p.stable for p in after) == 1


def test_near_the_absolute_value_the_odd_point_oscillates() -> None:
    (change,) = transitions(True, False, parameter="slope", n=7, low=-0.95, high=0, first=(1,))
    assert change.kind == "oscillation"
    assert abs(change.eigenvalue + 1) < 1e-9
    for slope, stable in ((change.value - 1e-3, False), (change.value + 1e-3, True)):
        layer = GramMap(True, False, leaky_relu(slope))
        odd = min(layer.fixed_points(7, (1, 6)), key=lambda p: p.rate if p.kind == "odd" else np.inf)
        jacobian = dense_jacobian(layer, odd.gram, scale_free=True)
        values = np.linalg.eigvals(jacobian)
        assert (np.abs(values).max() < 1) == stable
        assert abs(values.real.min() + 1) < 0.01


def test_rescaling_makes_the_slope_count() -> None:
    (death,) = transitions(True, True, parameter="slope", n=64, low=0, high=0.2, first=(1,))
    assert (death.kind, death.above) == ("death", "none")
    for slope, count in ((death.value - 1e-3, 2), (death.value + 1e-3, 0)):
        assert distinct_roots(GroupMap(True, True, leaky_relu(slope)), [1.0, 63.0]) == count


@pytest.mark.parametrize("slope", [-0.5, 0.01, 0.4, 0.9])
def test_without_rescaling_the_slope_moves_no_fixed_point_but_every_eigenvalue(slope: float) -> None:
    """C ↦ a² C + b² A(C): the fixed points of A, and eigenvalues that a² draws towards 1."""
    n = 9
    relu, leaky = (GramMap(True, False, phi).fixed_points(n, (1, n - 1)) for phi in ("relu", leaky_relu(slope)))
    spread = [
        [p.groups.contrasts[1] / p.groups.distances[0, 1] for p in points if p.kind == "odd"]
        for points in (relu, leaky)
    ]
    assert len(spread[0]) == 2
    np.testing.assert_allclose(np.sort(spread[0]), np.sort(spread[1]), rtol=1e-9)
    a2, b2 = ((1 + slope) / 2) ** 2, ((1 - slope) / 2) ** 2
    for one in (p for p in relu if p.kind == "odd"):
        same = min((p for p in leaky if p.kind == "odd"), key=lambda p: abs(p.norm_ratios[0] - one.norm_ratios[0]))
        # the growth of C under the absolute value, from that of the ReLU, ¼ C + ¼ A
        of_abs = 4 * growth_of_c(GramMap(True, False), one.gram) - 1
        shrunk = b2 * of_abs / (a2 + b2 * of_abs)
        from_relu = of_abs / (1 + of_abs)
        moving = np.abs(one.spectrum) > 1e-9
        expected = 1 - (1 - one.spectrum[moving]) * shrunk / from_relu
        got = same.spectrum[np.abs(same.spectrum) > 1e-9]
        np.testing.assert_allclose(np.sort(got.real), np.sort(expected.real), atol=1e-8)


def growth_of_c(layer: GramMap, gram: np.ndarray) -> float:
    h = np.eye(len(gram)) - 1 / len(gram)
    return float(np.trace(h @ layer(gram) @ h) / np.trace(h @ gram @ h))


def test_nothing_changes_with_n_where_entries_are_mapped_alone() -> None:
    assert transitions(False, False, low=3, high=50) == []
    assert transitions(True, True, "linear", low=3, high=50) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parameter": "slope"}, "need a batch size of at least 3, got n = None"),
        ({"low": 10, "high": 10}, "n goes from low to high within 2 to 100000, got 10 to 10"),
        ({"parameter": "slope", "n": 8, "high": 1.5}, "slope goes from low to high within -1 to 1"),
        ({"activation_": "rleu"}, "unknown activation 'rleu'"),
    ],
)
def test_questions_that_make_no_sense(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transitions(True, False, **arguments)


def test_the_diagram_says_what_attracts() -> None:
    settings = []
    diagram = phase_diagram(
        (6, 7),
        ((False, False), (True, False)),
        ("linear", "relu"),
        first=(0, 1),
        progress=lambda *at: settings.append(at),
    )
    assert [done for done, *_ in settings] == list(range(8))
    relu = diagram[(diagram["activation"] == "relu") & diagram["recenter"] & diagram["stable"]]
    assert list(zip(relu["n"], relu["kind"], strict=True)) == [(6, "symmetric"), (7, "symmetric"), (7, "odd")]
    assert set(diagram[diagram["activation"] == "linear"]["attraction"]) == {"neutral"}
    plain = diagram[(diagram["activation"] == "relu") & ~diagram["recenter"]]
    assert list(plain["kind"]) == ["cluster", "cluster"]
    assert set(plain["attraction"]) == {"algebraic"}


def test_a_cell_that_cannot_be_answered_says_why() -> None:
    diagram = phase_diagram((8,), ((True, False), (True, True)), ("erf",), first=(0,))
    assert list(diagram["kind"]) == ["symmetric", "none"]
    assert "needs a φ of degree 0 or 1" in diagram["note"].iloc[1]
    with pytest.raises(ValueError, match="at least 2 points, got n = 1"):
        phase_diagram((1,), ((True, False),), ("relu",))


def test_points_found_for_several_group_sizes_are_listed_once() -> None:
    points = searched(GramMap(False, False, "linear"), 8)
    assert len(points) == 1
    assert [p.sizes for p in searched(GramMap(True, False), 3, (0, 1, 2))].count((3,)) == 1


def test_figures_take_and_return_axes() -> None:
    from normscope.theory.phases.figures import plot_fixed_points, plot_phase, plot_phases

    diagram = phase_diagram((6, 7, 8), ((True, False), (False, False)), ("relu",), first=(0, 1))
    found = transitions(True, False, low=5, high=8, first=(1,))
    recentered = diagram[diagram["recenter"]]
    _, axis = plt.subplots()
    assert plot_phase(recentered, found, axis, title="t") is axis
    assert axis.get_title() == "t"
    lines = {str(line.get_label()): line for line in axis.get_lines()}
    assert list(lines["odd"].get_xdata()) == [7, 8]
    assert list(lines["symmetric"].get_xdata()) == [6, 7, 8]
    assert any("6.107" in text.get_text() for text in axis.texts)
    with pytest.raises(ValueError, match="one combination"):
        plot_phase(diagram)
    many = plot_phases(diagram, [("recentering + relu", t) for t in found])
    assert [a.get_title() for a in many.axes] == ["recentering + relu", "relu"]
    one = plot_fixed_points(GramMap(True, True).fixed_points(5, (1, 4)), axis)
    assert one is axis
    with pytest.raises(ValueError, match="no fixed points"):
        plot_fixed_points([])
    plt.close("all")


def test_without_matplotlib_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "try:\n    import normscope.theory.phases.figures\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "figures need matplotlib: pip install 'normscope[plot]'\n"


def test_transitions_become_json() -> None:
    (birth,) = transitions(True, False, low=5, high=8, first=(1,))
    told = json.loads(json.dumps(birth.to_dict()))
    assert told["kind"] == "birth"
    assert told["eigenvalue"][0] == pytest.approx(1)
