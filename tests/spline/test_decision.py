"""Decision boundaries inside a slice, against pixels, the logits themselves and polygons cut by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from normscope.spline import decision_boundary, partition, plane_through
from reference.distances import balanced, dense, pixels, predicted, small_conv, to_segment

WINDOW = (-3.0, 3.0, -2.0, 2.0)


def logits_at(pieces, points: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        logits = pieces.program.outputs(pieces.plane.points(torch.tensor(points))).numpy()
    return np.concatenate([np.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits


def centered(sizes: list[int], seed: int, activation=nn.ReLU) -> nn.Sequential:
    """A net whose logits all have mean zero over the window, so that every class is somewhere."""
    return balanced(dense(sizes, seed=seed, activation=activation), pixels(WINDOW, 20))


def check(model: nn.Module, window=WINDOW) -> None:
    """All that must hold for every boundary."""
    pieces = partition(model, None, window)
    found = decision_boundary(pieces)
    # along a segment its two classes are equal and nothing is larger, to either side its own class wins
    for share in (0.01, 0.5, 0.99):
        middle = found.segments[:, 0] + share * (found.segments[:, 1] - found.segments[:, 0])
        logits = logits_at(pieces, middle)
        scale = np.abs(logits).max(initial=1.0)
        both = np.take_along_axis(logits, found.classes, 1)
        assert (np.abs(both - logits.max(1, keepdims=True)) <= 1e-10 * scale).all()
    assert (found.classes[:, 0] < found.classes[:, 1]).all()
    # parts fill the regions
    whole = found.parts.groupby("region")["area"].sum()
    np.testing.assert_array_equal(whole.index, np.arange(len(pieces)))
    np.testing.assert_allclose(whole, pieces.area, rtol=1e-9, atol=1e-13 * pieces.area.sum())
    # classes of pixels: wrong areas by no more than the pixels that the boundary crosses
    count = 120
    classes = predicted(pieces.program, pixels(window, count))
    pixel = (window[1] - window[0]) * (window[3] - window[2]) / count**2
    low, high = np.array(window[::2]), np.array(window[1::2])
    side = float(((high - low) / count).max())
    centers = pixels(window, count).numpy()
    crossed = (found.distance(centers) <= side).sum() if len(found.segments) else 0
    for cls in range(max(2, pieces.program.output_shape[0])):
        area = found.area.get(cls, 0.0)
        assert abs((classes == cls).sum() * pixel - area) <= crossed * pixel + 1e-9
    # between two pixels of different classes is a boundary
    grid = classes.reshape(count, count)
    changes = np.flatnonzero((grid[:, 1:] != grid[:, :-1]).ravel())
    at = centers.reshape(count, count, 2)[:, 1:].reshape(-1, 2)[changes]
    assert (found.distance(at) <= side * (1 + 1e-9)).all()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000), classes=st.sampled_from([1, 2, 3, 7]),
    kind=st.sampled_from([nn.ReLU, nn.Hardtanh, lambda: nn.LeakyReLU(0.1)]),
)  # fmt: skip
def test_any_number_of_classes(seed, classes, kind):
    check(centered([2, 6, 6, classes], seed, kind))


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), classes=st.sampled_from([1, 2, 3, 4]))
def test_integer_weights_with_ties_and_copies(seed, classes):
    """Logits that are equal on whole regions or along edges, the same class twice, constant ones."""
    rng = np.random.default_rng(seed)
    model = dense([2, 4, 3, classes])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.tensor(rng.integers(-1, 2, parameter.shape)))
    with torch.no_grad():
        # a single logit that is zero all over is decided by rounding alone
        assume(classes > 1 or float(model.double()(pixels((-2.5, 2.25, -1.75, 2.0), 10)).abs().max()) > 1e-9)
    # no pixel on a line with small integers for coefficients, where one class may touch another
    check(model, (-2.5 - np.e / 100, 2.25 + np.pi / 100, -1.75 - 2**0.5 / 100, 2.0 + 3**0.5 / 100))


def test_a_slice_of_a_convolutional_net():
    samples = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double() * 2
    model = balanced(small_conv(2), samples)
    plane, _ = plane_through(*samples)
    pieces = partition(model, plane, (-6, 6, -6, 6))
    found = decision_boundary(pieces)
    classes = predicted(pieces.program, pieces.plane.points(pixels((-6, 6, -6, 6), 300)))
    assert len(np.unique(classes)) > 1
    for cls in np.unique(classes):
        assert found.area[int(cls)] == pytest.approx((classes == cls).mean() * 144, rel=0.03)
    near = logits_at(pieces, found.segments.mean(1))
    np.testing.assert_allclose(np.take_along_axis(near, found.classes, 1).max(1), near.max(1), atol=1e-12)


def test_two_lines_that_are_known():
    """Logits x, y and 0 meet at the origin, at right angles and at 45 degrees."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(1.0)
        model[2].bias.zero_()
        model[2].weight.zero_()
        model[0].weight[:2] = torch.eye(2)
        model[0].bias[:2] = 5.0  # never folds in the window
        model[2].weight[0, 0] = model[2].weight[1, 1] = 1.0
        model[2].bias[:2] = -5.0
    found = decision_boundary(partition(model, None, (-1, 1, -1, 1)))
    pieces = {tuple(c): s for c, s in zip(found.classes.tolist(), found.segments, strict=True)}
    expected = {(0, 1): [(0, 0), (1, 1)], (0, 2): [(0, 0), (0, -1)], (1, 2): [(0, 0), (-1, 0)]}
    assert set(pieces) == set(expected)
    for pair, ends in expected.items():
        np.testing.assert_allclose(sorted(map(tuple, pieces[pair])), sorted(ends), atol=1e-12)
    assert found.area == pytest.approx({0: 1.5, 1: 1.5, 2: 1.0})
    assert found.length == pytest.approx(2 + 2**0.5)
    # class 0 is below the diagonal, so on the right of the way up: the way goes down
    down = pieces[0, 1][1] - pieces[0, 1][0]
    assert down[0] < 0
    np.testing.assert_allclose(found.distance([[0.5, 0.5], [1, -1], [0.0, 1.0], [-0.5, -0.5]]),
                               [0, 1, 0.5**0.5, 0.5], atol=1e-12)  # fmt: skip


