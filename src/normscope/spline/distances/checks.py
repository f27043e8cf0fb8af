"""What a user gives, checked: a radius, a partition. Messages are one line."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import numpy as np
from torch import Tensor

from normscope.loading import describe
from normscope.spline.cutting.partition import Partition
from normscope.spline.cutting.whole import shortly


def checked_radius(radius: Any) -> float:
    """A radius as a float.

    Raises:
        ValueError: it is not positive and finite.
        TypeError: it is no number.
    """
    number = radius
    if isinstance(radius, Tensor | np.ndarray | np.generic) and radius.ndim == 0:
        with contextlib.suppress(RuntimeError):  # a tensor without a value: refused as what it is
            number = radius.item()
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"radius is one number, a distance in input space, not {shortly(radius)}")
    if not 0 < number <= sys.float_info.max:  # a whole number may be larger than any float
        told = "one above all floats" if isinstance(number, int) and number > 0 else shortly(number)
        raise ValueError(f"radius is a positive, finite distance in input space, got {told}")
    return float(number)


def require_partition(value: Any) -> None:
    """Raise TypeError unless a value is a partition."""
    if not isinstance(value, Partition):
        raise TypeError(f"partition must be what normscope.spline.partition returns, not {describe(value)}")
