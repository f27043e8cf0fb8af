"""Gradients of the arguments of folds with respect to the input, for many points and units at once.

Either tangents that span the input, as far as the first layer sees it, are pushed forward through all layers, or a
cotangent for each unit is pulled back; both in batches, so that a multilayer perceptron costs a chain of matrix
products and no unit a pass of its own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from normscope.spline.distances.gaps import rows, top_of
from normscope.spline.reading.program import Program

Mode = Literal["auto", "forward", "reverse"]

_BYTES = 2**28  # that one pass may take, roughly
_LIVE = 6  # tensors of the largest size that are alive at once


class Gradients(NamedTuple):
    """Of the rows of one fold at m points.

    Attributes:
        values: `normscope.spline.distances.gaps.rows` of the argument, (m, U, rows).
        norms: ‖∇ row‖ with respect to the flattened input, (m, U, rows).
        top: the largest entry of each window, (m, U); None without windows.
    """

    values: Tensor
    norms: Tensor
    top: Tensor | None


def row_gradients(
    program: Program, points: Tensor, units: Mapping[int, Tensor], mode: Mode = "auto"
) -> dict[int, Gradients]:
    """Rows of the chosen units of the chosen folds, and the norms of their gradients.

    Args:
        program: the model.
        points: (m, *input_shape), float64.
        units: which units of which fold, index of the fold to (U,).
        mode: "forward", tangents along orthonormal directions; "reverse", a cotangent for each row; "auto", the one
            that takes fewer passes through layers.

    Returns:
        By fold.

    Raises:
        ValueError: an unknown mode.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"mode is one of {', '.join(get_args(Mode))}, got {mode!r}")
    if not units:
        return {}
    units = dict(sorted(units.items()))
    with _quiet():
        if mode == "auto":
            mode = "forward" if _forward_passes(program, units) <= _reverse_passes(program, units) else "reverse"
        push: Callable[[Tensor], dict[int, Gradients]] = partial(_reverse, program, units=units)
        if mode == "forward":
            push = partial(_forward, program, directions=_directions(program), units=units)
        parts = [push(part) for part in points.split(_points_at_once(program, units))]
    return {index: _joined([part[index] for part in parts]) for index in units}


