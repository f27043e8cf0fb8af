"""Finding rows and columns of a trace's table by name, with errors that say what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope.loading import some, suggestion

_SHOWN = 5  # names listed in a message
_GRADIENTS = ("grad_norm", "grad_coherence", "grad_shared", "param_grad_norm")
_KERNELS = ("kernel_gradient_ratio", "kernel_sqrt_terms")
KNOWN = (
    "layer", "kind", "call", "shape", "mean", "std", "dead_fraction", "finite", "cos_mean", "effective_rank",
    "stable_rank", "orthogonality_gap", "isometry_gap", "odd_index", "odd_cosine", "cluster_cosine", "odd_norm_ratio",
    "odd_score", *_GRADIENTS, "grad_finite", *_KERNELS,
)  # fmt: skip


class NotInTrace(KeyError):
    """A layer, call or column that a trace does not have. The message is one line that says what there is."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would print it in quotes


def require_call(table: pd.DataFrame, layer: str, call: int) -> None:
    """Raise `NotInTrace` unless ``table`` has a row for that call of that layer."""
    calls = table.loc[table["layer"] == layer, "call"].tolist()
    if not calls:
        raise NotInTrace(f"no layer {layer!r} in this trace{_instead(layer, table['layer'].unique().tolist())}")
    if call not in calls:
        there = f"call {min(calls)}" + (f" to {max(calls)}" if len(calls) > 1 else "")
        raise NotInTrace(f"layer {layer!r} was called {len(calls)} times: there is {there}, not {call!r}")


def numbers(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """The values of a column, shape (rows,), float64.

    Raises:
        NotInTrace: no such column.
        TypeError: the column holds no numbers.
    """
    if column not in table:
        raise NotInTrace(f"no column {column!r} in this trace{_instead_of_column(column, table)}")
    if not pd.api.types.is_numeric_dtype(table[column]):
        raise TypeError(f"column {column!r} holds no numbers; columns of numbers are {_all(numeric_columns(table))}")
    return table[column].to_numpy(dtype=np.float64, na_value=np.nan)


def numeric_columns(table: pd.DataFrame) -> list[str]:
    """The columns whose values can be drawn or fitted; labels (``call``, ``odd_index``) and flags are not."""
    kinds = pd.api.types
    return [
        str(name)
        for name in table
        if name not in ("call", "odd_index")
        and kinds.is_numeric_dtype(table[name])
        and not kinds.is_bool_dtype(table[name])
    ]


def own_columns(table: pd.DataFrame) -> list[str]:
    """The columns of the user's own measures."""
    return [str(name) for name in table if name not in KNOWN]


def matching_rows(table: pd.DataFrame, layers: str | Sequence[str]) -> NDArray[np.intp]:
    """Positions of the rows whose layer matches one of the glob patterns ``layers``.

    Raises:
        ValueError: there is none.
    """
    patterns = [layers] if isinstance(layers, str) else list(layers)
    names = table["layer"].tolist()
    rows = np.flatnonzero([any(fnmatchcase(name, pattern) for pattern in patterns) for name in names])
    if not rows.size:
        wanted = " or ".join(map(repr, patterns)) or "an empty list of patterns"
        known = list(dict.fromkeys(names))
        raise ValueError(f"no layer matches {wanted} in this trace{_instead(''.join(patterns[:1]), known)}")
    return rows


def finite_rows(table: pd.DataFrame, grams: Mapping[tuple[str, int], NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Whether the output of each row was finite: by its column ``finite``, else by its Gram matrix, else True."""
    if "finite" in table:
        known = table["finite"].astype(bool).tolist()
    else:
        keys = zip(table["layer"], table["call"], strict=True)
        known = [key not in grams or bool(np.isfinite(grams[key]).all()) for key in keys]
    return np.array(known, dtype=np.bool_)


def _instead(name: str, known: list[str]) -> str:
    if not known:
        return "; no layer was called"
    return suggestion(name, known, listed=()) or f"; it has {len(known)}: {some(known, _SHOWN)}"


def _instead_of_column(column: str, table: pd.DataFrame) -> str:
    if column in _GRADIENTS:
        return "; gradients are measured with a loss: give targets or a loss to normscope.trace"
    if column in _KERNELS:
        return "; give a loss to normscope.trace, and 'kernel_gradients' among its measures"
    known = [str(name) for name in table]
    return suggestion(column, known, listed=()) or f"; it has {_all(known)}"


def _all(names: list[str]) -> str:
    return some(names, len(names))
