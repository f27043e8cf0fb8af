"""Two balls in many dimensions, and the hyperplanes through their midpoint that miss both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope import theory
from normscope.claims.axes import MARKERS, number_ticks
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, within
from normscope.claims.riedi2026.setting import PAPER, children, scales
from normscope.claims.statistics import proportion
from normscope.system import BLACK, CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS: Final = 1000  # of weights at a time


def _measure(*, seed: int, dimensions: Sequence[int], values: Sequence[float], units: int) -> Measurement:
    """For t = (δ/r) √K: how many of ``units`` random hyperplanes miss both balls, and what laws say of it."""
    rows = []
    for k, child in zip(dimensions, children(seed, len(dimensions)), strict=True):
        generator = np.random.default_rng(child)
        cosines = np.concatenate([_cosines(k, count, generator) for count in _blocks(units)])
        for t in values:
            ratio = k**0.5 / t  # r/δ
            # the hyperplane is |⟨w, r e⟩|/‖w‖ away from both centres
            rows.append(
                {
                    "dimension": k,
                    "t": t,
                    "separating": int((np.abs(cosines) * ratio > 1).sum()),
                    "units": units,
                    "exact": float(theory.ball_separation_probability(k, ratio, 1)),
                    "limit": float(theory.ball_separation_limit(k, ratio, 1)),
                    # the same function: at 2K it is that of t = (δ/r) √(2K)
                    "stated": float(theory.ball_separation_limit(2 * k, ratio, 1)),
                }
            )
    return Measurement(pd.DataFrame(rows))


def _blocks(units: int) -> list[int]:
    return [min(_ROWS, units - start) for start in range(0, units, _ROWS)]


def _cosines(dimension: int, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """⟨w, e⟩/‖w‖ of Gaussian w."""
    weights = generator.standard_normal((count, dimension))
    return np.asarray(weights[:, 0] / np.linalg.norm(weights, axis=1))


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    """In the largest dimension the limit; in the smallest the exact law."""
    return [*_near(measurement, criterion, "limit", last=True), *_near(measurement, criterion, "exact", last=False)]


def _judge_stated(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    return _near(measurement, criterion, "stated", last=True)


def _near(measurement: Measurement, criterion: Criterion, law: str, *, last: bool) -> list[Part]:
    table = measurement.table
    of = table["dimension"].max() if last else table["dimension"].min()
    margin = criterion.limits["margin"]
    return [
        within(
            f"share that separates, K = {of}, (δ/r) √K = {row.t:g}",
            proportion(int(row.separating), int(row.units), criterion.confidence),
            float(getattr(row, law)) - margin,
            float(getattr(row, law)) + margin,
        )
        for row in table[table["dimension"] == of].itertuples()
    ]


def _draw(measurement: Measurement, ax: Axes) -> None:
    for colour, marker, (t, rows) in zip(CYCLE, MARKERS, measurement.table.groupby("t"), strict=False):
        label = f"(δ/r) √K = {t:g}, hyperplanes drawn"
        ax.plot(rows["dimension"], rows["separating"] / rows["units"], marker, color=colour, label=label)
        ax.plot(rows["dimension"], rows["exact"], "-", color=colour, linewidth=1)
        ax.plot(rows["dimension"], rows["limit"], "--", color=colour, linewidth=1)
        ax.plot(rows["dimension"], rows["stated"], ":", color=colour, linewidth=1.5)
    for style, label in (("-", "exact law"), ("--", "P(|Z| > t), t = (δ/r) √K"), (":", "as stated: t = (δ/r) √(2K)")):
        ax.plot([], [], style, color=BLACK, linewidth=1.2, label=label)
    ax.set(xlabel="dimension K of the balls", ylabel="share of hyperplanes that separate", xscale="log", ylim=(0, 1.0))
    number_ticks(ax, x=measurement.table["dimension"])
    ax.legend(fontsize="small", loc="upper right", ncols=2)


_SIZES: Final = scales(
    {"dimensions": (5, 16, 64, 1024), "values": (0.5, 1.0, 2.0), "units": 40_000},
    {"dimensions": (5, 16, 64, 256, 4096), "values": (0.5, 1.0, 2.0), "units": 50_000},
)
_REVISED: Final = (
    "Quick scale: 40,000 hyperplanes instead of 20,000, whose intervals were half as wide as the margin allows; the "
    "first outcome was the same."
)
_METHOD: Final = (
    "Balls of radius δ around ±r e, hyperplanes through the midpoint with Gaussian weights: the share that is further "
    "than δ from both centres"
)

BALLS: Final = Claim(
    id="riedi2026.balls",
    paper=PAPER,
    result="two K-dimensional balls, K → ∞, in the form derived in docs/lineage.md",
    statement="Two K-dimensional balls of radius δ, at half distance r, are separated with a probability that is P(|u| "
    "> δ/r), u a coordinate of a random unit vector, and goes to P(|Z| > (δ/r) √K), Z standard normal.",
    method=f"{_METHOD}: in the largest dimension against the limit, in the smallest against the exact law.",
    criterion=Criterion(
        text="for three t and both laws the {confidence:.2%} interval over hyperplanes lies within {margin} of it",
        limits={"margin": 0.02},
        error_rate=0.01,
        error="calling it reproduced though one of the six shares is further away",
        parts=6,
        judge=_judge,
    ),
    revised=_REVISED,
    measure=_measure,
    figure=_draw,
    sizes=_SIZES,
    seconds={"quick": 1, "full": 3, "paper": 3},
)

BALLS_AS_STATED: Final = Claim(
    id="riedi2026.balls-as-stated",
    paper=PAPER,
    result="two K-dimensional balls, K → ∞, with r read as half the distance of the centres",
    statement="Two K-dimensional balls of radius δ, at half distance r, are separated with a probability that goes to "
    "P(|Z| > (δ/r) √(2K)), Z standard normal.",
    method=f"{_METHOD}, in the largest dimension. The formula is right for r that is √2 times half the distance.",
    criterion=Criterion(
        text="for three values of (δ/r) √K the {confidence:.2%} interval over hyperplanes lies within {margin} of it",
        limits={"margin": 0.02},
        error_rate=0.01,
        error="calling it reproduced though one of the three shares is further away",
        parts=3,
        judge=_judge_stated,
    ),
    revised=_REVISED,
    measure=_measure,
    figure=_draw,
    sizes=_SIZES,
    seconds={"quick": 1, "full": 3, "paper": 3},
)
