"""Lists of different lengths, laid end to end: list i is ``values[starts[i] : starts[i + 1]]``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def starts_of(counts: NDArray[Any]) -> Integers:
    """Where each list starts, and at the end where the last one stops; shape (lists + 1,)."""
    starts = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def steps(counts: NDArray[Any]) -> Integers:
    """0, 1, …, counts[i] − 1 for every i, end to end."""
    starts = starts_of(counts)
    return np.arange(starts[-1]) - np.repeat(starts[:-1], counts)


def ranges(first: NDArray[Any], counts: NDArray[Any]) -> Integers:
    """first[i], first[i] + 1, …, first[i] + counts[i] − 1 for every i, end to end."""
    starts = starts_of(counts)
    return np.arange(starts[-1]) + np.repeat(first - starts[:-1], counts)


def owners(counts: NDArray[Any]) -> Integers:
    """Which list each value belongs to."""
    return np.repeat(np.arange(len(counts)), counts)
