"""A program against the model that it was read from: outputs, what every non-linearity is given, step by step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from program_cases import CASES, MODULES, WRITTEN, Answer, LogitsBeside, built
from torch import Tensor, nn

from normscope import models
from normscope.spline.reading.program import Program, read
from reference.folds import float64_eval, given_to_modules, maxima

TIGHT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}
each_case = pytest.mark.parametrize("name", CASES)


def points(count: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """Of the float64 copy, as float64 constants have it."""
    twin = float64_eval(model)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            found = twin(inputs.clone())
    finally:
        torch.set_default_dtype(torch.float32)
    if isinstance(found, Answer | LogitsBeside):
        return found.values if isinstance(found, Answer) else found.logits
    found = found["logits"] if isinstance(found, dict) else found
    return found[-1] if isinstance(found, tuple) else found


@each_case
def test_outputs_are_those_of_the_model_for_every_number_of_points(name: str) -> None:
    model, shape = built(CASES[name]), CASES[name][1]
    program = read(model, shape)
    inputs = points(7, shape)
    expected = outputs(model, inputs)
    for count in (7, 1, 0):
        found = program.outputs(inputs[:count])
        assert found.shape == expected[:count].shape == (count, *program.output_shape)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected[:count], **TIGHT)


@pytest.mark.parametrize("name", MODULES)
def test_arguments_are_what_hooks_see(name: str) -> None:
    model, shape = built(CASES[name]), CASES[name][1]
    program = read(model, shape)
    inputs = points(5, shape)
    expected = given_to_modules(float64_eval(model), inputs)
    assert [fold.traced[0] for fold in program.folds] == [layer for layer, _ in expected]
    for fold, found, (_, argument) in zip(program.folds, program.arguments(inputs), expected, strict=True):
        assert found.shape == (5, fold.units) == (5, math.prod(fold.shape))
        torch.testing.assert_close(found, argument, **TIGHT)


@pytest.mark.parametrize("name", WRITTEN)
def test_functions_are_told_by_kind(name: str) -> None:
    program = read(built(CASES[name]), CASES[name][1])
    assert [fold.kind for fold in program.folds] == WRITTEN[name][2].split()


@each_case
def test_stepping_splitting_and_joining_gives_the_same_numbers(name: str) -> None:
    shape = CASES[name][1]
    program = read(built(CASES[name]), shape)
    inputs = points(5, shape)
    state = program.start(inputs)
    for index, argument in enumerate(program.arguments(inputs)):
        assert state.index == index
        assert len(state) == 5
        torch.testing.assert_close(program.argument(state), argument, **TIGHT)
        parts = state.take(np.array([3, 4])), state.take(torch.tensor([True, True, False, False, False]))
        again = parts[1].cat(state.take([2]), parts[0])
        assert again.bytes == state.bytes
        advanced = program.advance(again)
        torch.testing.assert_close(program.argument(state), argument, rtol=0, atol=0)  # a state stays what it is
        state = advanced
    torch.testing.assert_close(program.result(state), program.outputs(inputs), **TIGHT)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("padded by infinity",)])
def test_windows_hold_the_places_that_torch_takes_the_maximum_of(name: str) -> None:
    program = read(built(CASES[name]), CASES[name][1])
    state = program.start(points(3, CASES[name][1]))
    while state.index < len(program.folds):
        fold, argument = program.folds[state.index], program.argument(state)
        step = program._graph.stretches[state.index + 1][0]
        if fold.windows is not None:
            assert fold.kinks == ()
            values = dict(state.live)
            step.run(values, 3)
            expected = values[step.outputs[0]].reshape(3, -1)
            expected = -expected if step.name in ("min", "amin") else expected
            np.testing.assert_array_equal(maxima(argument.numpy(), fold.windows), expected.numpy())
        state = program.advance(state)


def test_entries_of_minus_infinity_are_left_out_of_the_windows() -> None:
    program = read(built(CASES["padded by infinity"]), (1, 5, 5))
    (fold,) = program.folds
    assert fold.shape == (3, 6, 6)
    assert fold.windows is not None
    assert (fold.windows == -1).sum() == 3 * (5 + 5 + 1)
    assert program.arguments(points(2, (1, 5, 5)))[0].isfinite().all()


def test_kinks() -> None:
    modules = [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-2, 3), nn.Hardtanh(-math.inf, 1), nn.Softshrink(0.5), nn.PReLU(3)]
    program = read(nn.Sequential(*modules, nn.Hardsigmoid()), (3, 2))
    kinks = [fold.kinks for fold in program.folds]
    assert kinks == [(0.0,), (0.0, 6.0), (-2.0, 3.0), (1.0,), (-0.5, 0.5), (0.0,), (-3.0, 3.0)]
    assert [fold.kind for fold in program.folds][1:4] == ["relu6", "hardtanh", "hardtanh"]


def affine_pieces(program: Program, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Along a segment, all arguments and outputs at 9 points, and the same from the ends by interpolation."""
    weights = torch.linspace(0, 1, 9, dtype=torch.float64).reshape(-1, *(1,) * len(program.input_shape))
    along = (1 - weights) * ends[0] + weights * ends[1]
    found = torch.cat([*program.arguments(along), program.outputs(along).flatten(1)], dim=1)
    flat = weights.reshape(-1, 1)
    return found, (1 - flat) * found[0] + flat * found[-1]


def folds_between(program: Program, ends: Tensor) -> bool:
    for fold, argument in zip(program.folds, program.arguments(ends), strict=True):
        if any(bool(((argument[0] > kink) != (argument[1] > kink)).any()) for kink in fold.kinks):
            return True
        if fold.windows is not None:
            padded = torch.cat([argument, torch.full((2, 1), -math.inf)], dim=1)  # the place of −1
            first, second = padded[:, torch.from_numpy(fold.windows)].argmax(2)
            if not torch.equal(first, second):
                return True
    return False


