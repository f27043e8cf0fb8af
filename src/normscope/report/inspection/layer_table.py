"""A table of layer calls as lines of text: numbers aligned, names elided in the middle, as wide as the screen."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from rich.cells import cell_len, set_cell_size

from normscope.loading import one_line, suggestion
from normscope.report.inspection.failing_layer import InspectionError
from normscope.report.inspection.joined import Joined, join
from normscope.report.inspection.quantities import Quantity, quantities_of
from normscope.report.inspection.standouts import trouble
from normscope.report.inspection.words import words
from normscope.report.writing import elide, form, short_path
from normscope.tracing import Trace

_ROWS = 40  # of a table in forward order; its middle is left out
_FIRST = 15  # of a sorted one
_NAME = 16  # columns that a layer's name has at least
_NAMES = 0.4  # of the screen, at most, so that all names can be told apart
_KIND, _SHAPE = 14, 14
# what stays on a narrow screen, the most important first
_KEPT = ("trouble", "std", "cos_mean", "effective_rank", "odd_score", "dead_fraction", "grad_norm", "kind", "mean",
         "grad_coherence", "kernel_gradient_ratio", "kernel_sqrt_terms", "shape", "odd_index", "grad_shared",
         "param_grad_norm")  # fmt: skip
_LABELS = ("layer", "kind", "call")


class _Column(NamedTuple):
    heading: str
    cells: list[str]
    importance: int  # the largest are left out first
    left: bool = False

    @property
    def width(self) -> int:
        return max(cell_len(text) for text in (self.heading, *self.cells))


def layer_table(
    traces: Sequence[Trace], width: int, *, sort: str | None = None, worst: bool = False, rows: int | None = None
) -> list[str]:
    """One line a layer call; of several traces the numbers side by side, headed by A, B.

    Args:
        traces: one or more.
        width: columns of the screen. Columns that do not fit are left out, and the last line says which.
        sort: as in `normscope.report.terminal.lines`, as are the others.
        worst: by `trouble`, and a column says why.
        rows: how many.

    Raises:
        InspectionError: no such column to sort by.
    """
    joined = join(traces)
    quantities = quantities_of(traces)
    ranks = [trouble(trace.table) for trace in traces]
    order = _order(joined, ranks, quantities, sort, worst)
    ordered = worst or sort is not None
    head, tail = _shown(len(order), rows, ordered)
    shown = order[: head + tail] if ordered else [*order[:head], *order[len(order) - tail :]]
    columns = _columns(joined, quantities, shown, len(traces))
    if worst:
        columns.insert(1, _why(joined, ranks, shown))
    laid, omitted = _fitting(columns, width)
    text = _aligned(laid, width)
    left_out = len(order) - len(shown)
    if left_out and not ordered:
        text.insert(1 + head, f"  … {left_out} more …")
    notes = []
    if left_out:
        notes.append(f"{len(shown)} of {len(order)} layer calls; --rows 0 prints all")
    if omitted:
        notes.append(f"{omitted} more columns on a wider screen, all in --json")
    return [*text, *(["", *textwrap.wrap("; ".join(notes), max(width, 20))] if notes else [])]


def _order(
    joined: Joined, ranks: Sequence[pd.DataFrame], quantities: Sequence[Quantity], sort: str | None, worst: bool
) -> list[int]:
    """Rows in the order in which they are printed."""
    if worst:
        worsts = pd.DataFrame({k: _aligned_rank(joined, k, rank) for k, rank in enumerate(ranks)}).max(axis="columns")
        return [int(i) for i in worsts.sort_values(ascending=False, kind="stable").index]
    if sort is None:
        return list(range(len(joined.labels)))
    name, ascending = sort.removeprefix("-"), sort.startswith("-")
    known = [*_LABELS, *(quantity.key for quantity in quantities)]
    if name not in known:
        raise InspectionError(f"--sort {one_line(name)}: no such column{suggestion(name, known)}")
    if name in _LABELS:
        values, ascending = joined.labels[name], not ascending
    else:
        values = next(table[name] for table in joined.tables if name in table)
        for table in joined.tables:
            values = values.fillna(table[name]) if name in table else values
    return [int(i) for i in values.sort_values(ascending=ascending, kind="stable", na_position="last").index]


def _aligned_rank(joined: Joined, network: int, rank: pd.DataFrame) -> pd.Series:
    return rank["trouble"].reset_index(drop=True).reindex(joined.positions[network]).reset_index(drop=True).fillna(0.0)


def _why(joined: Joined, ranks: Sequence[pd.DataFrame], shown: Sequence[int]) -> _Column:
    """Of the network in which the layer call is worst, how much and why."""
    cells = []
    for row in shown:
        own = [
            (rank.iloc[places[row]]) for places, rank in zip(joined.positions, ranks, strict=True) if places[row] >= 0
        ]
        most = max(own, key=lambda rank: float(rank["trouble"]))
        cells.append(f"{most['why']} {most['trouble']:.2f}")
    return _Column("trouble", cells, 0, left=True)


def _shown(count: int, rows: int | None, ordered: bool) -> tuple[int, int]:
    """How many rows of the beginning, and of the end."""
    limit = count if rows == 0 else rows or (_FIRST if ordered else _ROWS)
    if count <= limit:
        return count, 0
    return (limit, 0) if ordered else (limit - limit // 2, limit // 2)


def _columns(joined: Joined, quantities: Sequence[Quantity], shown: Sequence[int], networks: int) -> list[_Column]:
    labels = joined.labels.iloc[list(shown)]
    several = joined.labels["layer"].duplicated(keep=False).to_numpy()
    names = [
        one_line(f"{row.layer}" + (f" (call {row.call})" if several[i] else ""), 1000)
        for i, row in zip(shown, labels.itertuples(index=False), strict=True)
    ]
    columns = [
        _Column("layer", names, 0, left=True),
        _Column("kind", [elide(one_line(str(kind)), _KIND) for kind in labels["kind"]], _KEPT.index("kind"), left=True),
        _Column("shape", [elide(shape, _SHAPE) for shape in labels["shape"]], _KEPT.index("shape"), left=True),
    ]
    for place, quantity in enumerate(quantities):
        importance = _KEPT.index(quantity.key) if quantity.key in _KEPT else len(_KEPT) + place
        for letter, table in zip("AB", joined.tables, strict=False):
            values = table[quantity.key] if quantity.key in table else pd.Series(np.nan, index=table.index)
            heading = quantity.short if networks == 1 else f"{quantity.short} {letter}"
            told = words(table, quantity.key)
            cells = [told[row] or form(values.iloc[row], quantity.form) for row in shown]
            columns.append(_Column(heading, cells, importance))
    return columns


def _fitting(columns: Sequence[_Column], width: int) -> tuple[list[_Column], int]:
    """The columns that fit on the screen beside a name of some length, and how many are left out."""
    kept = list(columns)
    name = _name_width(columns[0], width)
    while len(kept) > 1 and name + sum(column.width + 2 for column in kept[1:]) > width:
        least = max(column.importance for column in kept[1:])  # one quantity: of both networks or of none
        kept = [kept[0], *(column for column in kept[1:] if column.importance < least)]
    return kept, len(columns) - len(kept)


def _name_width(column: _Column, width: int) -> int:
    """Columns in which shortened names are still different, from `_NAME` up to `_NAMES` of the screen."""
    least, most = min(column.width, _NAME), min(column.width, int(_NAMES * width))
    different = len(set(column.cells))
    enough = (w for w in range(least, most) if len({short_path(name, w) for name in column.cells}) == different)
    return next(enough, max(least, most))


def _aligned(columns: Sequence[_Column], width: int) -> list[str]:
    """Heading and rows; the first column takes what space is left."""
    space = max(2, width - sum(column.width + 2 for column in columns[1:]))
    widths = [min(columns[0].width, space), *(column.width for column in columns[1:])]
    shortened = [short_path, *(elide for _ in columns[1:])]
    rows = []
    for cells in zip(*([column.heading, *column.cells] for column in columns), strict=True):
        placed = [
            set_cell_size(shorten(text, size), size) if column.left else f"{text:>{size}}"
            for text, size, column, shorten in zip(cells, widths, columns, shortened, strict=True)
        ]
        rows.append("  ".join(placed).rstrip())
    return rows
