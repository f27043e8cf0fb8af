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
        state = self._start(xy)
        for fold, columns in enumerate(self.columns):
            if fold:
                state = self._program.advance(state)
            yield self._pattern(fold, columns, self._program.argument(state).numpy())

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

    def _argument(self, xy: Floats, fold: int) -> Floats:
        state = self._start(xy)
        while state.index < fold:
            state = self._program.advance(state)
        found: Floats = self._program.argument(state).numpy()
        return found

    def _start(self, xy: Floats) -> State:
        return self._program.start(self._plane.points(xy))
