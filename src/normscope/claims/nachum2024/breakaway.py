"""At which depth the odd point breaks away, against width and batch size.

From orthogonal points of equal norms, a start that favours no point: at infinite width it never breaks away, so that
the depth is a matter of chance, and this is its distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from normscope import simulate
from normscope.claims.axes import CONFIDENCE, LINES, MARKERS, legend_above, number_ticks, round_numbers
from normscope.claims.claim import Claim, Criterion, Scale
from normscope.claims.measurement import Measurement
from normscope.claims.nachum2024.watching import PAPER, SCORE, children, scales
from normscope.claims.parts import Part, at_least
from normscope.claims.statistics import slope
from normscope.system import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _measure(
    *, seed: int, ns: Sequence[int], widths: Sequence[int], depth: int, networks: int, score: float
) -> Measurement:
    """The first depth with an odd-point score of ``score``, of every network."""
    frames = []
    cells = list(product(ns, widths))
    for (n, width), child in zip(cells, children(seed, len(cells)), strict=True):
        found = simulate.random_network(
            np.eye(n), width, depth, recenter=True, rescale=False, networks=networks, seed=child, is_gram=True,
            record="odd_score",
        )  # fmt: skip
        away = found.measures["odd_score"].numpy() >= score  # shape: (networks, depth + 1); NaN has none
        first = np.where(away.any(1), away.argmax(1), depth)
        frames.append(pd.DataFrame({"n": n, "width": width, "breakaway": first, "broke_away": away.any(1)}))
    table = pd.concat(frames, ignore_index=True)
    never = int((~table["broke_away"]).sum())
    note = f"{never} of {len(table)} networks had not broken away at depth {depth}: they count with that depth."
    return Measurement(table, {"depth": depth, "never": never}, (note,))


def _judge_width(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    return _slopes(measurement.table, criterion, "width", "n", "n = {}")


def _judge_batch(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    return _slopes(measurement.table, criterion, "n", "width", "width {}")


def _slopes(table: pd.DataFrame, criterion: Criterion, along: str, each: str, label: str) -> Sequence[Part]:
    """Of ln depth on ln ``along``, for every value of ``each``."""
    return [
        at_least(
            f"{label.format(value)}: slope of ln depth on ln {along}",
            slope(np.log(rows[along]), np.log(rows["breakaway"]), criterion.confidence),
            criterion.limits["slope"],
        )
        for value, rows in table.groupby(each)
    ]


def _draw_width(measurement: Measurement, ax: Axes) -> None:
    _draw(measurement, ax, "width", "n", "n = {}")
    ax.set_xlabel("width")


def _draw_batch(measurement: Measurement, ax: Axes) -> None:
    _draw(measurement, ax, "n", "width", "width {}")
    ax.set_xlabel("batch size n")


def _draw(measurement: Measurement, ax: Axes, along: str, each: str, label: str) -> None:
    """Where the middle networks break away, and the lines whose slopes are judged."""
    table = measurement.table
    groups = list(table.groupby(each))
    shifts = 1.05 ** (np.arange(len(groups)) - (len(groups) - 1) / 2)  # bars side by side
    for (value, rows), shift, colour, marker, line in zip(groups, shifts, CYCLE, MARKERS, LINES, strict=False):
        of_cell = rows.groupby(along)["breakaway"]
        middle = of_cell.median()
        bars = [middle - of_cell.quantile(0.1), of_cell.quantile(0.9) - middle]
        ax.errorbar(shift * middle.index, middle, bars, color=colour, marker=marker, linestyle="", capsize=3)
        x, y = np.log(rows[along]), np.log(rows["breakaway"])
        fitted = slope(x, y, CONFIDENCE)
        told = f"{label.format(value)}: slope {fitted}".replace("-", "−")
        ax.plot([], [], color=colour, marker=marker, linestyle=line, label=told)
        ends = np.array([x.min(), x.max()])
        ax.plot(np.exp(ends), np.exp(y.mean() + fitted.value * (ends - x.mean())), color=colour, linestyle=line)
    depth, never = int(measurement.scalars["depth"]), int(measurement.scalars["never"])
    ax.axhline(depth, color="0.5", linestyle=":", label=f"last layer: {never} of {len(table)} had not broken away")
    ax.set(ylabel="depth of breaking away (layers;\nmedian, bars: 80% of networks)", xscale="log", yscale="log")
    number_ticks(ax, x=table[along], y=round_numbers(*ax.get_ylim()))
    legend_above(ax, columns=2, title=f"lines: ln depth on ln {along} (slopes with 95% intervals)")


def _breakaway(
    along: str,
    *,
    statement: str,
    judge: Callable[[Measurement, Criterion], Sequence[Part]],
    figure: Callable[[Measurement, Axes], None],
    sizes: Mapping[Scale, Mapping[str, Any]],
    seconds: Mapping[Scale, float],
) -> Claim:
    """A claim on the depth against the width, or against the size of the batch."""
    of, fixed = {"width": ("width", "batch sizes"), "batch": ("n", "widths")}[along]
    return Claim(
        id=f"nachum2024.breakaway-{along}",
        paper=PAPER,
        result="beyond the paper: the depth at which the odd point breaks away",
        statement=statement,
        method="From orthogonal points of equal norms through random networks by exact law: the first depth with an "
        f"odd-point score of {SCORE} (the last depth where it never is).",
        criterion=Criterion(
            text=f"for each of three {fixed}, the whole {{confidence:.2%}} interval of the slope of ln depth on ln "
            f"{of}, one number a network, lies above {{slope:g}}",
            limits={"slope": 0.0},
            error_rate=0.01,
            error="calling it later though it is not",
            parts=3,
            judge=judge,
        ),
        measure=_measure,
        figure=figure,
        sizes=sizes,
        seconds=seconds,
    )


_QUICK: Final = {"ns": (8, 16, 32), "widths": (64, 256, 1024), "depth": 300, "networks": 30, "score": SCORE}
_FULL: Final = {"ns": (8, 16, 32, 64), "widths": (64, 256, 1024, 4096), "depth": 600, "networks": 40, "score": SCORE}

BREAKAWAY_WIDTH: Final = _breakaway(
    "width",
    statement="From a batch that favours no point, the odd point breaks away later in wider networks.",
    judge=_judge_width,
    figure=_draw_width,
    sizes=scales(_QUICK, {**_FULL, "ns": (8, 16, 32)}),
    seconds={"quick": 6, "full": 100, "paper": 100},
)
BREAKAWAY_BATCH: Final = _breakaway(
    "batch",
    statement="From a batch that favours no point, the odd point breaks away later in larger batches.",
    judge=_judge_batch,
    figure=_draw_batch,
    sizes=scales({**_QUICK, "networks": 20}, {**_FULL, "widths": (64, 256, 1024)}),
    seconds={"quick": 4, "full": 60, "paper": 60},
)
