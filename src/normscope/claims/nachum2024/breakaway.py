"""At which depth the odd point breaks away, against width and batch size.

From orthogonal points of equal norms, a start that favours no point: at infinite width it never breaks away, so that
the depth is a matter of chance, and this is its distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from normscope import simulate
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.nachum2024.watching import COLOURS, PAPER, SCORE, children
from normscope.claims.parts import Part, at_least
from normscope.claims.statistics import slope

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _measure(*, seed: int, ns: Sequence[int], widths: Sequence[int], depth: int, networks: int) -> Measurement:
    frames = []
    cells = list(product(ns, widths))
    for (n, width), child in zip(cells, children(seed, len(cells)), strict=True):
        found = simulate.random_network(
            np.eye(n), width, depth, recenter=True, rescale=False, networks=networks, seed=child, is_gram=True,
            record="odd_score",
        )  # fmt: skip
        away = found.measures["odd_score"].numpy() >= SCORE  # shape: (networks, depth + 1); NaN has none
        first = np.where(away.any(1), away.argmax(1), depth)
        frames.append(pd.DataFrame({"n": n, "width": width, "breakaway": first, "broke_away": away.any(1)}))
    table = pd.concat(frames, ignore_index=True)
    never = int((~table["broke_away"]).sum())
    note = f"{never} of {len(table)} networks had not broken away at depth {depth}: they count with that depth."
    return Measurement(table, {"depth": depth, "never": never}, (note,))


def _judge_width(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    return [
        at_least(
            f"n = {n}: slope of ln depth on ln width",
            slope(np.log(rows["width"]), np.log(rows["breakaway"]), criterion.confidence),
            criterion.limits["slope"],
        )
        for n, rows in measurement.table.groupby("n")
    ]


def _judge_batch(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    return [
        at_least(
            f"width {width}: slope of ln depth on ln n",
            slope(np.log(rows["n"]), np.log(rows["breakaway"]), criterion.confidence),
            criterion.limits["slope"],
        )
        for width, rows in measurement.table.groupby("width")
    ]


def _draw(table: pd.DataFrame, ax: Axes, along: str, each: str, labels: tuple[str, str]) -> None:
    for (value, rows), colour, marker in zip(table.groupby(each), COLOURS, "osD^v", strict=False):
        of_cell = rows.groupby(along)["breakaway"]
        middle = of_cell.median()
        bars = [middle - of_cell.quantile(0.1), of_cell.quantile(0.9) - middle]
        ax.errorbar(middle.index, middle, bars, color=colour, marker=marker, capsize=3, label=f"{labels[1]} {value}")
    ax.set(xlabel=labels[0], ylabel="depth of breaking away (median, 80% of networks)", xscale="log", yscale="log")
    ticks = sorted(table[along].unique())
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.legend()


def _draw_width(measurement: Measurement, ax: Axes) -> None:
    _draw(measurement.table, ax, "width", "n", ("width", "n ="))


def _draw_batch(measurement: Measurement, ax: Axes) -> None:
    _draw(measurement.table, ax, "n", "width", ("batch size n", "width"))


_METHOD = (
    "From orthogonal points of equal norms through random networks by exact law: the first depth with an odd-point "
    f"score of {SCORE} (the last depth where it never is)."
)
_QUICK = {"ns": (8, 16, 32), "widths": (64, 256, 1024), "depth": 300, "networks": 30}
_FULL = {"ns": (8, 16, 32, 64), "widths": (64, 256, 1024, 4096), "depth": 600, "networks": 40}
_FULL_WIDTH, _FULL_BATCH = {**_FULL, "ns": (8, 16, 32)}, {**_FULL, "widths": (64, 256, 1024)}

BREAKAWAY_WIDTH = Claim(
    id="nachum2024.breakaway-width",
    paper=PAPER,
    result="beyond the paper: the depth at which the odd point breaks away",
    statement="From a batch that favours no point, the odd point breaks away later in wider networks.",
    method=_METHOD,
    criterion=Criterion(
        text="for each of three batch sizes, the whole {confidence:.2%} interval of the slope of ln depth on ln width, "
        "one number a network, lies above {slope:g}",
        limits={"slope": 0.0},
        error_rate=0.01,
        error="calling it later though it is not",
        parts=3,
        judge=_judge_width,
    ),
    measure=_measure,
    figure=_draw_width,
    sizes={"quick": _QUICK, "full": _FULL_WIDTH, "paper": _FULL_WIDTH},
    seconds={"quick": 6, "full": 100, "paper": 100},
)
BREAKAWAY_BATCH = Claim(
    id="nachum2024.breakaway-batch",
    paper=PAPER,
    result="beyond the paper: the depth at which the odd point breaks away",
    statement="From a batch that favours no point, the odd point breaks away later in larger batches.",
    method=_METHOD,
    criterion=Criterion(
        text="for each of three widths, the whole {confidence:.2%} interval of the slope of ln depth on ln n, one "
        "number a network, lies above {slope:g}",
        limits={"slope": 0.0},
        error_rate=0.01,
        error="calling it later though it is not",
        parts=3,
        judge=_judge_batch,
    ),
    measure=_measure,
    figure=_draw_batch,
    sizes={"quick": {**_QUICK, "networks": 20}, "full": _FULL_BATCH, "paper": _FULL_BATCH},
    seconds={"quick": 4, "full": 60, "paper": 60},
)
