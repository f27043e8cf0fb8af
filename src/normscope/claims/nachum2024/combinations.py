"""Which of the eight combinations of recentering, rescaling and non-linearity have an odd point (tension 1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import pandas as pd

from normscope.claims.axes import CONFIDENCE, MARKERS, beside_strips, legend_above, strips
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.nachum2024.shape import ideal_points
from normscope.claims.nachum2024.watching import (
    ALMOST_ALL,
    HARDLY_ANY,
    PAPER,
    SCORE,
    at_the_end,
    batch_of,
    children,
    scales,
    share,
    watch,
    watch_many,
)
from normscope.claims.parts import Part, at_least, at_most
from normscope.system import BLUE, CYCLE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ODD = "RC+NL"  # the one combination that has it


def _name(recenter: bool, rescale: bool, nonlinear: bool) -> str:
    on = [name for name, is_on in (("RC", recenter), ("RS", rescale), ("NL", nonlinear)) if is_on]
    return "+".join(on) or "none"


def _measure_combinations(*, seed: int, n: int, width: int, depth: int, networks: int) -> Measurement:
    frames = []
    for switches, child in zip(product((False, True), repeat=3), children(seed, 8), strict=True):
        recenter, rescale, nonlinear = switches
        rows = watch_many(
            "gaussian", n, networks, child, width=width, depth=depth, recenter=recenter, rescale=rescale,
            activation="relu" if nonlinear else "linear", depths=[depth],
        )  # fmt: skip
        frames.append(rows.assign(combination=_name(*switches)))
    return Measurement(pd.concat(frames, ignore_index=True))


def _judge_combinations(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    limits, parts = criterion.limits, []
    groups = measurement.table.groupby("combination", sort=False)
    for name, rows in sorted(groups, key=lambda group: group[0] != _ODD):  # the odd ones first
        found, label = share(rows, limits["score"], criterion.confidence), f"{name}: networks with an odd point"
        parts.append(
            at_least(label, found, limits["has"]) if name == _ODD else at_most(label, found, limits["has_not"])
        )
    return parts


def _draw_combinations(measurement: Measurement, ax: Axes) -> None:
    strips(ax, measurement.table, "combination", "score", lambda name: VERMILLION if name == _ODD else BLUE)
    ax.axvline(SCORE, color="0.4", linestyle=":", label="has an odd point to the right")
    ax.set(xlabel="odd-point score at the last layer (one dot a network)", xlim=(-0.02, 1.05))
    groups = measurement.table.groupby("combination", sort=False)
    shares = [share(rows, SCORE, CONFIDENCE) for _, rows in groups]
    beside_strips(ax, shares, "networks with an odd point, % (95% interval)")
    legend_above(ax)


def _measure_full(*, seed: int, ns: Sequence[int], width: int, depth: int, networks: int) -> Measurement:
    frames = []
    for (n, start), child in zip(product(ns, ("gaussian", "odd")), children(seed, 2 * len(ns)), strict=True):
        for network, of_network in enumerate(children(child, networks)):
            points = ideal_points(n, 0.1, of_network) if start == "odd" else batch_of("gaussian", n, of_network)
            rows = watch(points, width=width, depth=depth, seed=of_network, rescale=True)
            frames.append(rows.assign(n=n, start=start, network=network))
    return Measurement(pd.concat(frames, ignore_index=True))


def _judge_full(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    return [
        at_most(
            f"n = {n}, from {'an odd point' if start == 'odd' else 'a Gaussian batch'}: networks with one at the end",
            share(rows, criterion.limits["score"], criterion.confidence),
            criterion.limits["share"],
        )
        for (n, start), rows in at_the_end(measurement.table).groupby(["n", "start"])
    ]


def _draw_full(measurement: Measurement, ax: Axes) -> None:
    for (n, of_n), colour, marker in zip(measurement.table.groupby("n"), CYCLE, MARKERS, strict=False):
        for start, line, told in (("odd", "-", "an odd point"), ("gaussian", "--", "Gaussian batches")):
            middle = of_n[of_n["start"] == start].groupby("depth")["score"].median()
            ax.plot(
                middle.index, middle, line, color=colour, marker=marker, markersize=3, label=f"n = {n}, from {told}"
            )
    ax.axhline(SCORE, color="0.4", linestyle=":", label="has an odd point above")
    ax.set(xlabel="depth (layers)", ylabel="odd-point score (median over networks)", ylim=(-0.02, 1.05))
    ax.legend(fontsize="small")


COMBINATIONS = Claim(
    id="nachum2024.combinations",
    paper=PAPER,
    result="main observation: recentering and non-linearity together",
    statement="Of the eight combinations of recentering, rescaling and ReLU only recentering with ReLU, without "
    "rescaling, makes an odd point.",
    method="Gaussian batches through random networks by exact law, one batch a network; score at the last layer.",
    criterion=Criterion(
        text="the whole {confidence:.2%} interval of the fraction of networks with a score of at least {score} "
        "lies above {has} for recentering with ReLU, and below {has_not} for each of the seven others",
        limits={"score": SCORE, "has": ALMOST_ALL, "has_not": HARDLY_ANY},
        error_rate=0.01,
        error="calling it reproduced though one of the eight fractions is on the other side",
        parts=8,
        judge=_judge_combinations,
    ),
    measure=_measure_combinations,
    figure=_draw_combinations,
    sizes=scales(
        {"n": 32, "width": 256, "depth": 120, "networks": 75},
        {"n": 32, "width": 512, "depth": 300, "networks": 150},
    ),
    seconds={"quick": 15, "full": 120, "paper": 120},
)
FULL_NORM = Claim(
    id="nachum2024.full-norm",
    paper=PAPER,
    result="recentering, rescaling and non-linearity together",
    statement="Under full batch normalization no odd point arises, and one that is there is undone.",
    method="Gaussian batches, and batches at an odd point with 10 % of noise, through random networks with "
    "recentering, rescaling and ReLU by exact law, one batch a network.",
    criterion=Criterion(
        text="for each of three batch sizes and two starts, the whole {confidence:.2%} interval of the fraction of "
        "networks with a score of at least {score} at the last layer lies below {share}",
        limits={"score": SCORE, "share": HARDLY_ANY},
        error_rate=0.01,
        error="calling it undone though more networks have an odd point",
        parts=6,
        judge=_judge_full,
    ),
    measure=_measure_full,
    figure=_draw_full,
    sizes=scales(
        {"ns": (8, 32, 128), "width": 256, "depth": 20, "networks": 70},
        {"ns": (8, 32, 128), "width": 512, "depth": 100, "networks": 100},
    ),
    seconds={"quick": 6, "full": 100, "paper": 100},
)
