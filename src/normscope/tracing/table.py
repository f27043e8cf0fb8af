"""From records to a tidy table: the geometry of many Gram matrices at once, one transfer from the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope import measure
from normscope.tracing.records import GramBlocks, Record
from normscope.tracing.threads import one_thread

Key = tuple[str, int]
Channels = dict[str, NDArray[Any]]

_FIRST = ("layer", "kind", "call", "shape", "mean", "std", "dead_fraction", "finite")
_GEOMETRY = (
    "cos_mean", "effective_rank", "stable_rank", "orthogonality_gap", "isometry_gap", "odd_index", "odd_cosine",
    "cluster_cosine", "odd_norm_ratio", "odd_score",
)  # fmt: skip


def tabulate(
    records: Sequence[Record], grams: GramBlocks
) -> tuple[pd.DataFrame, dict[Key, NDArray[np.float64]], dict[Key, Channels]]:
    """The table of a `Trace`, one row a record; the Gram matrices and the channels by (layer, call)."""
    rows: list[dict[str, Any]] = [{"layer": r.layer, "kind": r.kind, "call": r.call, "shape": r.shape} for r in records]
    _add_scalars(rows, records)
    channels = _add_moments(rows, records)
    matrices = _add_geometry(rows, records, grams)
    table = pd.DataFrame(rows)
    for name in (*_FIRST, *_GEOMETRY):
        if name not in table:
            table[name] = float("nan")
    table["odd_index"] = table["odd_index"].fillna(-1).astype("int64")
    for name in {"finite", "grad_finite"} & set(table):
        table[name] = table[name].map(lambda finite: finite is not False).astype(bool)  # unknown counts as finite
    known = [*_FIRST, *_GEOMETRY]
    return table[[*known, *(name for name in table if name not in known)]], matrices, channels


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


def _add_scalars(rows: list[dict[str, Any]], records: Sequence[Record]) -> None:
    named = [(i, name, value) for i, record in enumerate(records) for name, value in record.scalars.items()]
    owned = [(i, r.param_grad_norm) for i, r in enumerate(records) if r.param_grad_norm is not None]
    named += [(i, "param_grad_norm", value) for i, value in owned]
    values = _transferred([value.double().reshape(1) for _, _, value in named])
    for (i, name, _), value in zip(named, values, strict=True):
        rows[i][name] = float(value[0])
    for row in rows:
        norms = [row[name] for name in ("grad_norm", "param_grad_norm") if name in row]
        if norms:
            row["grad_finite"] = all(map(math.isfinite, norms))


def _add_moments(rows: list[dict[str, Any]], records: Sequence[Record]) -> dict[Key, Channels]:
    having = [(i, record.channels) for i, record in enumerate(records) if record.channels is not None]
    if not having:
        return {}
    fields = [torch.cat([part.double() for part in parts]) for parts in zip(*(c for _, c in having), strict=True)]
    mean, var, dead = torch.stack(fields).cpu().numpy()  # shape: (channels of all records,) each
    sizes = np.array([len(c.mean) for _, c in having])
    ends = np.cumsum(sizes)
    starts = ends - sizes
    with np.errstate(invalid="ignore", over="ignore"):  # of a layer that is not finite
        overall = np.add.reduceat(mean, starts) / sizes
        spread = var + (mean - np.repeat(overall, sizes)) ** 2
        columns = {
            "mean": overall,
            "std": np.sqrt(np.add.reduceat(spread, starts) / sizes),
            "dead_fraction": np.add.reduceat(dead, starts) / sizes,
            "finite": np.logical_and.reduceat(np.isfinite(mean) & np.isfinite(var), starts),
        }
    channels = {"mean": mean, "std": np.sqrt(var), "dead": dead.astype(bool)}
    of_rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    found: dict[Key, Channels] = {}
    for (i, _), values, start, end in zip(having, of_rows, starts, ends, strict=True):
        rows[i].update(zip(columns, values, strict=True))
        found[records[i].layer, records[i].call] = {name: all_[start:end] for name, all_ in channels.items()}
    return found


def _add_geometry(
    rows: list[dict[str, Any]], records: Sequence[Record], grams: GramBlocks
) -> dict[Key, NDArray[np.float64]]:
    measured: dict[int, tuple[dict[str, Any], NDArray[np.float64]]] = {}  # by record
    filled = [block[: len(of)] for block, of in grams.blocks]
    for (_, of), stacked, columns in zip(grams.blocks, filled, _side_by_side(geometry, filled), strict=True):
        numbers = {name: values.tolist() for name, values in columns.items()}
        for position, (record, matrix) in enumerate(zip(of, stacked.cpu().numpy(), strict=True)):
            measured[id(record)] = ({name: column[position] for name, column in numbers.items()}, matrix)
    found: dict[Key, NDArray[np.float64]] = {}
    for row, record in zip(rows, records, strict=True):
        if (key := id(record.same_as or record)) in measured:
            values, matrix = measured[key]
            row.update(values)
            row.setdefault("finite", bool(np.isfinite(matrix).all()))
            found[record.layer, record.call] = matrix
    return found


def _side_by_side(function: Callable[[Tensor], dict[str, Tensor]], stacks: list[Tensor]) -> list[dict[str, Tensor]]:
    """``function`` of each stack of matrices, as many at a time as torch has threads.

    Matrices this small are decomposed several times faster by one thread each than by threads that share each.
    """
    with one_thread() as threads, ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, stacks))


def _transferred(vectors: Iterable[Tensor]) -> list[NDArray[np.float64]]:
    """1-D float64 tensors as arrays, brought to the host in one piece."""
    vectors = list(vectors)
    if not vectors:
        return []
    host = torch.cat([v.flatten() for v in vectors]).cpu().numpy()
    ends = np.cumsum([v.numel() for v in vectors])
    return list(np.split(host, ends[:-1]))
