"""Arrays out of an .npz that anybody may have made: numbers only, no larger than their bytes."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from normscope.loading import LoadingError

_NUMBERS = "biuf"


def read_array(file: Path, archive: zipfile.ZipFile, name: Any) -> NDArray[Any]:
    """The array ``name`` of an open .npz.

    `numpy.load` would make room for whatever shape the header claims before it looks at the data; here the two must
    agree first. The checksum of the archive is verified.

    Raises:
        LoadingError: the array holds Python objects.
        ValueError, KeyError: it is damaged, missing, or holds something else than numbers.
    """
    member = archive.read(f"{name}.npy")
    stream = io.BytesIO(member)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"array {name!r} has the unknown .npy version {version}")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read_header(stream)
    if dtype.hasobject:
        raise LoadingError(
            f"{file} was not opened: its array {name!r} holds Python objects, which only executing them brings back"
        )
    if dtype.kind not in _NUMBERS:
        raise ValueError(f"array {name!r} has dtype {dtype}, not numbers")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(member) - stream.tell():
        raise ValueError(f"array {name!r} says that its shape is {shape}, but has other data")
    order: Literal["F", "C"] = "F" if by_columns else "C"
    array = np.empty(shape, dtype, order)  # of its own, so that it may be written to
    array.reshape(-1, order=order)[...] = np.frombuffer(stream.read(), dtype)
    return array
