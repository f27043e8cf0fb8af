"""Several traces row by row: the same layer call of each in one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from normscope.tracing import Trace


class Joined(NamedTuple):
    """Layer calls of one or more traces.

    Attributes:
        labels: one row a layer call: ``layer``, ``call``, ``kind``, ``shape`` of the first trace that has it.
        tables: of each trace its table, in these rows; where it has no such layer call, undefined.
        positions: of each trace, which row of its own table each row is; −1 where it has none.
    """

    labels: pd.DataFrame
    tables: list[pd.DataFrame]
    positions: list[list[int]]


def join(traces: Sequence[Trace]) -> Joined:
    """The layer calls of all traces: in the order of the first one, then what only a later one has."""
    own = [_places(trace) for trace in traces]
    keys = list(dict.fromkeys(key for places in own for key in places))
    positions = [[places.get(key, -1) for key in keys] for places in own]
    labels = [_label(key, traces, own) for key in keys]
    tables = [
        trace.table.reset_index(drop=True).reindex(rows).reset_index(drop=True)
        for trace, rows in zip(traces, positions, strict=True)
    ]
    return Joined(pd.DataFrame(labels, columns=["layer", "call", "kind", "shape"]), tables, positions)


def short_shape(shape: tuple[int, ...], batch: int) -> str:
    """The shape of one sample's output: ``64×8×8``; the whole shape where the batch does not come first."""
    sample = shape[1:] if shape and shape[0] == batch else shape
    return "×".join(map(str, sample)) or "1"


def _places(trace: Trace) -> dict[tuple[Any, Any], int]:
    return {key: row for row, key in enumerate(zip(trace.table["layer"], trace.table["call"], strict=True))}


def _label(key: tuple[Any, Any], traces: Sequence[Trace], own: Sequence[dict[tuple[Any, Any], int]]) -> dict[str, Any]:
    trace, places = next((t, places) for t, places in zip(traces, own, strict=True) if key in places)
    row = trace.table.iloc[places[key]]
    return {"layer": key[0], "call": key[1], "kind": row["kind"], "shape": short_shape(row["shape"], trace.batch)}
