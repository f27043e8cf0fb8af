"""Arrays of numbers that users give to any part of this package, checked in one place. Messages are one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope.loading import describe, one_line


def real_numbers(name: str, values: Any) -> Tensor:
    """An array of finite real numbers as a dense float64 tensor on the CPU, without its history.

    Args:
        name: of the argument, in the plural, for messages.
        values: a tensor, what numpy makes an array of, or a list of tensors of one shape.

    Raises:
        ValueError: rows of several lengths, or numbers that are not finite.
        TypeError: no numbers (text, dates, objects), complex ones, masked entries, or a tensor without values.
    """
    given = values if isinstance(values, Tensor) else _stacked(name, values)
    if given.is_complex():
        raise TypeError(f"{name} are complex, and must be real")
    if given.is_meta:
        raise TypeError(f"{name} are on the meta device, without values")
    try:
        found: Tensor = given.detach().to_dense().to("cpu", torch.float64)
    except RuntimeError as error:  # quantized, nested and other tensors that have no such form
        raise _unreadable(name, error) from error
    _require_finite(name, found)
    return found


def plane_points(points: Any) -> NDArray[np.float64]:
    """Points in the coordinates of a plane as an (m, 2) array.

    Raises:
        ValueError: another shape, or coordinates that are not finite.
        TypeError: no real numbers.
    """
    array: NDArray[np.float64] = real_numbers("points", points).numpy()
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"points have shape {array.shape}: coordinates in the plane of the slice are (m, 2)")
    return array


def _stacked(name: str, values: Any) -> Tensor:
    if not isinstance(values, list | tuple) or not values or not all(isinstance(value, Tensor) for value in values):
        return torch.from_numpy(_array(name, values))
    if len({value.shape for value in values}) > 1:
        raise ValueError(f"{name} are tensors of several shapes: they cannot be stacked")
    try:
        return torch.stack([value.detach() for value in values])
    except RuntimeError as error:  # on several devices
        raise _unreadable(name, error) from error


def _array(name: str, values: Any) -> NDArray[np.float64]:
    if any(np.ma.is_masked(part) for part in (values, *(values if isinstance(values, list | tuple) else ()))):
        raise TypeError(f"{name} are masked in places: numbers are missing there")
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} have rows of several lengths: they are no array") from None
    except (TypeError, RuntimeError) as error:  # tensors in nested lists: with gradients, of types unknown to numpy
        raise _unreadable(name, error) from error
    if array.dtype.kind == "c":
        raise TypeError(f"{name} are complex, and must be real")
    if array.dtype.kind not in "fiub":
        told = f"an array of {array.dtype}" if isinstance(values, np.ndarray) else describe(values)
        raise TypeError(f"{name} are {told}, no array of numbers")
    with np.errstate(over="ignore"):  # of long doubles: infinite then, and told as that
        return array.astype(np.float64)


def _unreadable(name: str, error: Exception) -> TypeError:
    return TypeError(f"{name} cannot be read as an array of numbers: {one_line(str(error))}")


def _require_finite(name: str, found: Tensor) -> None:
    if not found.isfinite().all():
        rows = (~found.isfinite()).flatten(1).any(1).nonzero().flatten() if found.ndim > 1 else None
        where = "" if rows is None else f": first in row {int(rows[0])}, in {len(rows)} of {len(found)}"
        raise ValueError(f"{name} hold nan or infinity{where}")
