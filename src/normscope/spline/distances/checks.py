"""What a user gives, checked: a radius, arrays of numbers, a partition. Messages are one line."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
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
    number = radius.item() if isinstance(radius, Tensor | np.ndarray | np.generic) and radius.ndim == 0 else radius
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"radius is one number, a distance in input space, not {shortly(radius)}")
    if not 0 < number <= sys.float_info.max:  # a whole number may be larger than any float
        told = "one above all floats" if isinstance(number, int) and number > 0 else number
        raise ValueError(f"radius is a positive, finite distance in input space, got {told}")
    return float(number)


def real_numbers(name: str, values: Any) -> Tensor:
    """An array of finite real numbers as a float64 tensor on the CPU, without its history.

    Raises:
        ValueError: rows of several lengths, or numbers that are not finite.
        TypeError: no numbers, complex ones, or a tensor without values or with holes.
    """
    if isinstance(values, list | tuple) and values and all(isinstance(value, Tensor) for value in values):
        if len({value.shape for value in values}) > 1:
            raise ValueError(f"{name} are tensors of several shapes: they cannot be stacked")
        values = torch.stack(list(values))
    if not isinstance(values, Tensor):
        values = torch.from_numpy(_array(name, values).astype(np.float64))
    if values.is_complex():
        raise TypeError(f"{name} are complex: points of the input space are real")
    if values.is_meta or values.layout != torch.strided:
        how = "on the meta device, without values" if values.is_meta else "sparse: give .to_dense()"
        raise TypeError(f"{name} are {how}")
    found: Tensor = values.detach().to("cpu", torch.float64)
    if not found.isfinite().all():
        rows = (~found.isfinite()).flatten(1).any(1).nonzero().flatten() if found.ndim > 1 else None
        where = "" if rows is None else f": first in row {int(rows[0])}, in {len(rows)} of {len(found)}"
        raise ValueError(f"{name} hold nan or infinity{where}")
    return found


def require_partition(value: Any) -> None:
    """Raise TypeError unless a value is a partition."""
    if not isinstance(value, Partition):
        raise TypeError(f"partition must be what normscope.spline.partition returns, not {describe(value)}")


def _array(name: str, values: Any) -> np.ndarray[Any, Any]:
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} have rows of several lengths: they are no array") from None
    if array.dtype.kind == "c":
        raise TypeError(f"{name} are complex: points of the input space are real")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} are {describe(values)}, no array of numbers")
    return array
