"""From records to a tidy table: the geometry of many Gram matrices at once, one transfer from the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope import measure
from normscope.tracing.records import GramBlocks, Record
from normscope.tracing.reductions import ChannelStatistics

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
    table["finite"] = table["finite"].map(lambda finite: finite is not False).astype(bool)  # unknown counts as finite
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


def _add_moments(rows: list[dict[str, Any]], records: Sequence[Record]) -> dict[Key, Channels]:
    having = [(i, record.channels) for i, record in enumerate(records) if record.channels is not None]
    parts = _transferred([part.double() for _, statistics in having for part in statistics])
    found: dict[Key, Channels] = {}
    for position, (i, _) in enumerate(having):
        width = len(ChannelStatistics._fields)
        mean, var, dead = parts[width * position : width * (position + 1)]
        with np.errstate(invalid="ignore", over="ignore"):  # of a layer that is not finite
            overall = mean.mean()
            std = np.sqrt(var.mean() + ((mean - overall) ** 2).mean())
        finite = bool(np.isfinite(mean).all() and np.isfinite(var).all())
        rows[i].update(mean=float(overall), std=float(std), dead_fraction=float(dead.mean()), finite=finite)
        found[records[i].layer, records[i].call] = {"mean": mean, "std": np.sqrt(var), "dead": dead.astype(bool)}
    return found


def _add_geometry(
    rows: list[dict[str, Any]], records: Sequence[Record], grams: GramBlocks
) -> dict[Key, NDArray[np.float64]]:
    measured: dict[int, tuple[dict[str, Any], NDArray[np.float64]]] = {}  # by record
    for block, of in grams.blocks:
        stacked = block[: len(of)]
        with _one_thread():
            columns = {name: values.tolist() for name, values in geometry(stacked).items()}
        for position, (record, matrix) in enumerate(zip(of, stacked.cpu().numpy(), strict=True)):
            measured[id(record)] = ({name: values[position] for name, values in columns.items()}, matrix)
    found: dict[Key, NDArray[np.float64]] = {}
    for row, record in zip(rows, records, strict=True):
        if (key := id(record.same_as or record)) in measured:
            numbers, matrix = measured[key]
            row.update(numbers)
            row.setdefault("finite", bool(np.isfinite(matrix).all()))
            found[record.layer, record.call] = matrix
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices this small are decomposed several times faster by one thread than by threads that share each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _transferred(vectors: Iterable[Tensor]) -> list[NDArray[np.float64]]:
    """1-D float64 tensors as arrays, brought to the host in one piece."""
    vectors = list(vectors)
    if not vectors:
        return []
    host = torch.cat([v.flatten() for v in vectors]).cpu().numpy()
    ends = np.cumsum([v.numel() for v in vectors])
    return list(np.split(host, ends[:-1]))
