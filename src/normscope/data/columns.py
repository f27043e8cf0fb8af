"""Columns of samples, as files and loaders hold them, to tensors, as networks take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from normscope.loading import LoadingError, describe, one_line

Values: TypeAlias = Tensor | tuple[Tensor, ...] | dict[str, Tensor]
"""A tensor, or several: positional or keyword arguments of a model."""

Role: TypeAlias = Literal["inputs", "targets"]
Among: TypeAlias = Literal["alone", "several"]


def is_column(value: Any) -> bool:
    """Whether it is an array of some kind: tensors, numpy's, memory maps, and those of other libraries are."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def columns_of(values: Any, role: Role, source: str) -> dict[str, Any]:
    """The columns of one column, a sequence or a mapping of them, by what messages call them.

    Raises:
        LoadingError: something is no array, a single number, or an array of samples without numbers.
    """
    columns: dict[str, Any]
    if is_column(values):
        columns = {role: values}
    elif isinstance(values, Mapping):
        columns = {f"{role} {one_line(str(key), 80)!r}": value for key, value in values.items()}
    else:
        parts = values if isinstance(values, tuple | list) and values else [values]
        columns = {f"{role} {index}" if len(parts) > 1 else role: part for index, part in enumerate(parts)}
    for called, column in columns.items():
        if not is_column(column):
            raise LoadingError(f"the {called} of {source} are {describe(column)}, not a tensor or array")
        if len(column.shape) == 0:
            raise LoadingError(f"the {called} of {source} are a single number: the first dimension must be the samples")
        if 0 in column.shape[1:]:
            raise LoadingError(f"the {called} of {source} have shape {tuple(column.shape)}: samples without numbers")
    return columns


def common_length(columns: Mapping[str, Any], source: str) -> int:
    """How many samples all columns have.

    Raises:
        LoadingError: not all have the same; the message tells their shapes.
    """
    lengths = {int(column.shape[0]) for column in columns.values()}
    if len(lengths) > 1:
        told = ", ".join(f"{called} {tuple(column.shape)}" for called, column in columns.items())
        raise LoadingError(
            f"{source} has columns of different lengths, the first dimension must be the samples: {told}"
        )
    return lengths.pop()


def rows_of(column: Any, rows: Sequence[int], called: str, source: str) -> Tensor:
    """Some rows of a column, in memory of their own, on the CPU, as numbers that torch knows.

    Raises:
        LoadingError: they cannot be read, or are no numbers.
    """
    try:
        if not isinstance(column, Tensor):
            return _from_numpy(np.asarray(column[list(rows)]), called, source)
        if column.layout is not torch.strided or column.is_quantized:
            raise LoadingError(f"the {called} of {source} are a sparse or quantized tensor: make it a dense one")
        return column.detach()[torch.tensor(rows, device=column.device)].cpu()
    except LoadingError:
        raise
    except Exception as error:  # files that end early, and arrays of other libraries, raise anything
        raise LoadingError(f"the {called} of {source} cannot be read: {one_line(str(error))}") from error


def _from_numpy(values: np.ndarray[Any, Any], called: str, source: str) -> Tensor:
    kind = values.dtype.kind
    if kind not in "biuf":
        what = "Python objects" if values.dtype.hasobject else f"of type {one_line(str(values.dtype), 80)}"
        raise LoadingError(f"the {called} of {source} are {what}: only real numbers can be used")
    dtype: np.dtype[Any] = values.dtype.newbyteorder("=")
    if kind in "iu" and dtype != np.uint8:
        dtype = np.dtype(np.int64)  # torch lacks operations on the others
    elif kind == "f" and dtype.itemsize > 8:
        dtype = np.dtype(np.float64)
    return torch.from_numpy(np.array(values, dtype=dtype, order="C"))


def as_inputs(values: Tensor, called: str, source: str, among: Among) -> tuple[Tensor, str]:
    """Inputs as a network takes them, and in words what was done to them.

    Bytes are divided by 255; other integers (they name things) become int64; real numbers become float32; true and
    false become 1 and 0, but stay where they are one of several inputs, where they are masks.

    Raises:
        LoadingError: they are complex.
    """
    if values.is_complex():
        raise LoadingError(f"the {called} of {source} are complex numbers: only real numbers can be used")
    if values.dtype is torch.uint8:
        return values.float() / 255, "bytes divided by 255, to [0, 1]"
    if values.dtype is torch.bool:
        return (values.float(), "1 for true, 0 for false") if among == "alone" else (values, "true and false")
    if not values.is_floating_point():
        return values.long(), "integers as they are"
    if values.dtype is torch.float32:
        return values, "numbers as they are, not normalized"
    return values.float(), f"{str(values.dtype).removeprefix('torch.')} brought to float32, not normalized"


def as_targets(values: Tensor, called: str, source: str) -> Tensor:
    """Targets as losses take them: float32, or int64 for whatever counts or names.

    Raises:
        LoadingError: they are complex.
    """
    if values.is_complex():
        raise LoadingError(f"the {called} of {source} are complex numbers: only real numbers can be used")
    return values.float() if values.is_floating_point() else values.long()


def require_finite(values: Tensor, numbers: Sequence[int], called: str, source: str) -> None:
    """Check that there is no NaN and no infinity.

    Args:
        values: the samples, ``(n, …)``.
        numbers: the number of each in its source.
        called: what messages call the values.
        source: what messages call the source.

    Raises:
        LoadingError: there is one; the message names the first sample that has it.
    """
    if not values.is_floating_point():
        return
    bad = ~torch.isfinite(values).reshape(len(values), -1).all(1)  # shape: (n,)
    if not bad.any():
        return
    first = int(bad.nonzero()[0])
    what = "NaN" if values[first].isnan().any() else "an infinite number, or one too large for float32"
    more = int(bad.sum()) - 1
    others = f"; so do {more} more of the {len(values)} chosen" if more else ""
    raise LoadingError(f"the {called} of sample {numbers[first]} of {source} hold {what}{others}")
