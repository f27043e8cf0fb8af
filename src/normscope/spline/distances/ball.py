"""Which units fold inside a ball, exactly: all regions that meet the ball are enumerated, fold by fold.

In a region of the folds before it every unit of a fold is affine, so where it is on which side is a half space, and
whether that half space, the region and the ball have a common point is a small quadratic program.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from normscope.spline.distances.cells import Cell, HalfSpaces, part_of, whole_ball
from normscope.spline.distances.gaps import unit_count
from normscope.spline.distances.jacobians import row_jacobian
from normscope.spline.reading.folds import Fold
from normscope.spline.reading.program import Program

Array = NDArray[np.float64]

SLIVER = 1e-9
"""What is thinner than twice this, in radii, is not seen: lines that merely touch make no region."""
_BYTES = 2**27  # of gradients at a time


class _Side(NamedTuple):
    """One way in which a unit may be decided: ``bits`` name the pieces (equal ones together), ``bounds`` where."""

    bits: int
    bounds: HalfSpaces


class TooManyRegions(RuntimeError):
    """There are more regions in a ball than were allowed."""


def crossing_units(
    program: Program, center: Array, radius: float, folds: list[int], budget: int
) -> dict[int, NDArray[np.int64]]:
    """Units that take more than one side inside the open ball, by fold.

    Args:
        program: the model.
        center: (d,).
        radius: of the ball.
        folds: which folds to count; those before the last are enumerated all the same.
        budget: regions that may meet the ball.

    Raises:
        TooManyRegions: there are more.
    """
    sliver = max(SLIVER, 64 * np.finfo(np.float64).eps * float(np.abs(center).max(initial=0.0)) / radius)
    cells = [whole_ball(len(center))]
    found = {}
    for index in range(max(folds) + 1):
        last = index == max(folds)
        seen: list[set[int]] = [set() for _ in range(unit_count(program.folds[index]))]
        parts: list[Cell] = []
        for cell, values, gradients in _affine(program, index, cells, center, radius):
            undecided = []
            for unit, sides in enumerate(_sides(program.folds[index], cell, values, gradients, radius, sliver)):
                if len(sides) == 1:
                    seen[unit].add(sides[0].bits)
                else:
                    undecided.append((unit, sides))
            parts += _split(cell, undecided, seen, budget - len(parts), last)
        if index in folds:
            crossing = [unit for unit, pieces in enumerate(seen) if _disjoint(pieces)]
            found[index] = np.array(crossing, dtype=np.int64)
        cells = parts
    return found


def _affine(
    program: Program, index: int, cells: list[Cell], center: Array, radius: float
) -> Iterator[tuple[Cell, Array, Array]]:
    """Each cell with the rows of a fold at its point, (U, rows), and their gradients, (U, rows, d)."""
    fold = program.folds[index]
    entries = unit_count(fold) * len(center) * (1 if fold.windows is None else fold.windows.shape[1])
    size = max(1, _BYTES // (8 * max(1, entries)))
    for start in range(0, len(cells), size):
        some = cells[start : start + size]
        points = torch.from_numpy(center + radius * np.stack([cell.point for cell in some]))
        points = points.reshape(-1, *program.input_shape)
        values, gradients = row_jacobian(program, points, index, torch.arange(unit_count(fold)))
        yield from zip(some, values.numpy(), gradients.numpy(), strict=True)


def _split(
    cell: Cell, undecided: list[tuple[int, list[_Side]]], seen: list[set[int]], budget: int, last: bool
) -> list[Cell]:
    """The parts of a cell between the boundaries of its undecided units; of the last fold only the sides are told."""
    parts = [cell]
    for unit, sides in undecided:
        fresh = []
        for part in parts:
            for side in sides:
                piece = part_of(part, side.bounds)
                if piece is not None:
                    seen[unit].add(side.bits)
                    fresh.append(piece)
        if last:
            continue
        parts = fresh
        if len(parts) > budget:
            raise TooManyRegions
    return parts


def _sides(
    fold: Fold, cell: Cell, values: Array, gradients: Array, radius: float, sliver: float
) -> Iterator[list[_Side]]:
    """For each unit the sides that it may take within the ball."""
    if fold.windows is None:
        gaps, normals = _normal_form(values[:, :1] - np.array(fold.kinks), gradients[:, :1], cell.point, radius)
        for gap, normal in zip(gaps, normals, strict=True):
            yield _between_kinks(gap, normal[0], sliver)
    else:
        for window, value, gradient in zip(fold.windows, values, gradients, strict=True):
            real = np.append(np.flatnonzero(window >= 0), len(window))
            yield _largest(value[real], gradient[real], cell.point, radius, sliver)


def _normal_form(values: Array, gradients: Array, point: Array, radius: float) -> tuple[Array, Array]:
    """Signed distance from the ball's centre in radii, infinite with the sign of the value where constant; normals."""
    norms = np.linalg.norm(gradients, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        normals = np.where(norms[..., None] > 0, gradients / norms[..., None], 0.0)
        gaps = np.where(norms > 0, values / (radius * norms) - normals @ point, np.sign(values) * np.inf)
    return np.where((norms == 0) & (values == 0), 0.0, gaps), normals


def _between_kinks(gaps: Array, normal: Array, sliver: float) -> list[_Side]:
    """Sides 0 … kinks of a unit: above so many kinks. ``gaps`` are the distances above each kink."""
    if not normal.any():  # constant: between two kinks, or on one, which is both its sides
        piece, on = int((gaps > 0).sum()), int((gaps == 0).any())
        return [_Side((1 << piece) | (on << (piece + 1)), HalfSpaces(np.empty((0, len(normal))), np.empty(0)))]
    sides = []
    order = np.sort(gaps)[::-1]  # rising kinks: each gap is smaller than the one before
    for piece in range(len(order) + 1):
        above = order[piece - 1] if piece else np.inf  # above the kink below
        below = -order[piece] if piece < len(order) else np.inf  # below the kink above
        side = _side(1 << piece, np.array([above, below]), np.stack([normal, -normal]), sliver)
        if side is not None:
            sides.append(side)
    return sides


def _largest(values: Array, gradients: Array, point: Array, radius: float, sliver: float) -> list[_Side]:
    """Sides of a window: which entry is the largest. Rows are top − entry, and top; equal entries are one side."""
    scale = np.linalg.norm(gradients[-1])  # of the top entry itself: what is a rounding of it is nothing
    values, gradients = values[:-1], gradients[:-1]
    sides, grouped = [], 0
    for entry in range(len(values)):
        if grouped >> entry & 1:
            continue
        value, gradient = values - values[entry], gradients - gradients[entry]  # entry − others, as rows fall with z
        norms = np.linalg.norm(gradient, axis=-1)
        gradient[norms <= 1e-13 * scale] = 0.0
        value[(norms <= 1e-13 * scale) & (np.abs(value) <= 1e-13 * scale * radius)] = 0.0
        gaps, normals = _normal_form(value, gradient, point, radius)
        same = (gaps == 0) & ~normals.any(-1)
        bits = int(sum(1 << int(other) for other in np.flatnonzero(same)))
        grouped |= bits
        side = _side(bits, gaps[~same], normals[~same], sliver)
        if side is not None:
            sides.append(side)
    return sides


def _side(bits: int, gaps: Array, normals: Array, sliver: float) -> _Side | None:
    """The half spaces normals · u + gaps ≥ sliver that cut the ball; None if one of them misses it."""
    if (gaps <= sliver - 1).any():
        return None
    cutting = gaps < 1
    return _Side(bits, HalfSpaces(normals[cutting], sliver - gaps[cutting]))


def _disjoint(pieces: set[int]) -> bool:
    """Whether two of the bit sets have nothing in common."""
    return any(not first & second for first in pieces for second in pieces)
