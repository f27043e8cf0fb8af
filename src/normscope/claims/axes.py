"""What figures of claims share: ticks that are numbers one reads, markers, and a strip of dots a kind of network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS: Final = "osD^vP*"
"""One a curve, beside its colour: a figure printed in grey says as much."""

LINES: Final = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
"""Likewise, for curves of many points."""


def panels(ax: Axes, rows: int, columns: int) -> list[list[Axes]]:
    """``ax`` made a grid of panels that share their axes, row by row; of itself nothing is seen any more."""
    spec, figure = ax.get_subplotspec(), ax.get_figure()
    assert spec is not None
    assert figure is not None
    ax.set_axis_off()
    grid = spec.subgridspec(rows, columns).subplots(sharex=True, sharey=True, squeeze=False)
    return [list(row) for row in grid]


def number_ticks(ax: Axes, x: Iterable[float] | None = None, y: Iterable[float] | None = None) -> None:
    """Ticks at these numbers and nowhere else, written out: 64 and 0.05, not 6.4 × 10¹."""
    for values, place in ((x, ax.xaxis), (y, ax.yaxis)):
        if values is not None:
            ticks = sorted(set(values))
            place.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
            place.set_ticks([], minor=True)


def round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, from ``low`` to ``high``: ticks of a logarithmic axis of a few octaves."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [k * 10.0**power for power in powers for k in (1, 2, 5) if low <= k * 10.0**power <= high]


def strips(ax: Axes, table: pd.DataFrame, by: str, value: str, colour: Callable[[Any], str]) -> None:
    """One dot a row at its ``value``, a strip of them for each value of ``by``, the first at the bottom."""
    groups = list(table.groupby(by, sort=False))
    for place, (name, rows) in enumerate(groups):
        spread = place + 0.6 * (np.arange(len(rows)) / max(1, len(rows) - 1) - 0.5)
        ax.plot(rows[value], spread, "o", color=colour(name), markersize=3, alpha=0.6, markeredgewidth=0)
    ax.set_yticks(range(len(groups)), [str(name) for name, _ in groups])
    ax.set_ylim(-0.6, len(groups) - 0.4)
