"""What a partition's page, figures and numbers are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normscope.spline import Partition


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture.

    Attributes:
        name: what it is called.
        partition: what is drawn.
        points: (m, 2), data points in the coordinates of the plane.
        labels: (m,), their classes; None if they have none.
        mean: (2,), the mean of the batch, where the plane is the input space itself; else None.
        boundary: (S, 2, 2), segments of the decision boundary; none where there is none.
        seconds: what making the partition took.
    """

    name: str
    partition: Partition
    points: NDArray[np.float64]
    labels: NDArray[np.int64] | None
    mean: NDArray[np.float64] | None
    boundary: NDArray[np.float64]
    seconds: float


@dataclass(frozen=True, eq=False)
class Partitioned:
    """All pictures of a command.

    Attributes:
        panels: one a norm.
        network: one line on the network.
        data: one line on the data.
        plane: one line on what the plane is.
        statistics: one line on which statistics batch norms use; empty if there are none.
        reference: whether it is the reference network, whose weights are random.
        stopped: one line on what is not done and why; None if all is.
    """

    panels: tuple[Panel, ...]
    network: str
    data: str
    plane: str
    statistics: str
    reference: bool
    stopped: str | None
