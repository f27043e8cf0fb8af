"""Points and segments in the plane of a slice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.spline.distances.checks import real_numbers

Array = NDArray[np.float64]


def plane_points(points: Any) -> Array:
    """Points as an (m, 2) array.

    Raises:
        ValueError: another shape, or coordinates that are not finite.
        TypeError: no numbers.
    """
    array: Array = real_numbers("points", points).numpy()
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"points have shape {array.shape}: coordinates in the plane of the slice are (m, 2)")
    return array


def segment_distances(points: Array, segments: Array) -> Array:
    """Euclidean distance of each point, (m, 2), to each segment, (S, 2, 2): (m, S)."""
    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    offset = points[:, None] - start
    length = (along * along).sum(-1)
    reached = np.clip((offset * along).sum(-1) / np.where(length > 0, length, 1.0), 0.0, 1.0)
    gap = offset - reached[..., None] * along
    return np.asarray(np.hypot(gap[..., 0], gap[..., 1]))
