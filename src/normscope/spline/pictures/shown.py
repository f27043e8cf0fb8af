"""What a figure is asked to show, checked: data points and their classes, their mean, a layer, a line width."""

from __future__ import annotations

import contextlib
import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition

_LISTED = 8  # layers that a message names


@dataclass(frozen=True, eq=False)
class Data:
    """Data points in the coordinates of the plane.

    Attributes:
        points: (m, 2).
        labels: (m,), classes; None where the points have none.
        mean: (2,), of the data; None where it is not to be shown.
    """

    points: NDArray[np.float64]
    labels: NDArray[np.int64] | None
    mean: NDArray[np.float64] | None


def read_data(points: ArrayLike | None, labels: ArrayLike | None, mean: ArrayLike | None) -> Data:
    """Points, labels and mean as given to a figure.

    Raises:
        ValueError: of another shape, not finite, labels that are no classes, or labels without points.
    """
    centre = None if mean is None else _numbers(mean, "mean")
    if centre is not None and centre.shape != (2,):
        raise ValueError(f"mean is one point (x, y) in the coordinates of the plane, not of shape {centre.shape}")
    if points is None:
        if labels is not None:
            raise ValueError("labels are of points: give points too")
        return Data(np.empty((0, 2)), None, centre)
    places = _numbers(points, "points")
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"points have shape (m, 2), in the coordinates of the plane, not {places.shape}")
    return Data(places, None if labels is None else _classes(labels, len(places)), centre)


def fold_number(partition: Partition, layer: str | int) -> int:
    """The number of a fold by the name of its layer, or by itself.

    Raises:
        ValueError: there is none, and the message lists those there are; or the partition was stopped before it.
    """
    names = [item.layer for item in partition.folds]
    number = -1
    if isinstance(layer, str):
        number = names.index(layer) if layer in names else -1
    else:
        with contextlib.suppress(TypeError):
            number = operator.index(layer)
    if not 0 <= number < len(names):
        listed = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
        raise ValueError(f"layer {layer!r}: not one of the {len(names)} that fold{': ' if names else ''}{listed}")
    if number >= partition.folds_done:
        raise ValueError(
            f"layer {layer!r}: the partition was stopped after {partition.folds_done} of {len(names)} folds"
        )
    return number


def read_width(width: Any) -> float:
    """A line width in points.

    Raises:
        ValueError: it is no positive number.
    """
    try:
        found = float(width)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found < math.inf:
        raise ValueError(f"linewidth={width!r}: of folds, in points, positive")
    return found


def _numbers(given: Any, what: str) -> NDArray[np.float64]:
    try:
        found = np.asarray(given.detach() if isinstance(given, Tensor) else given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: no array of numbers; {error}") from error
    if not np.isfinite(found).all():
        raise ValueError(f"{what}: holds nan or infinity")
    return found


def _classes(labels: Any, count: int) -> NDArray[np.int64]:
    try:
        given = np.asarray(labels)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"labels: no array of whole numbers; {error}") from error
    if given.shape != (count,):
        raise ValueError(f"{count} points need as many labels, not an array of shape {given.shape}")
    if given.dtype.kind not in "iufb":
        raise ValueError(
            "labels are classes: whole numbers from 0 on, not "
            f"{type(given.flat[0]).__name__}; number names with numpy.unique(labels, return_inverse=True)[1]"
        )
    if not np.isfinite(given).all() or (given != np.rint(given)).any() or (given < 0).any():
        raise ValueError("labels are classes: whole numbers from 0 on")
    return given.astype(np.int64)
