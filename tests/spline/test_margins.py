"""Bounds of margins: evaluated points from above, exact distances from below, the truth in the plane in between."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fingerprint import fingerprint
from normscope.spline import decision_boundary, margin_bounds, partition, read
from reference.distances import balanced, dense, in_ball, predicted, small_conv


def cloud(shape: tuple[int, ...], count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), classes=st.sampled_from([1, 2, 4]))
def test_the_truth_in_the_plane_lies_between(seed, classes):
    points = cloud((2,), 10, seed)
    model = balanced(dense([2, 8, 8, classes], seed=seed), points)
    found = margin_bounds(model, points)
    true = decision_boundary(partition(model, None, (-30, 30, -30, 30))).distance(points.numpy())
    known = true < 20
    assert (found.lower[known] <= true[known] * (1 + 1e-7) + 1e-9).all()
    assert (found.upper[known] >= true[known] * (1 - 1e-7) - 1e-9).all()
    np.testing.assert_allclose(found.lower[found.exact & known], true[found.exact & known], rtol=1e-6, atol=1e-9)


def test_the_search_comes_close_in_the_plane():
    """Of 100 points on each of 3 nets at least 90 % within 2 % of the truth, the other bound not counted."""
    ratios = []
    for seed in range(3):
        points = cloud((2,), 100, seed)
        model = balanced(dense([2, 16, 16, 3], seed=seed), points)
        true = decision_boundary(partition(model, None, (-30, 30, -30, 30))).distance(points.numpy())
        ratios.append(margin_bounds(model, points).upper / true)
    assert np.mean(np.concatenate(ratios) < 1.02) >= 0.9


def test_an_affine_model_is_exact():
    linear = nn.Linear(4, 3).double()
    with torch.no_grad():
        linear.weight.copy_(cloud((4,), 3))
        linear.bias.zero_()
    points = cloud((4,), 10, 1)
    found = margin_bounds(linear, points)
    assert found.exact.all()
    assert np.isinf(found.region).all()
    logits, weight = linear(points).detach(), linear.weight.detach()
    for row, point in enumerate(logits):
        own = int(point.argmax())
        gaps = [(point[own] - point[k]) / (weight[own] - weight[k]).norm() for k in range(3) if k != own]
        assert found.lower[row] == pytest.approx(float(min(gaps)), rel=1e-9)
        assert found.upper[row] == pytest.approx(float(min(gaps)), rel=1e-6)


def test_one_step_crosses_the_boundary_of_an_affine_model():
    model = balanced(dense([4, 3]), cloud((4,), 20))
    for point in cloud((4,), 10, 1):
        found = margin_bounds(model, point[None], steps=1, starts=1)
        assert found.upper[0] == pytest.approx(found.lower[0], rel=1e-6)


def test_bounds_hold_in_full_input_space():
    points = cloud((1, 4, 4), 12) * 2
    model = balanced(small_conv(2), points)
    program = read(model, (1, 4, 4))
    found = margin_bounds(model, points)
    np.testing.assert_array_equal(found.classes, predicted(program, points))
    assert (found.lower <= found.upper * (1 + 1e-9)).all()
    assert found.exact.any() or (found.lower < found.upper).all()
    there = found.others >= 0
    assert there.any()
    # the upper bound: its point was evaluated and is where it says
    moved = torch.tensor(found.found[there])
    np.testing.assert_array_equal(program.outputs(moved).argmax(1), found.others[there])
    assert (found.others[there] != found.classes[there]).all()
    np.testing.assert_allclose((moved - points[torch.tensor(there)]).flatten(1).norm(dim=1), found.upper[there])
    # the lower bound: no sample of the ball has another class
    for point, lower, own in zip(points, found.lower, found.classes, strict=True):
        assert (predicted(program, in_ball(point, lower * (1 - 1e-9), 2000)) == own).all()
    np.testing.assert_allclose(found.lower, np.minimum(found.region, found.inside))
    assert list(found.table()["lower"]) == list(found.lower)


def test_more_starts_are_never_worse_and_the_seed_decides():
    model, points = dense([6, 20, 20, 4]), cloud((6,), 15)
    one, many = margin_bounds(model, points, starts=1), margin_bounds(model, points, starts=6)
    assert (many.upper <= one.upper).all()
    np.testing.assert_array_equal(
        margin_bounds(model, points, seed=3).found, margin_bounds(model, points, seed=3).found
    )


def test_a_constant_class_has_no_upper_bound():
    model = dense([3, 5, 2])
    with torch.no_grad():
        model[2].weight.zero_()
    found = margin_bounds(model, cloud((3,), 4))
    assert np.isinf(found.upper).all()
    assert (found.others == -1).all()
    assert np.isnan(found.found).all()
    assert np.isinf(found.inside).all()
    np.testing.assert_array_equal(found.lower, found.region)


def test_a_point_on_the_boundary():
    """Of three classes, of which two tie at the first point and all at the second; the third is in a region."""
    model = nn.Sequential(nn.Linear(2, 3, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]]))
    points = torch.tensor([[1.0, 1.0], [0.0, 0.0], [2.0, 1.0]])
    found = margin_bounds(model, points)
    for bound in (found.lower, found.upper):
        np.testing.assert_allclose(bound, [0.0, 0.0, 0.5**0.5], rtol=1e-6)
        assert not np.signbit(bound).any()
    assert found.exact.all()
    assert found.classes.tolist() == [1, 0, 1]
    assert found.others.tolist() == [2, 1, 2]
    np.testing.assert_array_equal(found.found[:2], points[:2].numpy())


def test_a_tie_in_a_region_that_folds_elsewhere_and_of_one_logit():
    model, point = dense([2, 6, 1]).double(), cloud((2,), 1)
    with torch.no_grad():
        model[2].bias.sub_(model(point)[0])
    found = margin_bounds(model, point)
    assert (found.lower[0], found.upper[0], found.exact[0]) == (0.0, 0.0, True)
    assert (found.classes[0], found.others[0]) == (0, 1)
    assert found.region[0] > 0


def test_classes_that_tie_everywhere_are_no_boundary():
    model = nn.Linear(2, 2)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    found = margin_bounds(model, torch.zeros(1, 2))
    assert np.isinf(found.lower[0])
    assert np.isinf(found.upper[0])
    assert found.others.tolist() == [-1]


def test_a_tie_on_a_fold_is_not_told_to_be_exact():
    """max(x, 0) and 0: no gradient tells that the class changes; x and y, on a fold of no weight: one does."""
    one = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    other = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        one[0].weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        other[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        other[0].bias.copy_(torch.tensor([9.0, 9.0, 0.0]))
        other[2].weight.copy_(torch.eye(2, 3))
    for model in (one, other):
        found = margin_bounds(model, torch.zeros(1, 2))
        assert (found.lower[0], found.region[0], found.exact[0]) == (0.0, 0.0, False)
        assert found.upper[0] < 1e-6
        # of a point that was evaluated
        assert read(model, (2,)).outputs(torch.tensor(found.found)).argmax(1) == found.others[0] != found.classes[0]
    assert found.inside[0] == 0


def test_the_model_and_the_random_state_stay_as_they_are():
    model = small_conv().train()
    before = fingerprint(model)
    margin_bounds(model, cloud((1, 4, 4), 3))
    assert fingerprint(model) == before


def test_no_points_are_points():
    found = margin_bounds(dense([2, 4, 3]), torch.empty(0, 2))
    assert found.lower.shape == found.upper.shape == (0,)


def test_bad_input_is_told_in_one_line():
    model, points = dense([2, 4, 3]), torch.zeros(1, 2)
    with pytest.raises(ValueError, match="steps is at least 1, got 0"):
        margin_bounds(model, points, steps=0)
    with pytest.raises(ValueError, match="samples come first"):
        margin_bounds(model, points[0])
    image = nn.Sequential(dense([2, 4, 4]), nn.Unflatten(1, (2, 2)))
    with pytest.raises(ValueError, match=r"puts out \(2, 2\) an input: a margin needs a vector of logits"):
        margin_bounds(image, points)
