"""A trace as a file: one .npz that numpy and any unzip can open, and that never executes anything.

``meta.json`` is text that names everything else. Columns of numbers are arrays ``table/<column>``, Gram matrices
``gram/<k>``, moments of channels ``channels/<k>/<name>``. Nothing is compressed: floats hardly shrink, and a file
that cannot unpack to more than its own size needs no further limits.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope.loading import LoadingError, describe, reading, require_file
from normscope.system import written_whole
from normscope.tracing.archive import read_array

if TYPE_CHECKING:
    from normscope.tracing.result import Trace

T = TypeVar("T")

FORMAT: Final = "normscope trace"
VERSION: Final = 1
_META = "meta.json"
_NUMBERS = "biuf"  # kinds of dtype that are plain numbers
_TEXTS = ("object", "str")  # dtypes of the columns that meta.json holds itself
_COLUMNS = ("layer", "kind", "call", "shape")  # without these it is no trace


def write_trace(trace: Trace, path: str | os.PathLike[str]) -> Path:
    """See `Trace.save`."""
    target = with_suffix(path)
    arrays: dict[str, NDArray[Any]] = {}
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "model": trace.model,
        "batch": int(trace.batch),
        "training": bool(trace.training),
        "loss": None if trace.loss is None else _encoded(float(trace.loss), "loss"),
        "seed": int(trace.seed),
        "notes": list(trace.notes),
        "output_gradients": {
            name: _encoded(value, f"output_gradients {name!r}") for name, value in trace.output_gradients.items()
        },
        "table": _packed_table(trace.table, arrays),
        "grams": [
            {"layer": layer, "call": int(call), "array": _put(arrays, f"gram/{k}", gram)}
            for k, ((layer, call), gram) in enumerate(trace._grams.items())
        ],
        "channels": [
            {"layer": layer, "call": int(call), "arrays": _packed_moments(f"channels/{k}", moments, arrays)}
            for k, ((layer, call), moments) in enumerate(trace._channels.items())
        ],
    }
    text = json.dumps(meta, allow_nan=False, indent=1)
    with written_whole(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        # a ZipInfo of our own has a fixed date: the same trace is the same bytes
        archive.writestr(zipfile.ZipInfo(_META), text)
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return target


def read_trace(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of the `Trace` in a file; see `Trace.load`."""
    file = require_file(_existing(path))
    with reading(file), _opened(file) as archive:
        meta = _meta(file, archive)
        grams = {_key(entry): read_array(file, archive, entry["array"]) for entry in meta["grams"]}
        if any(gram.ndim != 2 or gram.shape[0] != gram.shape[1] for gram in grams.values()):
            raise ValueError("a Gram matrix is not square")
        channels = {
            _key(entry): {str(name): read_array(file, archive, where) for name, where in entry["arrays"].items()}
            for entry in meta["channels"]
        }
        loss = _decoded(meta["loss"])
        return {
            "table": _unpacked_table(file, archive, meta["table"]),
            "model": _typed(meta["model"], str),
            "batch": _typed(meta["batch"], int),
            "training": _typed(meta["training"], bool),
            "loss": None if loss is None else _typed(loss, float),
            "seed": _typed(meta["seed"], int),
            "notes": tuple(_typed(note, str) for note in _typed(meta["notes"], list)),
            "output_gradients": _numbers(meta.get("output_gradients", {})),  # there is none in files of before
            "_grams": grams,
            "_channels": channels,
        }


def with_suffix(path: str | os.PathLike[str]) -> Path:
    """``path``, with ``.npz`` appended unless it ends so: `numpy.savez` does the same."""
    name = os.fspath(path)
    return Path(name if name.endswith(".npz") else f"{name}.npz")


def _existing(path: str | os.PathLike[str]) -> Path:
    """``path``, or the name under which it was saved."""
    return with_suffix(path) if with_suffix(path).is_file() and not Path(path).is_file() else Path(path)


def _put(arrays: dict[str, NDArray[Any]], where: str, array: NDArray[Any]) -> str:
    arrays[where] = np.asanyarray(array)
    if arrays[where].dtype.kind not in _NUMBERS:
        raise TypeError(f"{where} has dtype {arrays[where].dtype}: a trace file holds arrays of numbers")
    return where