def row_jacobian(program: Program, points: Tensor, index: int, units: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of one fold and their full gradients, for small models.

    Returns:
        values (m, U, rows); gradients (m, U, rows, d), d numbers an input.
    """
    points = points.detach().clone().requires_grad_()
    with torch.enable_grad():
        z = program.arguments(points, index)[index]
        values = rows(program.folds[index], z, units, top_of(program.folds[index], z.detach(), units))
    pulled = [part.movedim(0, 1) for part in pulled_back(values.flatten(1), points)]  # (m, k, d)
    return values.detach(), torch.cat(pulled, 1).reshape(*values.shape, math.prod(program.input_shape))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of its own insides: its first forward derivative compiles with a deprecated function."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\..*")
        warnings.filterwarnings("ignore", message=".*batching rule.*", category=UserWarning)
        yield


def _forward(
    program: Program, points: Tensor, *, directions: Tensor, units: Mapping[int, Tensor]
) -> dict[int, Gradients]:
    last = max(units)

    def arguments(x: Tensor) -> tuple[Tensor, ...]:
        z = program.arguments(x, last)
        return tuple(z[index] for index in units)

    def pushed(tangent: Tensor) -> tuple[Tensor, ...]:
        out: tuple[Tensor, ...] = torch.func.jvp(arguments, (points,), (tangent.expand_as(points),))[1]
        return out

    with torch.no_grad():
        z = dict(zip(units, arguments(points), strict=True))
        tops = {index: top_of(program.folds[index], z[index], units[index]) for index in units}
        values = {index: rows(program.folds[index], z[index], units[index], tops[index]) for index in units}
        squares = {index: torch.zeros_like(values[index]) for index in units}
        for some in directions.split(_directions_at_once(program, points, units)):
            tangents = torch.func.vmap(pushed)(some)
            for index, tangent in zip(units, tangents, strict=True):
                squares[index] += rows(program.folds[index], tangent, units[index], tops[index]).square().sum(0)
    return {index: Gradients(values[index], squares[index].sqrt(), tops[index]) for index in units}


def _reverse(program: Program, points: Tensor, *, units: Mapping[int, Tensor]) -> dict[int, Gradients]:
    points = points.detach().clone().requires_grad_()
    found = {}
    with torch.enable_grad():
        arguments = program.arguments(points, max(units))
    for index in units:
        fold, z = program.folds[index], arguments[index]
        top = top_of(fold, z.detach(), units[index])
        with torch.enable_grad():
            values = rows(fold, z, units[index], top)
        norms = [torch.linalg.vector_norm(part, dim=-1) for part in pulled_back(values.flatten(1), points)]
        found[index] = Gradients(values.detach(), torch.cat(norms).T.reshape(values.shape), top)
    return found


def pulled_back(values: Tensor, points: Tensor) -> Iterator[Tensor]:
    """Gradients of the columns of ``values`` (m, columns), each (k, m, d) for k columns at a time."""
    m, columns = values.shape
    if not values.requires_grad:  # no points, or nothing that depends on them
        yield points.new_zeros(columns, m, math.prod(points.shape[1:]))
        return
    size = max(1, _BYTES // (8 * _LIVE * max(1, points.numel() + values.numel())))
    for start in range(0, columns, size):
        with torch.enable_grad():
            part = values[:, start : start + size]
        one_hot = torch.eye(part.shape[1], dtype=part.dtype).unsqueeze(1).expand(-1, m, -1)
        (pulled,) = torch.autograd.grad(
            part, points, one_hot, retain_graph=True, is_grads_batched=True, materialize_grads=True
        )
        yield pulled.flatten(2)


def _directions(program: Program) -> Tensor:
    """Orthonormal directions of input space that hold every gradient, (r, *input_shape).

    What the model keeps of its input before the first fold is a linear image of it: gradients lie in the row space of
    that map, which for a narrow first layer is much smaller than input space.
    """
    d = math.prod(program.input_shape)
    if _kept(program) >= d:
        return torch.eye(d, dtype=torch.float64).reshape(d, *program.input_shape)
    origin = torch.zeros(1, *program.input_shape, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        live = torch.cat([tensor.reshape(1, -1) for tensor in program.start(origin).live.values()], 1)
    rows = torch.cat(list(pulled_back(live, origin)))[:, 0]
    orthonormal: Tensor = torch.linalg.qr(rows.T).Q
    return orthonormal.T.reshape(-1, *program.input_shape)


def _kept(program: Program) -> int:
    """Numbers that the model keeps of one input before the first fold."""
    with torch.no_grad():
        return program.start(torch.zeros(1, *program.input_shape, dtype=torch.float64)).bytes // 8


def _directions_at_once(program: Program, points: Tensor, units: Mapping[int, Tensor]) -> int:
    live = points.numel() + len(points) * sum(program.folds[index].units for index in range(max(units) + 1))
    return max(1, _BYTES // (8 * _LIVE * max(1, live)))


def _points_at_once(program: Program, units: Mapping[int, Tensor]) -> int:
    """So many that a few directions of each fit."""
    live = math.prod(program.input_shape) + sum(program.folds[index].units for index in range(max(units) + 1))
    return max(1, _BYTES // (8 * _LIVE * 16 * live))


def _forward_passes(program: Program, units: Mapping[int, Tensor]) -> int:
    return min(math.prod(program.input_shape), _kept(program)) * (max(units) + 1)


def _reverse_passes(program: Program, units: Mapping[int, Tensor]) -> int:
    """Rows times the layers that each is pulled back through."""
    counts = {index: 1 if (w := program.folds[index].windows) is None else w.shape[1] + 1 for index in units}
    return sum(len(chosen) * counts[index] * (index + 1) for index, chosen in units.items())


def _joined(parts: list[Gradients]) -> Gradients:
    tops = [part.top for part in parts if part.top is not None]
    return Gradients(
        torch.cat([part.values for part in parts]),
        torch.cat([part.norms for part in parts]),
        torch.cat(tops) if tops else None,
    )
