"""From records to a tidy table: the geometry of many Gram matrices at once, one transfer from the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope import measure
from normscope.tracing.records import Record

_AT_ONCE = 64  # Gram matrices measured together: enough to be fast, few enough to stay small
_FIRST = ("layer", "kind", "call", "shape", "mean", "std", "dead_fraction")


def geometry(grams: Tensor) -> dict[str, Tensor]:
    """The columns that follow from Gram matrices; one eigendecomposition and one odd point serve them all.

    Args:
        grams: shape (k, n, n), float64.

    Returns:
        Column name -> tensor of shape (k,).
    """
    eigenvalues = measure.eigenvalues(grams)  # shape: (k, n)
    odd = measure.odd_point(grams)
    return {
        "cos_mean": measure.mean_cosine(grams),
        "effective_rank": measure.effective_rank(grams, eigenvalues=eigenvalues),
        "stable_rank": measure.stable_rank(grams, eigenvalues=eigenvalues),
        "orthogonality_gap": measure.orthogonality_gap(grams),
        "isometry_gap": measure.isometry_gap(grams, eigenvalues=eigenvalues),
        "odd_index": odd.index,
        "odd_cosine": odd.cosine,
        "cluster_cosine": odd.cluster_cosine,
        "odd_norm_ratio": odd.norm_ratio,
        "odd_score": odd.score,
    }


def tabulate(records: Sequence[Record]) -> tuple[pd.DataFrame, dict[tuple[str, int], NDArray[np.float64]]]:
    """The table of a `Trace`, one row a record, and the Gram matrices by (layer, call)."""
    rows: list[dict[str, object]] = [
        {"layer": r.layer, "kind": r.kind, "call": r.call, "shape": r.shape} for r in records
    ]
    names = sorted({name for record in records for name in record.scalars})
    for name in names:
        having = [i for i, record in enumerate(records) if name in record.scalars]
        values = torch.stack([records[i].scalars[name].double() for i in having]).tolist()
        for i, value in zip(having, values, strict=True):
            rows[i][name] = value
    grams: dict[tuple[str, int], NDArray[np.float64]] = {}
    having = [i for i, record in enumerate(records) if record.gram is not None]
    for start in range(0, len(having), _AT_ONCE):
        chunk = having[start : start + _AT_ONCE]
        stacked = torch.stack([gram for i in chunk if (gram := records[i].gram) is not None])
        columns = {name: values.tolist() for name, values in geometry(stacked).items()}
        matrices = stacked.cpu().numpy()
        for position, i in enumerate(chunk):
            rows[i].update({name: values[position] for name, values in columns.items()})
            grams[records[i].layer, records[i].call] = matrices[position]
    return _in_order(pd.DataFrame(rows)), grams


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    for name in (*_FIRST, *geometry(torch.eye(3, dtype=torch.float64)[None])):
        if name not in table:
            table[name] = -1 if name == "odd_index" else float("nan")
    table["odd_index"] = table["odd_index"].fillna(-1).astype("int64")
    known = [*_FIRST, *geometry(torch.eye(3, dtype=torch.float64)[None])]
    return table[[*known, *(name for name in table if name not in known)]]
