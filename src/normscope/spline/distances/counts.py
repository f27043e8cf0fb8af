"""Numbers of units that fold within a distance of a point: the result, whichever way they are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope.spline.reading.folds import Fold

Method = Literal["first_order", "exact", "slice"]


@dataclass(frozen=True)
class LocalComplexity:
    """How many units of each fold have a boundary in the open ball around each of n points.

    Attributes:
        method: "first_order": each boundary continued from the region of the point; "exact": all regions in the
            ball enumerated; "slice": exact, of a disc in a 2-D slice.
        radius: of the ball (or disc).
        folds: F of them, in order of computation.
        counts: (n, F), of the units looked at.
        at_least: (n, F), units of these that are proven to cross.
        exact: (n, F), whether a count is exact (of the units looked at): a first-order one is where no earlier fold
            crosses the ball.
        looked_at: (F,), units looked at.
        units: (F,), units that there are.
    """

    method: Method
    radius: float
    folds: tuple[Fold, ...]
    counts: NDArray[np.int64]
    at_least: NDArray[np.int64]
    exact: NDArray[np.bool_]
    looked_at: NDArray[np.int64]
    units: NDArray[np.int64]

    @property
    def layers(self) -> tuple[str, ...]:
        """The name of each fold."""
        return tuple(fold.layer for fold in self.folds)

    @property
    def estimate(self) -> NDArray[np.float64]:
        """Counts of all units, (n, F): those of the units looked at, scaled up; equal to the counts if all were."""
        return np.asarray(self.counts * (self.units / self.looked_at))

    def table(self) -> pd.DataFrame:
        """One row a point and fold: point, layer, kind, count, at_least, exact, estimate, looked_at, units, method."""
        n, f = self.counts.shape
        return pd.DataFrame(
            {
                "point": np.repeat(np.arange(n), f),
                "layer": np.tile(np.array(self.layers, dtype=object), n),
                "kind": np.tile(np.array([fold.kind for fold in self.folds], dtype=object), n),
                "count": self.counts.ravel(),
                "at_least": self.at_least.ravel(),
                "exact": self.exact.ravel(),
                "estimate": self.estimate.ravel(),
                "looked_at": np.tile(self.looked_at, n),
                "units": np.tile(self.units, n),
                "method": self.method,
            }
        )
