"""On which side of its kinks each unit is, at any points: straight from the model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from normscope.spline.cutting.columns import Columns
from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.plane import Plane
from normscope.spline.cutting.ragged import Integers
from normscope.spline.cutting.signs import TOLERANCE
from normscope.spline.reading.program import Program, State

_DOUBT = 64.0  # times the tolerance of the signs: zero along an edge whose ends were placed within it
_PIECE = 2**22  # bytes of one layer of the points that are looked at together


class Patterns:
    """The model at points of a plane, as far as ``folds`` folds.

    Attributes:
        columns: of each of the folds.
        tolerances: up to which size |z − kink| of their units counts as zero, (units,) each.
        widest: most numbers of one layer at a point.
    """

    def __init__(self, program: Program, plane: Plane, columns: list[Columns], tolerances: tuple[Floats, ...]) -> None:
        self._program, self._plane = program, plane
        self.columns, self.tolerances = columns, tolerances
        self.widest = max([plane.origin.numel(), *(fold.units for fold in program.folds)])

    def values(self, xy: Floats) -> Floats:
        """What is affine on every region, (m, values): the output, or the argument of the first fold not yet cut."""
        state = self._start(xy)
        while state.index < len(self.columns):
            state = self._program.advance(state)
        done = state.index == len(self._program.folds)
        found = self._program.result(state) if done else self._program.argument(state)
        return found.reshape(len(xy), -1).numpy()

    def at(self, xy: Floats) -> Iterator[NDArray[np.int64]]:
        """The pattern of each fold, (m, units), or (m, outputs) of max pooling.

        It is the number of kinks below z, or which candidate is the largest of its window.
        """
        for fold, (columns, z) in enumerate(zip(self.columns, self._arguments(xy), strict=True)):
            yield self._pattern(fold, columns, z)

    def active(self, xy: Floats) -> Integers:
        """How many units of each fold are active at points inside regions, (folds, m); of max pooling none.

        A unit is active above an odd number of its kinks: above its only one, between its two.
        """
        found = np.zeros((len(self.columns), len(xy)), dtype=np.int64)
        size = max(1, _PIECE // (8 * self.widest))
        for low in range(0, len(xy), size):
            rows = slice(low, low + size)
            for fold, z in enumerate(self._arguments(xy[rows])):
                kinks, tolerance = self._program.folds[fold].kinks, self.tolerances[fold]
                odd = np.zeros(z.shape, dtype=np.bool_)
                for kink in kinks:  # none of max pooling
                    odd ^= z > kink + tolerance  # a unit at its kink all over a region differs from it by rounding
                found[fold, rows] = odd.sum(axis=1)
        return found

    def on_edge(
        self, xy: Floats, ends: Integers, fold: int, unit: Integers, left: Integers, right: Integers
    ) -> NDArray[np.bool_]:
        """Whether a unit that has patterns ``left`` and ``right`` beside an edge folds along it, entry by entry.

        It does if its argument is at the kinks between the two patterns, or the two candidates are equal, at both ends.
        """
        if not len(unit):
            return np.zeros(0, dtype=np.bool_)
        needed, which = np.unique(ends, return_inverse=True)
        z = self._argument(xy[needed], fold)
        start, end = which.reshape(-1, 2).T
        windows, tolerance = self.columns[fold].windows, self.tolerances[fold]
        if windows is not None:
            first, second = windows[unit, left], windows[unit, right]
            away = [np.abs(z[at, first] - z[at, second]) for at in (start, end)]
            size = np.maximum(tolerance[first], tolerance[second])
        else:
            kinks = np.array(self._program.folds[fold].kinks)
            crossed = kinks[np.minimum(left, right)], kinks[np.maximum(left, right) - 1]
            away = [np.abs(z[at, unit] - kink) for at in (start, end) for kink in crossed]
            size = np.maximum(tolerance[unit], TOLERANCE * np.max(np.abs(crossed), axis=0))
        found: NDArray[np.bool_] = np.max(away, axis=0) <= _DOUBT * size
        return found

    def _pattern(self, fold: int, columns: Columns, z: Floats) -> NDArray[np.int64]:
        if columns.windows is None:
            found = np.zeros(z.shape, dtype=np.int64)
            for kink in self._program.folds[fold].kinks:
                found += z > kink
            return found
        filled = np.where(columns.windows >= 0, z[:, np.maximum(columns.windows, 0)], -np.inf)
        largest: NDArray[np.int64] = filled.argmax(axis=2)
        return largest

    def _arguments(self, xy: Floats) -> Iterator[Floats]:
        state = self._start(xy)
        for fold in range(len(self.columns)):
            if fold:
                state = self._program.advance(state)
            z: Floats = self._program.argument(state).numpy()
            yield z

    def _argument(self, xy: Floats, fold: int) -> Floats:
        state = self._start(xy)
        while state.index < fold:
            state = self._program.advance(state)
        found: Floats = self._program.argument(state).numpy()
        return found

    def _start(self, xy: Floats) -> State:
        return self._program.start(self._plane.points(xy))
