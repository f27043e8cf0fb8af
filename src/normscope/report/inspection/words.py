"""Words in the place of numbers: where a gradient broke, and where a mean is nothing but rounding."""

from __future__ import annotations

import numpy as np
import pandas as pd

from normscope.report.inspection.gradients import undefined_gradients

NAUGHT = "~0"
_ROUNDING = 1e-6  # of a mean, relative to the standard deviation: some units in the last place of float32


def words(table: pd.DataFrame, column: str) -> list[str | None]:
    """Of each row, what is written for the number of ``column``; None where the number is.

    ``NaN`` where a gradient was measured and is none; ``~0`` for a mean of float32 that is zero but for rounding, as
    behind a batch norm, whose digits would draw the eye.
    """
    broke = undefined_gradients(table, column)
    naught = np.zeros(len(table), dtype=bool)
    if column == "mean" and "std" in table:
        size = table["mean"].abs()
        naught = ((size > 0) & (size < _ROUNDING * table["std"])).to_numpy()
    return ["NaN" if b else NAUGHT if n else None for b, n in zip(broke, naught, strict=True)]
