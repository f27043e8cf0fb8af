"""Two traces side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from normscope.tracing.lookup import numbers, numeric_columns

# sizes and counts: a factor says more than a difference. All other numbers get a difference.
RATIOS = ("std", "effective_rank", "stable_rank", "odd_norm_ratio", "grad_norm", "param_grad_norm",
          "kernel_gradient_ratio", "kernel_sqrt_terms")  # fmt: skip
_KEY = ["layer", "call"]
_MISSABLE = {"i": "Int64", "u": "UInt64", "b": "boolean"}  # numpy has no missing integer and no missing flag


def side_by_side(one: pd.DataFrame, two: pd.DataFrame, suffixes: tuple[str, str]) -> pd.DataFrame:
    """See `Trace.compare`."""
    if len({*suffixes, "_ratio", "_difference"}) < 4:
        raise ValueError(f"suffixes must differ from each other, from _ratio and from _difference, not {suffixes}")
    keys = list(dict.fromkeys(key for table in (one, two) for key in zip(table["layer"], table["call"], strict=True)))
    index = pd.MultiIndex.from_arrays([[layer for layer, _ in keys], [call for _, call in keys]], names=_KEY)
    names = [name for name in dict.fromkeys([*map(str, one), *map(str, two)]) if name not in _KEY]
    changing = {*numeric_columns(one), *numeric_columns(two)}
    before, after = _aligned(one, index, names), _aligned(two, index, names)
    columns: dict[str, pd.Series[Any]] = {}
    for name in names:
        columns[name + suffixes[0]], columns[name + suffixes[1]] = before[name], after[name]
        if name in changing:
            a, b = numbers(before, name), numbers(after, name)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # undefined is NaN here, too
                kind, change = ("ratio", b / a) if name in RATIOS else ("difference", b - a)
            columns[f"{name}_{kind}"] = pd.Series(change, index)
    return pd.DataFrame(columns, index).reset_index()


def _aligned(table: pd.DataFrame, index: pd.MultiIndex, names: list[str]) -> pd.DataFrame:
    """One row a key of ``index``, one column a name; what the table does not have is missing."""
    kinds = {
        name: _MISSABLE.get(getattr(dtype, "kind", "")) for name, dtype in table.dtypes.items() if name not in _KEY
    }
    roomy = table.astype({name: kind for name, kind in kinds.items() if kind is not None})
    return roomy.set_index(_KEY).reindex(index).reindex(columns=names)
