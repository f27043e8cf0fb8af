"""What a claim measured: a tidy table and a few numbers, and both as strict JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from normscope.claims.strict_json import decode_float, encode_float
from normscope.loading import describe

Scalar = float | int | bool | str

_KINDS: Final = {"b": "bool", "i": "int", "u": "int", "f": "float", "T": "text"}


@dataclass(frozen=True)
class Measurement:
    """The numbers of a claim: what its criterion and its figure are made from.

    Args:
        table: tidy, one row a cell; columns are named by text and hold numbers, bools or text.
        scalars: numbers of the whole measurement, by name.
        notes: sentences that who reads the numbers needs.

    Raises:
        TypeError: a column or a scalar that JSON has no form for; the message names it.
        ValueError: two columns of one name.
    """

    table: pd.DataFrame
    scalars: Mapping[str, Scalar] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.table.columns.is_unique:
            raise ValueError(f"the table has two columns {self.table.columns[self.table.columns.duplicated()][0]!r}")
        for name in self.table:
            if not isinstance(name, str):
                raise TypeError(f"the table has a column named {name!r}: columns are named by text")
            _kind(self.table[name], f"column {name!r}")
        object.__setattr__(self, "table", self.table.reset_index(drop=True))
        object.__setattr__(self, "scalars", {name: _plain_scalar(name, v) for name, v in self.scalars.items()})

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `from_json` gives it back, floats bit for bit."""
        return {
            "scalars": {n: encode_float(v) if isinstance(v, float) else v for n, v in self.scalars.items()},
            "floats": [name for name, value in self.scalars.items() if isinstance(value, float)],
            "notes": list(self.notes),
            "rows": len(self.table),
            "columns": [_packed(self.table[name]) for name in self.table],
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Measurement:
        """The measurement that `to_json` wrote. Narrow types come back wide: float32 as float64, int8 as int64."""
        scalars = {n: decode_float(v) if n in told["floats"] else v for n, v in told["scalars"].items()}
        columns = {column["name"]: _unpacked(column) for column in told["columns"]}
        return cls(pd.DataFrame(columns, index=range(told["rows"])), scalars, tuple(told["notes"]))


def _plain_scalar(name: str, value: Any) -> Scalar:
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, float | int | bool | str):
        raise TypeError(f"scalar {name!r} is {describe(value)}: scalars are numbers, bools and text")
    return plain


def _kind(column: pd.Series[Any], where: str) -> str:
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return _KINDS[dtype.kind]
    if str(dtype) in ("str", "object") and all(isinstance(value, str) for value in column):
        return "text"
    raise TypeError(f"{where} has dtype {dtype}: a measurement holds numpy's numbers, bools and text, none missing")


def _packed(column: pd.Series[Any]) -> dict[str, Any]:
    kind = _kind(column, f"column {column.name!r}")
    values = column.tolist()
    return {"name": column.name, "kind": kind, "values": list(map(encode_float, values)) if kind == "float" else values}


def _unpacked(column: Mapping[str, Any]) -> Any:
    kind, values = column["kind"], column["values"]
    if kind == "float":
        return np.array([decode_float(value) for value in values], dtype=np.float64)
    if kind == "text":
        return pd.Series(values, dtype="str")
    return np.array(values, dtype={"int": np.int64, "bool": np.bool_}[kind])
