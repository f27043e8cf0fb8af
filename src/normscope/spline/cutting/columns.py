"""The lines that a fold draws: one column for each unit and kink, or for each pair of a pooling window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normscope.spline.cutting.complex import Floats
from normscope.spline.cutting.ragged import Integers
from normscope.spline.reading.program import Fold


@dataclass(frozen=True, eq=False)
class Columns:
    """Affine functions on a face whose zeros are where the fold folds.

    Column c is z[first[c]] − offset[c], or z[first[c]] − z[second[c]] for max pooling.

    Attributes:
        first, second: entries of z, (columns,); ``second`` is None but for max pooling.
        offset: kinks, (columns,); zero for max pooling.
        unit: the unit, for max pooling the output, (columns,).
        step: what crossing the column's zero upwards adds to the number of active units, (columns,).
        windows: entries of z that an output is the maximum of, −1 where there is none, (outputs, candidates).
    """

    first: Integers
    second: Integers | None
    offset: Floats
    unit: Integers
    step: Integers
    windows: Integers | None = None

    def __len__(self) -> int:
        return len(self.first)

    def values(self, z: Floats) -> Floats:
        """All columns: (m, units) to (m, columns)."""
        if self.second is not None:
            return z[:, self.first] - z[:, self.second]
        if len(self) == z.shape[1]:
            return z - self.offset if self.offset.any() else z
        return z[:, self.first] - self.offset

    def at(self, columns: Integers, z: Callable[[Integers], Floats]) -> Floats:
        """Some columns, one at each of some places; ``z`` gives the units that are named, one at each place."""
        if self.second is not None:
            return z(self.first[columns]) - z(self.second[columns])
        return z(self.first[columns]) - self.offset[columns]

    def tolerance(self, of_units: Floats, of_kinks: float) -> Floats:
        """Up to which size a column counts as zero, (columns,): what the larger of the two numbers allows.

        Args:
            of_units: tolerance of each unit of z, (units,).
            of_kinks: relative tolerance of a kink.
        """
        second = of_kinks * np.abs(self.offset) if self.second is None else of_units[self.second]
        return np.maximum(of_units[self.first], second)


def columns_of(fold: Fold) -> Columns:
    """The columns of a fold."""
    if fold.windows is not None:
        return _pairs(np.asarray(fold.windows, dtype=np.int64))
    kinks = len(fold.kinks)
    unit = np.repeat(np.arange(fold.units), kinks)
    offset = np.tile(np.asarray(fold.kinks, dtype=np.float64), fold.units)
    step = np.tile((-1) ** np.arange(kinks), fold.units)  # above the first kink and below the second is active
    return Columns(unit, None, offset, unit, step)


def _pairs(windows: Integers) -> Columns:
    outputs, candidates = windows.shape
    a, b = np.triu_indices(candidates, 1)
    first, second = windows[:, a].ravel(), windows[:, b].ravel()
    there = (first >= 0) & (second >= 0) & (first != second)
    unit = np.repeat(np.arange(outputs), len(a))[there]
    zeros: NDArray[np.int64] = np.zeros(len(unit), dtype=np.int64)
    return Columns(first[there], second[there], zeros.astype(np.float64), unit, zeros, windows)
