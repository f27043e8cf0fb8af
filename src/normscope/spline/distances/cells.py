"""Convex cells inside a ball: half spaces around a centre, and whether they have a point in common within it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]


class HalfSpaces(NamedTuple):
    """The set {u: normals · u ≥ offsets}, in units of the ball's radius, from its centre; normals have length 1."""

    normals: Array  # (c, d)
    offsets: Array  # (c,)

    def with_rows(self, other: HalfSpaces) -> HalfSpaces:
        """Both sets of conditions."""
        return HalfSpaces(np.concatenate([self.normals, other.normals]), np.concatenate([self.offsets, other.offsets]))

    def holds(self, point: Array) -> bool:
        """Whether a point, (d,), meets all of them."""
        return bool((self.normals @ point >= self.offsets).all())


class Cell(NamedTuple):
    """A convex piece of the ball on which all folds so far are on one side, and a point in it."""

    bounds: HalfSpaces
    point: Array  # (d,)


def whole_ball(dimension: int) -> Cell:
    """No conditions; the centre."""
    return Cell(HalfSpaces(np.empty((0, dimension)), np.empty(0)), np.zeros(dimension))


def part_of(cell: Cell, bounds: HalfSpaces) -> Cell | None:
    """The part of a cell that meets further conditions; None if there is none inside the open unit ball."""
    both = cell.bounds.with_rows(bounds)
    if bounds.holds(cell.point):
        return Cell(both, cell.point)
    point = closest_point(both)
    return None if point is None else Cell(both, point)


def closest_point(bounds: HalfSpaces) -> Array | None:
    """The point of the set that is closest to the centre, (d,); None if none is closer than 1.

    Least distance programming: with λ ≥ 0 of the smallest residual ρ of [normalsᵀ; offsetsᵀ] λ = (0, …, 0, 1), it is
    normalsᵀλ/ρ², at the distance √(1/ρ² − 1). So what is empty (ρ = 0) or far needs no tolerance: ρ² ≤ 1/2.

    Raises:
        ArithmeticError: the solver did not converge.

    Source: Lawson, Hanson, Solving Least Squares Problems (1974), chapter 23.4.
    """
    if not len(bounds.offsets):
        return np.zeros(bounds.normals.shape[1])
    system = np.vstack([bounds.normals.T, bounds.offsets])
    target = np.zeros(len(system))
    target[-1] = 1.0
    try:
        multipliers, residual = nnls(system, target, maxiter=50 * sum(system.shape))
    except RuntimeError as error:
        raise ArithmeticError(f"least distance programming with {len(bounds.offsets)} conditions: {error}") from error
    square = residual * residual
    return None if square <= 0.5 else np.asarray(bounds.normals.T @ multipliers / square)
