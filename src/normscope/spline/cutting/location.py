"""Which region a point lies in: a walk from a region nearby, for all points at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from normscope.spline.cutting.complex import Complex, Floats, following
from normscope.spline.cutting.ragged import Integers, ranges, starts_of
from normscope.spline.given import plane_points

_STEPS = 1000


def locate(complex_: Complex, centroids: Floats, sides: Integers, points: Any) -> Integers:
    """The region of each point (m, 2), −1 outside the window.

    From the region with the nearest centroid on, cross the edge that the point is farthest beyond.

    Raises:
        ValueError: the points have not the shape (m, 2), or are not finite.
        TypeError: they are no real numbers.
    """
    at = plane_points(points)
    corners = complex_.xy[:4]
    inside = ((at >= corners.min(axis=0)) & (at <= corners.max(axis=0))).all(axis=1)
    region = np.full(len(at), -1, dtype=np.int64)
    walking = np.flatnonzero(inside)
    if len(walking):
        region[walking] = cKDTree(centroids).query(at[walking])[1]
    vertices = complex_.tails()
    heads = vertices[following(complex_.starts)]
    for _ in range(_STEPS):
        if not len(walking):
            break
        onward = _across(complex_, vertices, heads, sides, region[walking], at[walking])
        moves = onward >= 0
        walking = walking[moves]
        region[walking] = onward[moves]
    return region


def _across(
    complex_: Complex, vertices: Integers, heads: Integers, sides: Integers, region: Integers, at: Floats
) -> Integers:
    """The neighbour that lies towards each point, −1 where the point is in its region."""
    counts = np.diff(complex_.starts)[region]
    corner = ranges(complex_.starts[region], counts)
    starts = starts_of(counts)
    tail, head = complex_.xy[vertices[corner]], complex_.xy[heads[corner]]
    along, away = head - tail, np.repeat(at, counts, axis=0) - tail
    length = np.hypot(along[:, 0], along[:, 1])
    beyond = (away[:, 0] * along[:, 1] - away[:, 1] * along[:, 0]) / np.where(length > 0, length, 1.0)
    across = sides.ravel()[complex_.cycles[corner] ^ 1]
    beyond[across < 0] = 0.0  # a point inside the window never leaves it
    farthest = np.maximum.reduceat(beyond, starts[:-1])
    which = np.flatnonzero(beyond == np.repeat(farthest, counts))
    first = which[np.searchsorted(which, starts[:-1])]
    found: Integers = np.where(farthest > 0, across[first], -1)
    return found