_READ = {name: read(built(CASES[name]), CASES[name][1]) for name in ("mlp", "resnet A", "pooling", "maximum", "amax")}


@pytest.mark.parametrize("name", _READ)
@given(seed=st.integers(0, 10**6), exponent=st.floats(-6, 0.5))
def test_where_no_argument_passes_a_kink_everything_is_affine(name: str, seed: int, exponent: float) -> None:
    program = _READ[name]
    start, direction = points(2, program.input_shape, seed)
    ends = torch.stack([start, start + 10**exponent * direction])
    found, expected = affine_pieces(program, ends)
    # the segment is convex and z affine up to each fold: no sign changes inside that does not change at the ends
    if not folds_between(program, ends):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * (1 + float(found.abs().max())))


def test_across_a_kink_the_outputs_are_not_affine() -> None:
    ends = torch.stack([torch.full((2,), -5.0, dtype=torch.float64), torch.full((2,), 5.0, dtype=torch.float64)])
    assert folds_between(_READ["mlp"], ends)
    found, expected = affine_pieces(_READ["mlp"], ends)
    assert (found - expected).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["mlp", "resnet A", "pooling", "amax", "clamp by a tensor"])
def test_gradients_of_arguments_and_outputs(name: str) -> None:
    program = _READ.get(name) or read(built(CASES[name]), CASES[name][1])
    inputs = points(1, program.input_shape).requires_grad_()
    step = 1e-6 * points(1, program.input_shape, 1)
    for function in (lambda x: program.arguments(x)[-1], program.outputs):
        _, slope = torch.autograd.functional.jvp(function, inputs, step)
        difference = (function(inputs + step) - function(inputs - step)) / 2
        torch.testing.assert_close(slope, difference.detach(), rtol=1e-6, atol=1e-12)


def test_only_what_comes_before_a_fold_is_computed() -> None:
    program = read(models.mlp(2, 4, 3), (2,))
    assert [len(program.arguments(points(3, (2,)), upto)) for upto in (0, 1, 2, None)] == [1, 2, 3, 3]
    after = program._stretches[2]
    after[0] = None  # type: ignore[call-overload]  # breaks it on purpose
    assert len(program.arguments(points(3, (2,)), 1)) == 2


@each_case
def test_nothing_is_kept_that_nothing_reads(name: str) -> None:
    program = read(built(CASES[name]), CASES[name][1])
    alive = {0}
    for stretch, needed in zip(program._stretches, program._axes, strict=True):
        for step, free in stretch:
            alive = (alive | set(step.outputs)) - set(free)
        assert alive == set(needed)


def test_statistics_of_a_batch_are_those_of_train_mode() -> None:
    model = models.cifar_resnet(8, width=2)
    batch = points(6, (3, 8, 8))
    program = read(model, (3, 8, 8), batch=batch)
    expected = float64_eval(model).train()(batch)
    torch.testing.assert_close(program.outputs(batch), expected.detach(), **TIGHT)
    torch.testing.assert_close(program.outputs(batch[:1]), expected[:1].detach(), **TIGHT)  # frozen


@pytest.mark.parametrize("norm", ["recenter", "rescale"])
def test_statistics_of_a_batch_in_decomposed_layers(norm: str) -> None:
    model = models.mlp(3, 5, 3, norm=norm)
    batch = points(8, (3,))
    expected = float64_eval(model).train()(batch).detach()
    torch.testing.assert_close(read(model, (3,), batch=batch).outputs(batch), expected, **TIGHT)


def test_a_batch_norm_that_is_called_twice_or_keeps_no_statistics() -> None:
    norm = nn.BatchNorm1d(4, track_running_stats=False)
    model = nn.Sequential(nn.Linear(4, 4), norm, nn.ReLU(), nn.Linear(4, 4), norm, nn.ReLU())
    batch = points(8, (4,))
    program = read(model, (4,), batch=batch)
    expected = float64_eval(model).train()(batch).detach()
    torch.testing.assert_close(program.outputs(batch), expected, **TIGHT)
    torch.testing.assert_close(program.outputs(batch[:3]), expected[:3], **TIGHT)


def test_wrong_calls_are_told() -> None:
    program = read(models.mlp(2, 4, 2), (2,))
    with pytest.raises(ValueError, match=r"points have shape \(3, 4\).*inputs of shape \(2,\)"):
        program.outputs(points(3, (4,)))
    with pytest.raises(ValueError, match="upto must be a fold, 0 to 1, not 2"):
        program.arguments(points(3, (2,)), 2)
    state = program.start(points(3, (2,)))
    with pytest.raises(ValueError, match="the state is before fold 0 of 2"):
        program.result(state)
    later = program.advance(state)
    with pytest.raises(ValueError, match="at fold 0 and at fold 1 cannot be joined"):
        state.cat(later)
    end = program.advance(later)
    for function in (program.advance, program.argument):
        with pytest.raises(ValueError, match="all folds are passed"):
            function(end)


def test_a_batch_norm_of_nearly_equal_numbers_is_read_although_rounding_is_large_beside_them() -> None:
    """Arguments of 1e-14 that are left of numbers near 1: for one sample alone they are rounded otherwise."""
    torch.manual_seed(0)
    first = nn.Linear(64, 64)
    with torch.no_grad():
        first.weight.mul_(1e-13)
    batch = torch.randn(16, 64)
    model = nn.Sequential(first, nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 1))
    assert [fold.kind for fold in read(model, (64,), batch=batch).folds] == ["relu"]
