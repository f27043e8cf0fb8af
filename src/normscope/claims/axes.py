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
_DIGITS: Final = (
    (("1", "1.2", "1.5", "2", "3", "4", "5", "7"), _MOST_TICKS),
    (("1", "2", "3", "5"), 5),  # a decade and both its ends
    (("1", "2", "5"), _MOST_TICKS),
    (("1",), _MOST_TICKS),
)


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

    Multiples of 5, 2 or 1 of whatever digit it takes over less than an octave, the ends where there is none; numbers of
    one digit or two up to a decade; 1, 2, perhaps 3, and 5 times powers of ten over some decades; powers over more.

    Raises:
        ValueError: not 0 < low < high, both finite.
    """
    if not 0 < low < high < np.inf:
        raise ValueError(f"ticks of a logarithmic axis need 0 < low < high, both finite, got {low:g} and {high:g}")
    for digits, most in _DIGITS:
        found = _times_powers(digits, low, high)
        if len(found) < 2:
            return _multiples(low, high)
        if len(found) <= most:
            return found
    return found[:: -(-len(found) // _MOST_TICKS)]


def _times_powers(digits: Iterable[str], low: float, high: float) -> list[float]:
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    # not a product, which may be rounded past an end
    ticks = (float(f"{digit}e{power}") for power in powers for digit in digits)
    return [tick for tick in ticks if low <= tick <= high]


def _multiples(low: float, high: float) -> list[float]:
    """Of the largest of 5, 2 and 1 times powers of ten that has two of them from ``low`` to ``high``."""
    power = int(np.floor(np.log10(low)))
    for finer in range(power - 1, power - 15, -1):
        for step in (5, 2, 1):
            first, last = (int(end / (step * 10.0**finer)) for end in (low, high))
            ticks = [float(f"{k * step}e{finer}") for k in range(first - 1, last + 2)]
            ticks = [tick for tick in ticks if low <= tick <= high]
            if len(ticks) > 1:
                return ticks
    return [low, high]


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
