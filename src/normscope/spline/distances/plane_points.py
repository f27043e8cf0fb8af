"""Segments in the plane of a slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def segment_distances(points: Array, segments: Array) -> Array:
    """Euclidean distance of each point, (m, 2), to each segment, (S, 2, 2): (m, S)."""
    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    offset = points[:, None] - start
    length = (along * along).sum(-1)
    reached = np.clip((offset * along).sum(-1) / np.where(length > 0, length, 1.0), 0.0, 1.0)
    gap = offset - reached[..., None] * along
    return np.asarray(np.hypot(gap[..., 0], gap[..., 1]))
