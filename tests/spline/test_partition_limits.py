"""Limits, interruption, progress, memory, and what is said of input that makes no sense."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fingerprint import fingerprint
from normscope.spline import partition, plane_through, read
from normscope.spline.cutting import values as values_module
from spline.test_partition import perceptron

WINDOW = (-1.0, 1.0, -1.0, 1.0)


def test_a_limit_keeps_the_folds_that_are_done_and_says_so() -> None:
    model = perceptron(width=20, depth=3)
    whole = partition(model, None, WINDOW)
    first = partition(model[:2], None, WINDOW)
    limit = len(first) + 1
    expected = (
        f"the partition is not complete: fold 2 of 3 (layer '3') would make more than {limit} regions of "
        f"{len(first)}: take a smaller window, or raise max_regions"
    )
    with pytest.warns(RuntimeWarning, match=re.escape(expected)):
        found = partition(model, None, WINDOW, max_regions=limit)
    assert not found.complete
    assert found.folds_done == 1
    assert "not complete: fold 2 of 3" in repr(found)
    np.testing.assert_array_equal(found.area, first.area)
    assert found.verify().ok
    assert partition(model, None, WINDOW, max_regions=len(whole)).complete
    with pytest.warns(RuntimeWarning, match=f"fold 3 of 3 .* more than {len(whole) - 1} regions"):
        assert partition(model, None, WINDOW, max_regions=len(whole) - 1).folds_done == 2
    assert partition(model, None, WINDOW, max_regions=float(len(whole))).complete  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "error", "told"),
    [
        *((count, TypeError, rf"is a whole number, not {re.escape(repr(count))}$") for count in ("x", 2.5, True)),
        (float("nan"), TypeError, "is a whole number, not nan$"),
        (float("inf"), TypeError, "is a whole number, not inf$"),
        ([3], TypeError, "is a whole number, not a list of 1"),
        (0, ValueError, "is at least 1, got 0$"),
        (-1, ValueError, "is at least 1, got -1$"),
    ],
)
def test_counts_that_make_no_sense(count: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=f"^max_regions {told}"):
        partition(perceptron(), None, WINDOW, max_regions=count)
    with pytest.raises(error, match=f"^regions {told}"):
        partition(perceptron(width=3), None, WINDOW).verify(regions=count)


def test_progress_goes_from_nothing_to_all_folds() -> None:
    calls: list[tuple[float, float, str]] = []
    found = partition(perceptron(depth=3), None, WINDOW, progress=lambda *call: calls.append(call))
    done = [call[0] for call in calls]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 3)
    assert {call[1] for call in calls} == {3}
    assert [fold.layer for fold in found.folds] == list(dict.fromkeys(call[2] for call in calls[:-1]))


def interrupt_at(fold: int) -> Any:
    pressed = []

    def progress(done: float, total: float, what: str) -> None:
        if done >= fold and not pressed:
            pressed.append(done)
            raise KeyboardInterrupt

    return progress


def test_an_interruption_is_raised_or_keeps_what_is_done() -> None:
    model = perceptron(depth=3)
    with pytest.raises(KeyboardInterrupt):
        partition(model, None, WINDOW, progress=interrupt_at(2))
    with pytest.warns(RuntimeWarning, match=r"not complete: interrupted in fold 3 of 3 \(layer '5'\)"):
        found = partition(model, None, WINDOW, progress=interrupt_at(2), keep_interrupted=True)
    assert found.folds_done == 2
    assert found.verify().ok


def test_little_memory_computes_again_and_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = perceptron(width=30, depth=3)
    whole = partition(model, None, WINDOW)
    monkeypatch.setattr(values_module, "_PIECE", 2**12)
    pieces = partition(model, None, WINDOW)
    monkeypatch.setattr(values_module, "_KEPT", 0)
    monkeypatch.setattr(values_module.Values.__init__, "__kwdefaults__", {"kept": 0})
    forgetful = partition(model, None, WINDOW)
    for found in (pieces, forgetful):
        assert found.edges[["left", "right", "fold", "unit"]].equals(whole.edges[["left", "right", "fold", "unit"]])
        np.testing.assert_allclose(found.vertices, whole.vertices, atol=1e-12)
        assert found.verify().ok


def test_the_model_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1)).train()
    before = fingerprint(model)
    partition(model, None, WINDOW, batch=torch.randn(9, 2, generator=torch.Generator().manual_seed(0)))
    assert fingerprint(model) == before


@pytest.mark.parametrize(
    ("extent", "message"),
    [
        ((0, 0, 0, 1), "the window is empty: xmin = 0 must be below xmax = 0"),
        ((0, 1, 2, 1), "the window is reversed: ymin = 2 must be below ymax = 1"),
        ((0, 1, 0), "extent must be four finite numbers (xmin, xmax, ymin, ymax), got (0, 1, 0)"),
        ((0, float("nan"), 0, 1), "extent must be four finite numbers (xmin, xmax, ymin, ymax), got (0, nan, 0, 1)"),
        (7, "extent must be four finite numbers (xmin, xmax, ymin, ymax), got 7"),
        ("0101", "extent must be four finite numbers (xmin, xmax, ymin, ymax), got '0101'"),
        (("0", "1", 0, 1), "extent must be four finite numbers (xmin, xmax, ymin, ymax), got ('0', '1', 0, 1)"),
        ({0, 1, 2, 3}, "extent must be four finite numbers (xmin, xmax, ymin, ymax), got {0, 1, 2, 3}"),
        ((0, 1, 0, None), "extent must be four finite numbers (xmin, xmax, ymin, ymax), got (0, 1, 0, None)"),
        ((-1e200, 1, 0, 1), "extent: coordinates are at most 1e+100, and a window at least 1e-100, got (-1e+200, "),
        (
            (0, 1e-150, 0, 1e-150),
            "extent: coordinates are at most 1e+100, and a window at least 1e-100, got (0, 1e-150",
        ),
        (
            (1e8, 1e8 + 1e-6, 0, 1),
            "the window is 1.0e-06 wide in x, where coordinates are up to 1e+08: too narrow for ",
        ),
        ((0, 1, 0, 1e-14), "the window is 1.0e-14 wide in y, where coordinates are up to 1: too narrow for float64; "),
    ],
)
def test_windows_that_make_no_sense(extent: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        partition(perceptron(), None, extent)


@pytest.mark.parametrize(
    ("plane", "message"),
    [
        (torch.zeros(3, 2), "three arrays of the shape of one input, or None, got Tensor of shape (3, 2)"),
        ("abc", "plane must be (origin, u, v), three arrays of the shape of one input, or None, got str"),
        ((torch.zeros(2), torch.ones(2)), "three arrays of the shape of one input, or None, got 2 of them"),
        (plane_through([0, 0], [1, 0], [0, 1]), "got two: plane_through returns the plane and where the samples are"),
        ((0, 1, 2), "an input of shape () has no plane: it takes at least two numbers"),
        ((np.zeros(2), np.ones(3), np.ones(2)), "u of the plane has shape (3,), but one input has (2,)"),
        ((np.zeros(2), np.zeros(2), np.ones(2)), "u of the plane is zero: it takes two directions that are not"),
        ((np.zeros(2), np.ones(2), -2 * np.ones(2)), "u and v of the plane are parallel: it takes two directions that"),
        ((np.zeros(2), np.array([1.0, np.inf]), np.ones(2)), "values of the plane's u hold nan or infinity"),
    ],
)  # fmt: skip
def test_planes_that_make_no_sense(plane: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        partition(perceptron(), plane, WINDOW)


@pytest.mark.parametrize(
    ("plane", "message"),
    [
        ((["a", "b"], np.zeros(2), np.ones(2)), "values of the plane's origin are a list of 2 (str, str), no array of"),
        ((np.zeros(2), np.array([None, 1]), np.ones(2)), "values of the plane's u are an array of object, no array of"),
        ((np.zeros(2), np.ones(2), torch.ones(2) * 1j), "values of the plane's v are complex, and must be real"),
        ((np.zeros(2), np.array(["0", "1"]), np.ones(2)), "values of the plane's u are an array of <U1, no array of"),
        ((np.zeros(2), np.ones(2), None), "values of the plane's v are None, no array of numbers"),
    ],
)  # fmt: skip
def test_planes_that_are_no_numbers(plane: Any, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        partition(perceptron(), plane, WINDOW)


@pytest.mark.parametrize(
    "plane",
    [
        ([0, 0], [1, 0], [0, 1]),
        (torch.zeros(2).half(), np.array([0.0, 1.0])[::-1], torch.tensor([0, 1])),
        (np.zeros(2, dtype=">f4"), torch.tensor([1.0, 0.0], requires_grad=True), torch.tensor([0.0, 1.0]).to_sparse()),
    ],
)
def test_planes_of_any_kind_of_array_are_the_same(plane: Any) -> None:
    found, expected = partition(perceptron(), plane, WINDOW), partition(perceptron(), None, WINDOW)
    np.testing.assert_array_equal(found.vertices, expected.vertices)


def test_numbers_in_lists_keep_their_digits() -> None:
    assert partition(perceptron(), ([0.1, 0.2], [1, 0], [0, 1]), WINDOW).plane.origin.tolist() == [0.1, 0.2]


def test_directions_may_be_small() -> None:
    """Their squares are zero in float64."""
    small = partition(perceptron(), ([0.5, 0.25], [1e-200, 0.0], [0.0, 1e-200]), WINDOW)
    assert len(small) == 1


def test_a_plane_of_another_dimension_names_both() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with pytest.raises(ValueError, match=r"the plane is one of inputs of shape \(2,\), and the model cannot take"):
        partition(model, None, WINDOW)
    with pytest.raises(ValueError, match=r"the plane is one of inputs of shape \(5,\), and the model cannot take"):
        partition(model, (torch.zeros(5), torch.eye(5)[0], torch.eye(5)[1]), WINDOW)


def test_planes_through_samples_that_give_none() -> None:
    a, b = torch.zeros(4), torch.arange(4.0)
    for samples, message in (
        ((a, b, 3 * b), "the three samples lie on a line, so they give no plane: take three others"),
        ((a, a, b), "samples a and b are the same point, so they give no plane: take three others"),
        ((a, b, a), "samples a and c are the same point, so they give no plane: take three others"),
        ((a, b, torch.zeros(2, 2)), "the three samples must have one shape, got (2, 2), (4,)"),
        ((a, b, torch.tensor([0.0, 0.0, torch.nan, 0.0])), "values of sample c hold nan or infinity"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            plane_through(*samples)


def test_a_plane_through_samples_has_their_distances() -> None:
    generator = np.random.default_rng(0)
    samples = generator.normal(size=(3, 2, 5)) + 1000
    (origin, u, v), places = plane_through(*samples)
    assert u.norm() == pytest.approx(1, abs=1e-15)
    assert v.norm() == pytest.approx(1, abs=1e-15)
    assert (u * v).sum() == pytest.approx(0, abs=1e-15)
    np.testing.assert_array_equal(origin, samples[0])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(places[i] - places[j]) == pytest.approx(
            np.linalg.norm(samples[i] - samples[j]), rel=1e-12
        )


def test_a_plane_through_samples_that_are_nearly_on_a_line_is_orthogonal() -> None:
    generator = np.random.default_rng(1)
    b, off = generator.normal(size=(2, 50))
    (_, u, v), _ = plane_through(np.zeros(50), b, 2 * b + 1e-9 * off)
    assert abs(float((u * v).sum())) < 1e-14


def test_a_program_has_its_statistics_already() -> None:
    program = read(nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU()), (2,))
    with pytest.raises(ValueError, match=r"a program has its statistics already; give the batch to spline\.read"):
        partition(program, None, WINDOW, batch=torch.randn(8, 2))
