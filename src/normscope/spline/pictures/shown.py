"""What a figure is asked to show, checked: data points and their classes, their mean, a layer, a line width."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from normscope.spline.cutting.whole import shortly, whole_number
from normscope.spline.given import plane_points, real_numbers
from normscope.spline.reading.called import fold_called

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition

_LISTED = 8  # layers that a message names
_COLOURS = 10**6  # of a range, one a count; more would only take memory


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
        TypeError: points or a mean that are no real numbers.
    """
    centre = None if mean is None else real_numbers("values of mean", mean).numpy()
    if centre is not None and centre.shape != (2,):
        raise ValueError(f"mean is one point (x, y) in the coordinates of the plane, not of shape {centre.shape}")
    if points is None:
        if labels is not None:
            raise ValueError("labels are of points: give points too")
        return Data(np.empty((0, 2)), None, centre)
    places = plane_points(points)
    return Data(places, None if labels is None else _classes(labels, len(places)), centre)


def fold_number(partition: Partition, layer: str | int) -> int:
    """The number of a fold by the name of its layer, or by itself.

    Raises:
        ValueError: there is none, and the message lists those there are; or the partition was stopped before it.
    """
    names = [item.layer for item in partition.folds]
    number: int | None = None
    if isinstance(layer, str):
        number = fold_called(partition.folds, layer)
    else:
        with contextlib.suppress(TypeError):
            number = whole_number("layer", layer)
    if number is None or not 0 <= number < len(names):
        listed = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
        raise ValueError(
            f"layer {shortly(layer)}: not one of the {len(names)} that fold{': ' if names else ''}{listed}"
        )
    if number >= partition.folds_done:
        raise ValueError(
            f"layer {shortly(layer)}: the partition was stopped after {partition.folds_done} of {len(names)} folds"
        )
    return number


def read_width(width: Any) -> float:
    """A line width in points.

    Raises:
        ValueError: it is no positive number.
    """
    try:
        found = float(width)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last of a tensor without a value
        found = math.nan
    if not 0 < found < math.inf:
        raise ValueError(f"linewidth={shortly(width)}: of folds, in points, positive")
    return found


def read_active_range(given: Any) -> tuple[int, int] | None:
    """The fewest and the most active units that colours are for; None where they are those that occur.

    Raises:
        ValueError: not two of them, below 0, the fewest above the most, or more counts than can have colours.
        TypeError: they are no whole numbers.
    """
    if given is None:
        return None
    if not isinstance(given, Sequence | np.ndarray) or isinstance(given, str | bytes) or getattr(given, "ndim", 1) != 1:
        raise TypeError(f"active_range is (fewest, most), two whole numbers, not {shortly(given)}")
    if len(given) != 2:
        raise ValueError(f"active_range is (fewest, most), two whole numbers, not {len(given)}")
    fewest = whole_number("active_range: the fewest", given[0], 0)
    most = whole_number("active_range: the most", given[1], 0)
    if fewest > most:
        raise ValueError(f"active_range: the fewest, {shortly(fewest)}, is above the most, {shortly(most)}")
    if most - fewest >= _COLOURS:
        raise ValueError(f"active_range: of more than {_COLOURS:,} counts; take the fewest and the most that occur")
    return fewest, most


def _classes(labels: Any, count: int) -> NDArray[np.int64]:
    try:
        given = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of different lengths, tensors without values
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
