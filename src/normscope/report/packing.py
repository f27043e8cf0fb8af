"""Numbers for a page's script: rounded for JSON, or packed into bytes."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pack_cosines(grams: Sequence[NDArray[np.float64]], shown: Sequence[int]) -> str:
    """Cosine matrices of Gram matrices, base64.

    Upper triangles, row by row, as signed bytes: cosine × 127, rounded (an error of at most 0.004); −128 is undefined.

    Args:
        grams: each of shape (n, n).
        shown: the samples that are packed.
    """
    rows, columns = np.triu_indices(len(shown), 1)
    packed = np.empty((len(grams), len(rows)), dtype=np.int8)  # shape: (len(grams), m (m − 1) / 2)
    for position, gram in enumerate(grams):
        some = gram[np.ix_(shown, shown)]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            norms = np.sqrt(np.diagonal(some))
            cosines = (some / norms[:, None] / norms)[rows, columns]
        packed[position] = np.where(np.isfinite(cosines), np.clip(np.rint(cosines * 127), -127, 127), -128)
    return base64_of(packed)


def rounded(values: Iterable[float]) -> list[float | None]:
    """Four significant digits; None for what is not finite."""
    return [float(f"{value:.4g}") if math.isfinite(value) else None for value in values]


def base64_of(array: NDArray[Any]) -> str:
    """The bytes of an array as text."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
