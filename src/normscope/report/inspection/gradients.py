"""Which gradients of a trace are measured but no numbers: NaN in the table alone says that none was measured."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

OF_OUTPUTS: Final = ("grad_norm", "grad_coherence", "grad_shared")
"""The columns that follow from the gradient of the loss by a layer's output."""


def broken_gradients(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Of each row, whether a gradient was measured there and is NaN or infinite.

    By ``grad_finite``, or where a table has no such column by norms that are infinite.
    """
    if "grad_finite" in table:
        return np.asarray(table["grad_finite"].eq(False), dtype=np.bool_)
    if "grad_norm" in table:
        infinite: NDArray[np.bool_] = np.isinf(table["grad_norm"].to_numpy(float))
        return infinite
    return np.zeros(len(table), dtype=bool)


def undefined_gradients(table: pd.DataFrame, column: str) -> NDArray[np.bool_]:
    """Of each row, whether ``column`` has no number because the gradient broke, and not for want of one."""
    if column not in OF_OUTPUTS or column not in table:
        return np.zeros(len(table), dtype=bool)
    undefined: NDArray[np.bool_] = broken_gradients(table) & table[column].isna().to_numpy()
    return undefined
