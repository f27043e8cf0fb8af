"""What a user gives to distances: what is taken, and one line on what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import normscope as ns
from normscope.spline.cutting.whole import shortly, whole_number
from normscope.spline.distances.checks import checked_radius
from normscope.spline.given import real_numbers
from normscope.spline.pictures.shown import fold_number
from reference.distances import dense

S = ns.spline
MODEL = dense([2, 4, 4, 3])
POINTS = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))

RADII: list[tuple[Any, str]] = [
    ("x", "radius is one number, a distance in input space, not 'x'"),
    (None, "radius is one number, .* not None"),
    (True, "radius is one number, .* not True"),
    (1j, "radius is one number, .* not 1j"),
    ([0.1], r"radius is one number, .* not a list of 1 \(float\)"),
    (np.ones(2), r"radius is one number, .* not an array of shape \(2,\)"),
    (torch.ones(1), r"radius is one number, .* not a tensor of shape \(1,\)"),
    (float("nan"), "radius is a positive, finite distance in input space, got nan"),
    (float("inf"), "radius is a positive, finite distance in input space, got inf"),
    (0, "radius is a positive, finite distance in input space, got 0"),
    (np.float32(-1), "radius is a positive, finite distance in input space, got -1.0"),
    (10**400, "radius is a positive, finite distance in input space, got one above all floats"),
    (-(10**400), "radius is a positive, .* got a negative whole number of 1329 bits$"),
    ("x" * 500, "radius is one number, .* not 'x{58}…$"),
    (torch.ones((), device="meta"), r"radius is one number, .* not a tensor of shape \(\)"),
]


def refused(message: str, call: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("radius", "message"), RADII)
def test_bad_radii(radius: Any, message: str) -> None:
    refused(message, lambda: S.local_complexity(MODEL, POINTS, radius))
    refused(message, lambda: S.boundary_distance(MODEL, POINTS).crossing(radius))
    refused(message, lambda: S.disc_complexity(S.partition(MODEL, None, (-1, 1, -1, 1)), [[0, 0]], radius))


@pytest.mark.parametrize("radius", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5), np.float64(0.5)])
def test_a_radius_is_any_number(radius: Any) -> None:
    found = checked_radius(radius)
    assert (found, type(found)) == (0.5, float)
    assert checked_radius(2) == checked_radius(np.int64(2)) == 2.0


INPUTS: dict[str, tuple[Any, str]] = {
    "words": ([["a", "b"]], r"inputs are a list of 1 \(list\), no array of numbers"),
    "a word": ("abc", "inputs are a str, no array of numbers"),
    "nothing": (None, "inputs are None, no array of numbers"),
    "ragged": ([[1.0, 2.0], [1.0]], "inputs have rows of several lengths: they are no array"),
    "ragged tensors": ([torch.zeros(2), torch.zeros(3)], "inputs are tensors of several shapes"),
    "complex": (np.zeros((1, 2), dtype=complex), "inputs are complex"),
    "complex tensor": (torch.zeros(1, 2, dtype=torch.complex64), "inputs are complex"),
    "dates": (np.zeros((1, 2), dtype="M8[s]"), r"inputs are an array of datetime64\[s\], no array of numbers"),
    "masked": (np.ma.masked_array([[1.0, 2.0]], [[True, False]]), "inputs are masked in places"),
    "masked rows": ([np.ma.masked_array([1.0, 2.0], [True, False])], "inputs are masked in places"),
    "history": ([[torch.ones((), requires_grad=True), torch.ones(())]], "inputs cannot be read as .* requires grad"),
    "too long": (np.array([[np.longdouble("1e400"), 1]]), "inputs hold nan or infinity"),
    "jagged": (torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged), "inputs cannot be read as"),
    "meta": (torch.zeros(1, 2, device="meta"), "inputs are on the meta device, without values"),
    "not finite": ([[0.0, 0.0], [0.0, np.inf], [np.nan, 0.0]], "nan or infinity: first in row 1, in 2 of 3"),
    "one sample": (torch.zeros(2), r"inputs have shape \(2,\): samples come first"),
    "another shape": (torch.zeros(5, 3), r"inputs have shape \(5, 3\), and the model cannot be run"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_bad_inputs(name: str) -> None:
    inputs, message = INPUTS[name]
    refused(message, lambda: S.boundary_distance(MODEL, inputs))
    refused(message, lambda: S.margin_bounds(MODEL, inputs))
    refused(message, lambda: S.local_complexity(MODEL, inputs, 0.1, method="exact"))


@pytest.mark.parametrize(
    "inputs",
    [
        [[1.0, 2.0], [0.0, -1.0]], [[1, 2], [0, -1]], torch.tensor([[1, 2], [0, -1]]),
        torch.tensor([[1.0, 2.0], [0.0, -1.0]], requires_grad=True).to_sparse(),
        np.ma.masked_array([[1, 2], [0, -1]], False), [torch.tensor([1.0, 2.0]), torch.tensor([0, -1])],
        np.array([[1, 2], [0, -1]], dtype=np.longdouble), torch.tensor([[1.0, 2.0], [0.0, -1.0]], dtype=torch.half),
    ],
)  # fmt: skip
def test_numbers_of_every_kind(inputs: Any) -> None:
    found = real_numbers("inputs", inputs)
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert found.tolist() == [[1.0, 2.0], [0.0, -1.0]]


CALLS = {
    "starts": (lambda **k: S.margin_bounds(MODEL, POINTS, **k), 1),
    "steps": (lambda **k: S.margin_bounds(MODEL, POINTS, **k), 1),
    "units": (lambda **k: S.boundary_distance(MODEL, POINTS, **k), 1),
    "budget": (lambda **k: S.local_complexity(MODEL, POINTS, 0.1, method="exact", **k), 1),
    "seed": (lambda **k: S.boundary_distance(MODEL, POINTS, **k), None),
}


@pytest.mark.parametrize("name", CALLS)
def test_whole_numbers(name: str) -> None:
    call, least = CALLS[name]
    for wrong, told in ((1.5, "1.5"), ("x", "'x'"), (True, "True"), (float("nan"), "nan"), ([1], "a list of 1")):
        refused(f"{name} is a whole number, not {told}", lambda wrong=wrong: call(**{name: wrong}))
    if least is not None:
        refused(f"{name} is at least 1, got -1", lambda: call(**{name: -1}))
        refused(f"{name} is at least 1, got 0", lambda: call(**{name: 0}))
    with pytest.raises(TypeError, match=rf"^{name} is a whole number, not 'x{{58}}…$"):
        call(**{name: "x" * 500})
    assert whole_number(name, np.int32(3), least) == whole_number(name, 3.0, least) == 3


def test_places_and_names_of_folds() -> None:
    found = S.boundary_distance(MODEL, POINTS)
    assert found.position(np.int64(1)) == found.position("3") == 1
    refused("fold is a whole number, not 1.5", lambda: found.position(1.5))
    refused("layers are names or glob patterns, not an int", lambda: S.boundary_distance(MODEL, POINTS, layers=3))
    refused("layers are names or glob", lambda: S.boundary_distance(MODEL, POINTS, layers=[3]))


def test_what_messages_show_of_a_value() -> None:
    assert [shortly(value) for value in (7, -1.5, "a\nb", np.ones(3))] == [
        "7",
        "-1.5",
        r"'a\nb'",
        "an array of shape (3,)",
    ]
    assert shortly(2**127) == str(2**127)
    assert shortly(10**6000) == "a whole number of 19932 bits"  # Python refuses to write its digits
    assert len(shortly("x" * 10**6)) == 60


def test_every_reader_of_points_refuses_the_same_with_the_same_words() -> None:
    pieces = S.partition(MODEL, None, (-1, 1, -1, 1))
    bad = (
        "abc", [[1.0, 2.0], [1.0]], np.zeros((1, 2), dtype="M8[s]"), [[torch.ones((), requires_grad=True)] * 2],
        torch.zeros(1, 2, device="meta"), np.ma.masked_array([[1.0, 2.0]], [[True, False]]), [[2**70, 1]],
    )  # fmt: skip
    for points in bad:
        said = set()
        for call in (pieces.locate, lambda p: pieces.plot(points=p), S.decision_boundary(pieces).distance,
                     lambda p: S.disc_complexity(pieces, p, 0.1)):  # fmt: skip
            with pytest.raises((ValueError, TypeError), match=r"^points ") as caught:
                call(points)
            said.add((caught.type, str(caught.value)))
        with pytest.raises(caught.type, match=r"^values of sample b "):
            ns.spline.plane_through([0.0, 0.0], points, [0.0, 1.0])
        assert len(said) == 1


class Clash(nn.Module):
    """A module that has the name of another's second call."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.first, self.second = nn.ReLU(), nn.Linear(2, 3), nn.Linear(3, 3)
        setattr(self, "act:1", nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        again = self.act(self.second(self.act(self.first(x))))
        return getattr(self, "act:1")(self.second(again))


def test_the_name_of_a_fold_comes_before_that_of_a_layer() -> None:
    program = S.read(Clash(), (2,))
    assert [(fold.layer, fold.traced) for fold in program.folds] == [
        ("act", ("act", 0)), ("act:1", ("act", 1)), ("act:1:1", ("act:1", 0)),
    ]  # fmt: skip
    found = S.boundary_distance(program, POINTS)
    pieces = S.partition(program, None, (-1, 1, -1, 1))
    for place, fold in enumerate(program.folds):
        assert found.position(fold.layer) == fold_number(pieces, fold.layer) == place
    for layers, places in (
        ("act", (0, 1)), ("act:1", (1,)), ("act:1:1", (2,)), ("*:1", (1, 2)), ("ac?", (0, 1)),
        (["act:1:1", "act"], (0, 1, 2)),
    ):  # fmt: skip
        assert S.boundary_distance(program, POINTS, layers=layers).indices == places


def test_names_and_values_that_users_give_are_clipped_in_messages() -> None:
    found, long = S.boundary_distance(MODEL, POINTS), "x" * 500
    pieces = S.partition(MODEL, None, (-1, 1, -1, 1))
    for call in (
        lambda: found.position(long), lambda: S.boundary_distance(MODEL, POINTS, layers=long),
        lambda: fold_number(pieces, long), lambda: pieces.plot(by=long), lambda: pieces.plot(linewidth=long),
    ):  # fmt: skip
        refused("'x{58}…", call)
    with pytest.raises(IndexError, match="there are folds 0 to 1, not a whole number of 1329 bits"):
        found.position(10**400)
    with pytest.raises(IndexError, match="there is no region a whole number of 1329 bits"):
        pieces.neighbours(10**400)


def test_what_is_no_partition() -> None:
    message = r"partition must be what normscope\.spline\.partition returns, not a Sequential"
    for call in (lambda: S.disc_complexity(MODEL, [[0, 0]], 0.1), lambda: S.decision_boundary(MODEL),
                 lambda: S.labelled(MODEL)):  # fmt: skip
        refused(message, call)


BATCHES: list[tuple[Any, str]] = [
    (None, "values of batch are None, no array of numbers"),
    ("abc", "values of batch are a str, no array"),
    ({"x": POINTS}, "values of batch are a dict, no array"),
    (torch.zeros(3, 2) / 0, "values of batch hold nan or infinity: first in row 0, in 3 of 3"),
    (torch.zeros(0, 2), r"batch has shape \(0, 2\): one or more samples"),
    (torch.zeros(2), r"batch has shape \(2,\): one or more samples, which come first"),
]


@pytest.mark.parametrize(("batch", "message"), BATCHES)
def test_bad_batches_of_least_squares(batch: Any, message: str) -> None:
    refused(message, lambda: S.least_squares_offsets(MODEL, batch))


def test_least_squares_take_any_numbers() -> None:
    expected = S.least_squares_offsets(MODEL, POINTS.double())
    found = S.least_squares_offsets(MODEL, POINTS.double().tolist())
    assert found.equals(expected)


def test_coordinates_of_the_plane() -> None:
    pieces = S.partition(MODEL, None, (-1, 1, -1, 1))
    boundary = S.decision_boundary(pieces)
    for points, message in ((None, "points are None"), ([["a", "b"]], "points are a list"), ([[1j, 0]], "complex")):
        refused(message, lambda points=points: boundary.distance(points))
        refused(message, lambda points=points: S.disc_complexity(pieces, points, 0.1))
    assert boundary.distance(np.zeros((0, 2))).shape == (0,)


def test_layers_are_all_calls_of_a_module_or_one_by_its_name() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(2, 3), relu, nn.Linear(3, 3), relu, nn.Linear(3, 2))
    every, second = (S.boundary_distance(model, POINTS, layers=name) for name in ("1", "1:1"))
    assert (every.layers, second.layers) == (("1", "1:1"), ("1:1",))
    assert (every.position("1"), every.position("1:1")) == (0, 1)
    np.testing.assert_array_equal(every.first_order[1], second.first_order[0])
    assert S.boundary_distance(model, POINTS, layers="*:1").layers == ("1:1",)
    assert list(every.table()["layer"][:2]) == ["1", "1:1"]
    refused(
        "no layer '1:2' folds in this model; did you mean '1:1'",
        lambda: S.boundary_distance(model, POINTS, layers="1:2"),
    )
