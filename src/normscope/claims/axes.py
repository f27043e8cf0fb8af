"""What figures of claims share: panels, ticks that are numbers one reads, intervals, and a strip of dots a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from normscope.claims.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS: Final = "osD^vP*"
"""One a curve, beside its colour: a figure printed in grey says as much."""

LINES: Final = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
"""Likewise, for curves of many points."""

CONFIDENCE: Final = 0.95
"""Of every interval in a figure. Those of criteria are longer: several parts share their error rate."""


_MOST_TICKS: Final = 8


def panels(ax: Axes, rows: int, columns: int, *, sharex: bool = True, sharey: bool = True) -> list[list[Axes]]:
    """``ax`` made a grid of panels that share their axes, row by row; of itself nothing is seen any more."""
    spec, figure = ax.get_subplotspec(), ax.get_figure()
    assert spec is not None
    assert figure is not None
    ax.set_axis_off()
    grid = spec.subgridspec(rows, columns).subplots(sharex=sharex, sharey=sharey, squeeze=False)
    return [list(row) for row in grid]


def number_ticks(ax: Axes, x: Iterable[float] | None = None, y: Iterable[float] | None = None) -> None:
    """Ticks at these numbers and nowhere else, written out: 64 and 0.05, not 6.4 × 10¹."""
    for values, place in ((x, ax.xaxis), (y, ax.yaxis)):
        if values is not None:
            ticks = sorted(set(values))
            place.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
            place.set_ticks([], minor=True)


def whole_ticks(ax: Axes) -> None:
    """Ticks of x at whole numbers: layers and steps have no halves."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def round_numbers(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis from ``low`` to ``high``, the finer the shorter it is, and never many.

    Numbers of one digit or two over about an octave; 1, 2 and 5 times powers of ten over some decades; powers over
    more.
    """
    for digits in ((1, 1.2, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1,)):
        found = _times_powers(digits, low, high)
        if 2 <= len(found) <= _MOST_TICKS:
            return found
    if len(found) > _MOST_TICKS:
        return found[:: -(-len(found) // _MOST_TICKS)]
    fine = (_times_powers(np.arange(1, 10, step).round(1), low, high) for step in (0.5, 0.2, 0.1))
    return next((ticks for ticks in fine if len(ticks) > 1), found)


def _times_powers(digits: Iterable[float], low: float, high: float) -> list[float]:
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [float(k * 10.0**power) for power in powers for k in digits if low <= k * 10.0**power <= high]


def mean_and_bars(groups: Any) -> tuple[pd.Series[float], pd.Series[float]]:
    """Of every group of a column its mean, and half its interval (Student's); that is NaN of a single value."""
    from scipy.stats import t

    half = groups.sem() * t.ppf((1 + CONFIDENCE) / 2, groups.count() - 1)
    return groups.mean(), half


def exponential_bars(middle: ArrayLike, half: ArrayLike) -> NDArray[np.float64]:
    """Of means of logarithms: how far the interval goes down and up from the geometric mean, shape (2, …)."""
    centre, reach = np.exp(np.asarray(middle)), np.asarray(half)
    return np.stack([-centre * np.expm1(-reach), centre * np.expm1(reach)])


def band(ax: Axes, groups: Any, colour: str) -> None:
    """The interval of the mean of every group, as a band along x."""
    middle, half = mean_and_bars(groups)
    ax.fill_between(middle.index, middle - half, middle + half, color=colour, alpha=0.25, linewidth=0)


def legend_above(ax: Axes, columns: int = 1, title: str | None = None) -> None:
    """A legend that can lie on no data."""
    ax.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, ncols=columns, fontsize="small", title=title,
        title_fontsize="small",
    )  # fmt: skip


def strips(ax: Axes, table: pd.DataFrame, by: str, value: str, colour: Callable[[Any], str]) -> None:
    """One dot a row at its ``value``, a strip of them for each value of ``by``, the first at the bottom."""
    groups = list(table.groupby(by, sort=False))
    for place, (name, rows) in enumerate(groups):
        spread = place + 0.6 * (np.arange(len(rows)) / max(1, len(rows) - 1) - 0.5)
        ax.plot(rows[value], spread, "o", color=colour(name), markersize=3, alpha=0.6, markeredgewidth=0)
    ax.set_yticks(range(len(groups)), [str(name) for name, _ in groups])
    ax.set_ylim(-0.6, len(groups) - 0.4)


def beside_strips(ax: Axes, shares: Sequence[Estimate], title: str) -> None:
    """Right of `strips`, the first at the bottom: what fraction of each, with its interval."""
    right = ax.secondary_yaxis("right")
    words = [f"{100 * s.value:.0f} ({100 * s.low:.0f} – {100 * s.high:.0f})" for s in shares]
    right.set_yticks(range(len(shares)), words, fontsize="small")
    right.tick_params(length=0)
    right.set_ylabel(title, fontsize="small")
