"""Which samples sit apart from a tight cluster of the others: the one rule of labels, captions and tables."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_APART = 0.5  # a sample sits apart below this share of the others' cosine among themselves
_TIGHT = 0.6  # a cluster has at least this mean cosine
_FEW = 4  # odd are at most one in so many


class Grouping(NamedTuple):
    """A batch at one layer: a cluster, and the samples apart from it, if there is a cluster."""

    odd: tuple[int, ...]
    """The samples apart, the oddest first; empty if there is no tight cluster or none is apart from it."""
    directions: int
    """How many samples are not zero. 0 where something is not finite."""
    odd_cosine: float
    """Mean cosine of the odd samples to the cluster; NaN where none is odd."""
    cluster_cosine: float
    """Mean cosine of two samples that are not odd; NaN with fewer than two."""


def grouping(gram: NDArray[np.float64]) -> Grouping:
    """The odd samples of a batch, found by removing them one after another.

    Of the samples left, the one with the smallest mean cosine to the others is removed as long as that is below half
    the mean cosine of the others among themselves. The removed samples are odd if what is left is a tight cluster
    (mean cosine at least 0.6) and they are at most a quarter of the batch; else none is.

    Args:
        gram: Gram matrix, shape (n, n).
    """
    if not np.isfinite(gram).all():
        return Grouping((), 0, math.nan, math.nan)
    squares = np.diagonal(gram)
    left = np.flatnonzero(squares > 0)
    norms = np.sqrt(squares[left])
    cosines = gram[np.ix_(left, left)] / norms[:, None] / norms  # shape: (len(left), len(left))
    np.fill_diagonal(cosines, 0.0)

    inside = np.ones(len(left), dtype=bool)
    odd = _removed(cosines, inside)
    tightness = _mean_cosine(cosines, inside)
    if odd and (len(odd) > len(left) // _FEW or not tightness >= _TIGHT):
        odd, inside = [], np.ones(len(left), dtype=bool)
        tightness = _mean_cosine(cosines, inside)
    apart = float(cosines[odd][:, inside].mean()) if odd else math.nan
    return Grouping(tuple(int(left[i]) for i in odd), len(left), apart, tightness)


def _removed(cosines: NDArray[np.float64], inside: NDArray[np.bool_]) -> list[int]:
    """Removes what is odd from ``inside``, in place, and says in which order."""
    sums, removed = cosines.sum(1), []
    while (m := int(inside.sum())) >= 3:
        oddest = int(np.where(inside, sums, np.inf).argmin())
        among_others = (sums[inside].sum() - 2 * sums[oddest]) / ((m - 1) * (m - 2))
        if not sums[oddest] / (m - 1) < _APART * among_others:
            break
        inside[oddest] = False
        removed.append(oddest)
        sums = sums - cosines[oddest]
    return removed


def _mean_cosine(cosines: NDArray[np.float64], inside: NDArray[np.bool_]) -> float:
    m = int(inside.sum())
    return float(cosines[np.ix_(inside, inside)].sum() / (m * (m - 1))) if m >= 2 else math.nan
