"""Gradients of all units at once, in pieces and in both directions, against one backward a unit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from normscope.spline import read
from normscope.spline.distances import jacobians
from normscope.spline.distances.gaps import rows, top_of, unit_count
from normscope.spline.distances.jacobians import row_gradients, row_jacobian
from reference.distances import dense, facets, small_conv

POINTS = torch.randn(7, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("most", [1, 2**12, 2**28])
def test_pieces_do_not_matter(mode, most, monkeypatch):
    program = read(small_conv(), (1, 4, 4))
    units = {index: torch.arange(unit_count(fold)) for index, fold in enumerate(program.folds)}
    whole = row_gradients(program, POINTS, units, "reverse")
    monkeypatch.setattr(jacobians, "_BYTES", most)
    found = row_gradients(program, POINTS, units, mode)
    for index in units:
        torch.testing.assert_close(found[index].values, whole[index].values, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(found[index].norms, whole[index].norms, rtol=1e-12, atol=1e-14)


def test_chosen_units_of_chosen_folds_in_any_order():
    program = read(small_conv(), (1, 4, 4))
    chosen = {2: torch.tensor([4, 1]), 0: torch.tensor([30, 2, 7])}
    found = row_gradients(program, POINTS, chosen, "forward")
    assert sorted(found) == [0, 2]
    for index, units in chosen.items():
        values, gradients = row_jacobian(program, POINTS, index, units)
        torch.testing.assert_close(found[index].values, values)
        torch.testing.assert_close(found[index].norms, gradients.norm(dim=-1))
    assert row_gradients(program, POINTS, {}) == {}


def test_full_gradients_against_one_backward_a_unit():
    program = read(small_conv(), (1, 4, 4))
    for index in (0, 2, 3):
        values, gradients = row_jacobian(program, POINTS, index, torch.arange(unit_count(program.folds[index])))
        for point, value, gradient in zip(POINTS, values, gradients, strict=True):
            expected = [unit[0] for unit in facets(program, point, index)]
            kink = program.folds[index].kinks[0]
            np.testing.assert_allclose(value[:, 0] - kink, [v for v, _ in expected], atol=1e-12)
            np.testing.assert_allclose(gradient[:, 0], [g for _, g in expected], atol=1e-12)


def test_rows_of_a_window_are_what_the_others_lack():
    program = read(small_conv(), (1, 4, 4))
    fold, z = program.folds[1], program.arguments(POINTS, 1)[1]
    units = torch.arange(unit_count(fold))
    top = top_of(fold, z, units)
    gaps = rows(fold, z, units, top)
    pooled = torch.nn.functional.max_pool2d(z.reshape(-1, 2, 4, 4), 3, stride=2, padding=1).flatten(1)
    torch.testing.assert_close(z.gather(1, top), pooled)
    windows = torch.tensor(fold.windows)
    expected = pooled[..., None] - z[:, windows.clamp(min=0)]
    torch.testing.assert_close(gaps[..., :-1], expected)
    assert (gaps[:, :, :-1][:, windows >= 0] >= 0).all()
    torch.testing.assert_close(gaps[..., -1], pooled)


def test_a_narrow_first_layer_takes_no_more_directions_than_it_has_units():
    model = dense([30, 4, 9, 2])
    program, points = read(model, (30,)), torch.randn(3, 30, dtype=torch.float64)
    assert len(jacobians._directions(program)) == 4
    units = {index: torch.arange(fold.units) for index, fold in enumerate(program.folds)}
    forward, reverse = (row_gradients(program, points, units, mode) for mode in ("forward", "reverse"))
    for index in units:
        torch.testing.assert_close(forward[index].norms, reverse[index].norms, rtol=1e-10, atol=1e-14)

    class Skip(nn.Module):
        """The input goes on beside the narrow layer."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = model[0], model[2]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(torch.relu(self.first(x)))[:, :5] + x[:, 3:8]

    skip = read(nn.Sequential(Skip(), nn.ReLU()), (30,))
    units = {index: torch.arange(fold.units) for index, fold in enumerate(skip.folds)}
    forward, reverse = (row_gradients(skip, points, units, mode) for mode in ("forward", "reverse"))
    torch.testing.assert_close(forward[1].norms, reverse[1].norms, rtol=1e-10, atol=1e-14)


def test_auto_takes_the_fewer_passes(monkeypatch):
    taken = []
    for name in ("forward", "reverse"):
        push = getattr(jacobians, f"_{name}")
        monkeypatch.setattr(
            jacobians, f"_{name}", lambda *a, name=name, push=push, **k: taken.append(name) or push(*a, **k)
        )
    wide, narrow = read(dense([2, 40, 40, 1]), (2,)), read(dense([500, 400, 3, 1]), (500,))
    for program, mode in ((wide, "forward"), (narrow, "reverse")):
        units = {index: torch.arange(fold.units) for index, fold in enumerate(program.folds)}
        passes = {
            "forward": jacobians._forward_passes(program, units),
            "reverse": jacobians._reverse_passes(program, units),
        }
        assert min(passes, key=passes.__getitem__) == mode
        row_gradients(program, torch.zeros(1, *program.input_shape, dtype=torch.float64), units)
        assert taken.pop() == mode
