"""The window of a picture through three samples: all of them where that can be drawn, or else a part at the first."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from normscope.spline import Partition

_SPACE = 0.3  # around the data, of the longer side of their bounding box
_FIRST = 2.0**-12  # of the whole window: what networks of a million units can be cut in within seconds
_FACTOR = 4.0  # that a window grows by at most
_GOAL = 20_000  # regions of a part: what can be seen

Extent = tuple[float, ...]
Cut = Callable[[Extent], Partition]


def around(points: NDArray[np.float64]) -> Extent:
    """A square around the data; its centre is rounded to a small part of its side, wherever the data lie."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = (0.5 + _SPACE) * float((high - low).max()) or 1.0
    digits = 2 - math.floor(math.log10(half))
    x, y = (round(float(value), digits) for value in (low + high) / 2)
    return _square(x, y, half)


def that_can_be_drawn(points: NDArray[np.float64], cut: Cut, limit: int) -> tuple[Extent, str, Partition | None]:
    """The window around the three samples, or a smaller one at the first; one line on it; its partition, if made.

    The number of regions grows at most about with the area of a window. So windows around the first sample grow, each
    by what the one before allows, until they have some regions or hold all samples.

    Args:
        points: the samples in the plane, (3, 2).
        cut: partitions a window.
        limit: no picture has more regions.
    """
    whole = around(points)
    side = (whole[1] - whole[0]) / 2
    goal = max(1, min(limit // 4, _GOAL))
    half, best, ready = side * _FIRST, side * _FIRST, None
    while half < side:
        found = cut(_square(float(points[0, 0]), float(points[0, 1]), half))
        if not found.complete:
            break
        best, ready = half, found
        if len(found) * (side / half) ** 2 <= limit:
            return whole, "in a window", None
        factor = min(_FACTOR, math.sqrt(goal / len(found)))
        if factor < math.sqrt(2):
            break
        half *= factor
    else:
        return whole, "in a window", None
    window = _square(float(points[0, 0]), float(points[0, 1]), best)
    share = f"{side / best:.2g}" if side / best < 100 else f"{float(f'{side / best:.1g}'):.0f}"
    corners = ", ".join(f"({x:.3g}, {y:.3g})" for x, y in points)
    told = (
        f"in a window at the first of them, {share} times smaller than one that holds all three, {corners}: that one "
        "would have far more regions than --max-regions (--extent takes another one)"
    )
    return window, told, ready


def _square(x: float, y: float, half: float) -> Extent:
    half = float(f"{half:.2g}")
    return float(x) - half, float(x) + half, float(y) - half, float(y) + half