def test_distances_to_segments_one_by_one():
    pieces = partition(centered([2, 8, 8, 3], 4), None, WINDOW)
    found = decision_boundary(pieces)
    assert len(found.segments) > 5
    points = np.random.default_rng(0).uniform(-2, 2, size=(30, 2))
    expected = [min(to_segment(point, *segment) for segment in found.segments) for point in points]
    np.testing.assert_allclose(found.distance(points), expected, rtol=1e-12)
    assert (np.concatenate([found.distance(points[:0])]) == []).all()


def test_the_pieces_join_up():
    """Every end of a piece is the end of another one, or lies on the border of the window."""
    found = decision_boundary(partition(centered([2, 10, 10, 4], 1), None, WINDOW))
    ends = found.segments.reshape(-1, 2)
    border = (np.abs(np.abs(ends[:, 0]) - 3) < 1e-9) | (np.abs(np.abs(ends[:, 1]) - 2) < 1e-9)
    others = np.linalg.norm(ends[:, None] - ends[None], axis=2) + np.eye(len(ends))
    assert len(ends) > 20
    assert ((others.min(1) < 1e-9) | border).all()


def test_one_class_everywhere():
    model = dense([2, 4, 3])
    with torch.no_grad():
        model[2].weight.zero_()
    pieces = partition(model, None, WINDOW)
    found = decision_boundary(pieces)
    assert found.segments.shape == (0, 2, 2)
    assert found.area == pytest.approx({int(model[2].bias.argmax()): 24.0})
    assert np.isinf(found.distance([[0, 0]])).all()


def test_a_line_on_which_a_class_only_touches_is_no_boundary():
    """|x| is zero on a line, with the other class on both its sides."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        model[2].weight.fill_(1.0)
    found = decision_boundary(partition(model, None, WINDOW))
    assert len(found.segments) == 0
    assert found.area == pytest.approx({1: 24.0})


def test_logits_that_differ_by_little_are_no_tie():
    """x and x + 1e-6 y, of which the difference is 1e-6 of the largest: the boundary is y = 0."""
    model = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1e-6]], dtype=torch.float64))
    found = decision_boundary(partition(model, None, WINDOW))
    assert found.area == pytest.approx({0: 12.0, 1: 12.0})
    np.testing.assert_allclose(found.segments[..., 1], 0.0, atol=1e-9)
    assert found.length == pytest.approx(6.0)


def test_what_is_no_decision_is_told():
    with pytest.warns(RuntimeWarning, match="not complete"):
        stopped = partition(dense([2, 20, 20, 2]), None, WINDOW, max_regions=300)
    with pytest.raises(ValueError, match="stopped before its last fold"):
        decision_boundary(stopped)
    image = nn.Sequential(dense([2, 4, 4]), nn.Unflatten(1, (2, 2)))
    with pytest.raises(ValueError, match=r"puts out \(2, 2\) an input: a decision needs a vector of logits"):
        decision_boundary(partition(image, None, WINDOW))
    found = decision_boundary(partition(dense([2, 4, 2]), None, WINDOW))
    with pytest.raises(ValueError, match=r"points have shape \(3,\)"):
        found.distance([0, 1, 2])
    with pytest.raises(ValueError, match="nan or infinity"):
        found.distance([[0, np.nan]])