def _packed_moments(where: str, moments: Mapping[str, NDArray[Any]], arrays: dict[str, NDArray[Any]]) -> dict[str, str]:
    return {name: _put(arrays, f"{where}/{_file_name(name, k)}", moments[name]) for k, name in enumerate(moments)}


def _packed_table(table: pd.DataFrame, arrays: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    if not table.columns.is_unique:
        raise ValueError(f"the table has two columns {table.columns[table.columns.duplicated()][0]!r}: rename one")
    return [_packed_column(k, name, table[name], arrays) for k, name in enumerate(table)]


def _packed_column(k: int, name: object, column: pd.Series[Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    if not isinstance(name, str):
        raise TypeError(f"the table has a column named {name!r}: a trace file has columns named by text")
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in _NUMBERS:
        return {"name": name, "array": _put(arrays, f"table/{_file_name(name, k)}", column.to_numpy())}
    if str(dtype) not in _TEXTS:
        raise TypeError(f"column {name!r} has dtype {dtype}: a trace file holds numpy's numbers, text and tuples")
    return {"name": name, "dtype": str(dtype), "values": [_encoded(v, f"column {name!r}") for v in column]}


def _file_name(name: str, k: int) -> str:
    """A name that is safe in any file system: its own, or else its number, which is no other's name."""
    return name if name.isascii() and name.isidentifier() else str(k)


def _encoded(value: Any, where: str) -> Any:
    """``value`` in strict JSON, which knows neither tuples nor NaN; `_decoded` gives it back exactly."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, tuple):
        return [_encoded(item, where) for item in value]
    raise TypeError(f"{where} holds {describe(value)}: a trace file holds numbers, text and tuples of them")


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return float(value["float"])
    return tuple(_decoded(item) for item in value) if isinstance(value, list) else value


def _opened(file: Path) -> zipfile.ZipFile:
    if not zipfile.is_zipfile(file):
        with file.open("rb") as start:
            cut = start.read(4) == b"PK\x03\x04"
        what = "is cut off: its end is missing" if cut else "is no trace: traces are .npz files that Trace.save writes"
        raise LoadingError(f"{file} {what}")
    return zipfile.ZipFile(file)


def _meta(file: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    if _META not in archive.namelist():
        raise LoadingError(f"{file} holds no trace: an archive without {_META}")
    if sum(member.file_size for member in archive.infolist()) > file.stat().st_size:
        raise LoadingError(f"{file} unpacks to more than its size: a trace is stored uncompressed")
    meta = json.loads(archive.read(_META))
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise LoadingError(f"{file} holds no trace: its {_META} is of something else")
    if _typed(meta["version"], int) > VERSION:
        raise LoadingError(
            f"{file} is from a newer normscope (trace format {meta['version']}, this one reads {VERSION}): upgrade"
        )
    return meta


def _key(entry: dict[str, Any]) -> tuple[str, int]:
    return _typed(entry["layer"], str), _typed(entry["call"], int)


def _unpacked_table(file: Path, archive: zipfile.ZipFile, columns: list[dict[str, Any]]) -> pd.DataFrame:
    table: dict[str, pd.Series[Any]] = {}
    for column in columns:
        name = _typed(column["name"], str)
        if "array" in column:
            table[name] = pd.Series(read_array(file, archive, column["array"]))
        elif column["dtype"] in _TEXTS:
            table[name] = pd.Series([_decoded(value) for value in column["values"]], dtype=column["dtype"])
        else:
            raise ValueError(f"column {name!r} is of unknown type")
    if not set(_COLUMNS) <= set(table) or len({len(column) for column in table.values()}) > 1:
        raise ValueError("columns of the table are missing, or of different lengths")
    return pd.DataFrame(table)


def _numbers(values: Any) -> dict[str, float]:
    found = {name: _decoded(value) for name, value in _typed(values, dict).items()}
    return {name: value if type(value) is int else _typed(value, float) for name, value in found.items()}


def _typed(value: Any, kind: type[T]) -> T:
    if type(value) is not kind:  # not isinstance: True is an int
        raise ValueError(f"{describe(value)} in the place of {describe(kind)}")
    return value
