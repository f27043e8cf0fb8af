"""The logits whose largest one is the class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from normscope.spline.cutting.partition import Partition


def logits_at_vertices(partition: Partition) -> NDArray[np.float64]:
    """(V, classes); of a single logit z two classes: 0 and z."""
    logits = partition.outputs
    return np.concatenate([np.zeros_like(logits), logits], axis=1) if logits.shape[1] == 1 else logits
