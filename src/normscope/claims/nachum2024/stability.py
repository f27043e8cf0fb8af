"""Perturb the cluster with its odd point and watch: does it return, and at which rate (the paper's stability theorem).

The paper's configuration is idealized: all cosines in the cluster are exactly 1. At infinite width a deviation within
the cluster grows there, by n²/((n − 1)² + 1) per layer (docs/theory.md); what attracts is another, looser cluster. So
there are three claims: that the idealized cluster contracts; that the odd point stays; and the rate at the looser one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from normscope import measure, simulate, theory
from normscope.claims.axes import MARKERS, legend_above, mean_and_bars, number_ticks, round_numbers, whole_ticks
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.nachum2024.shape import ideal_gram, ideal_points, lasting_point
from normscope.claims.nachum2024.watching import (
    ALMOST_ALL,
    PAPER,
    SCORE,
    at_the_end,
    children,
    scales,
    share,
    watch,
)
from normscope.claims.parts import Part, at_least, at_most, within
from normscope.claims.statistics import bootstrap, mean
from normscope.system import BLUE, CYCLE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SMALLEST = 1e-4  # 1 − cosine; the deviations that are judged are this and tens of it


def _measure_ideal(
    *, seed: int, n: int, width: int, depth: int, deviations: Sequence[float], networks: int
) -> Measurement:
    frames = []
    for deviation, child in zip(deviations, children(seed, len(deviations)), strict=True):
        start = ideal_gram(n, deviation)
        found = simulate.random_network(
            start, width, depth, recenter=True, rescale=False, networks=networks, seed=child, is_gram=True,
            dtype=torch.float64,
        )  # fmt: skip
        loose = 1 - measure.cosine_matrix(found.gram)[..., 1:, 1:].sum((-1, -2)).sub(n - 1).div((n - 1) * (n - 2))
        expected = theory.GramMap(True, False, "relu").iterate(start, depth)
        frames.append(
            pd.DataFrame(
                {
                    "deviation": deviation,
                    "network": np.repeat(np.arange(networks), depth + 1),
                    "depth": np.tile(np.arange(depth + 1), networks),
                    "loose": loose.numpy().ravel(),
                    "theory": np.tile(1 - expected[:, 1, 2] / expected[:, 1, 1], networks),
                }
            )
        )
    growth = float(np.log(n**2 / ((n - 1) ** 2 + 1)))
    return Measurement(pd.concat(frames, ignore_index=True), {"n": n, "theory": growth})


def _judge_ideal(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table = measurement.table
    parts = []
    for deviation, rows in table.groupby("deviation"):
        paths = rows.pivot_table(index="network", columns="depth", values="loose")
        change = np.log(paths.iloc[:, -1] / paths.iloc[:, 0]) / paths.columns[-1]
        name = f"change of ln(1 − cosine) per layer from {deviation:g}"
        parts.append(at_most(name, mean(change, criterion.confidence), criterion.limits["change"]))
    return parts


def _draw_ideal(measurement: Measurement, ax: Axes) -> None:
    for (deviation, rows), colour, marker in zip(measurement.table.groupby("deviation"), CYCLE, MARKERS, strict=False):
        of_depth = rows.groupby("depth")
        middle = np.exp(np.log(rows["loose"]).groupby(rows["depth"]).mean())
        ax.plot(middle.index, middle, marker, color=colour, markersize=4, label=f"1 − cosine {deviation:g} at first")
        expected = of_depth["theory"].first()
        ax.plot(expected.index, expected, "--", color=colour)
    ax.set(xlabel="depth (layers)", ylabel="1 − cosine in the cluster (geometric mean)", yscale="log")
    ax.plot([], [], "k--", label="theory, infinite width")
    whole_ticks(ax)
    legend_above(ax, columns=2)


def _measure_same(*, seed: int, n: int, width: int, depth: int, noise: float, networks: int) -> Measurement:
    frames = []
    for network, (of_noise, of_weights) in enumerate(np.reshape(children(seed, 2 * networks), (networks, 2)).tolist()):
        points = ideal_points(n, noise, of_noise)
        frames.append(watch(points, width=width, depth=depth, seed=of_weights))
        frames[-1].insert(0, "network", network)
    return Measurement(pd.concat(frames, ignore_index=True), {"n": n})


def _judge_same(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    limits = criterion.limits
    last = at_the_end(measurement.table)
    same = last.assign(score=last["score"].where(last["odd_index"] == 0, 0.0))
    found = share(same, limits["score"], criterion.confidence)
    return [at_least("networks where the same point is odd at the last layer", found, limits["share"])]


def _draw_same(measurement: Measurement, ax: Axes) -> None:
    for column, style, label in (
        ("cluster_cosine", "-", "within the cluster"),
        ("odd_cosine", "--", "odd point to the others"),
    ):
        colour = BLUE if style == "-" else VERMILLION
        of_depth = measurement.table.groupby("depth")[column]
        middle = of_depth.median()
        ax.plot(middle.index, middle, style, color=colour, label=label)
        ax.fill_between(middle.index, of_depth.quantile(0.05), of_depth.quantile(0.95), color=colour, alpha=0.2)
    expected = theory.odd_point_configuration(int(measurement.scalars["n"]))
    if expected is not None:
        ax.axhline(expected.cluster_cosine, color="k", linestyle=":", label="theory: stable fixed point")
        ax.axhline(expected.odd_cosine, color="k", linestyle=":")
    ax.set(xlabel="depth (layers)", ylabel="cosine (median and 90% of networks)", ylim=(-0.15, 1.05))
    ax.legend(loc="center right", fontsize="small")


def _measure_rate(*, seed: int, n: int, width: int, depth: int, push: float, networks: int) -> Measurement:
    """Two runs with the same random numbers, from the fixed point and from beside it: their noise cancels."""
    fixed = lasting_point(n).gram
    ideal = ideal_gram(n)
    beside = (1 - push) * fixed + push * n * ideal / np.trace(ideal)

    def cosine(start: NDArray[np.float64]) -> torch.Tensor:
        found = simulate.random_network(
            start, width, depth, recenter=True, rescale=False, networks=networks, seed=seed, is_gram=True,
            dtype=torch.float64, record="cluster_cosine",
        )  # fmt: skip
        return found.measures["cluster_cosine"]

    apart = cosine(beside) - cosine(fixed)  # shape: (networks, depth + 1)
    path = theory.GramMap(True, False, "relu").iterate(np.stack([fixed, beside]), depth)
    expected = np.diff(path[..., 1, 2] / path[..., 1, 1], axis=1)[:, 0]
    table = pd.DataFrame(
        {
            "network": np.repeat(np.arange(networks), depth + 1),
            "depth": np.tile(np.arange(depth + 1), networks),
            "apart": apart.numpy().ravel(),
            "theory": np.tile(expected, networks),
        }
    )
    return Measurement(table, {"theory": float((expected[-1] / expected[0]) ** (1 / depth)), "n": n})


def _judge_rate(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    paths = measurement.table.pivot_table(index="network", columns="depth", values="apart")
    values = paths.to_numpy(dtype=np.float64)
    depth, start = values.shape[1] - 1, values[0, 0]  # all networks start alike

    def rate(last: NDArray[np.float64]) -> float:
        return float(np.maximum(last.mean() / start, 0) ** (1 / depth))

    found = bootstrap(values[:, -1], rate, criterion.confidence)
    expected, margin = float(measurement.scalars["theory"]), criterion.limits["margin"]
    return [within("what is left of the deviation per layer", found, expected - margin, expected + margin)]


def _draw_rate(measurement: Measurement, ax: Axes) -> None:
    of_depth = measurement.table.groupby("depth")
    middle, half = mean_and_bars(of_depth["apart"])
    ax.errorbar(middle.index, middle, half, color=BLUE, fmt="o", markersize=4, label="networks (mean, 95% intervals)")
    ax.plot(middle.index, of_depth["theory"].first(), "k--", label="theory, infinite width")
    ax.set(
        xlabel="depth (layers)",
        ylabel="cosine in the cluster, from beside the fixed\npoint less from the fixed point",
        yscale="log",
    )
    whole_ticks(ax)
    number_ticks(ax, y=round_numbers(*ax.get_ylim()))
    ax.legend()


_IDEAL = {"n": 32, "width": 4096, "depth": 10, "deviations": tuple(_SMALLEST * 10**k for k in range(3))}
IDEAL_ATTRACTS = Claim(
    id="nachum2024.ideal-attracts",
    paper=PAPER,
    result="stability theorem, for the idealized configuration",
    statement="The idealized configuration, a cluster of cosine 1 and an orthogonal odd point, attracts batches "
    "nearby.",
    method="From the idealized configuration with 1 − cosine of 0.0001, 0.001 and 0.01 in the cluster through ten "
    "layers by exact law: change of ln(1 − cosine) per layer, one number a network.",
    criterion=Criterion(
        text="from each of three deviations, the whole {confidence:.2%} interval of the mean change per layer lies "
        "below {change:g}: the cluster contracts",
        limits={"change": 0.0},
        error_rate=0.01,
        error="calling it attracting though a deviation does not shrink",
        parts=3,
        judge=_judge_ideal,
    ),
    measure=_measure_ideal,
    figure=_draw_ideal,
    sizes=scales(
        {**_IDEAL, "networks": 20},
        {**_IDEAL, "networks": 200},
    ),
    seconds={"quick": 2, "full": 17, "paper": 17},
)
_SAME = {"n": 32, "noise": 0.3}
SAME_ODD_POINT = Claim(
    id="nachum2024.same-odd-point",
    paper=PAPER,
    result="stability theorem, in the weaker sense that the odd point stays",
    statement="A batch near the cluster with an odd point keeps its cluster and the same odd point through many "
    "layers.",
    method="The idealized configuration, every point perturbed by 30 % of its norm in a random direction, through "
    "a deep network by exact law.",
    criterion=Criterion(
        text="the whole {confidence:.1%} interval of the fraction of networks where at the last layer the same "
        "point is odd, with a score of at least {score}, lies above {share}",
        limits={"score": SCORE, "share": ALMOST_ALL},
        error_rate=0.01,
        error="calling it stable though it is lost more often",
        judge=_judge_same,
    ),
    measure=_measure_same,
    figure=_draw_same,
    sizes=scales(
        {**_SAME, "width": 512, "depth": 200, "networks": 60},
        {**_SAME, "width": 1024, "depth": 300, "networks": 200},
    ),
    seconds={"quick": 3, "full": 18, "paper": 18},
)
_RATE = {"n": 16, "depth": 20, "push": 0.2}
LASTING_RATE = Claim(
    id="nachum2024.lasting-rate",
    paper=PAPER,
    result="beyond the paper: the stable odd point of infinite width",
    statement="Perturbed, the lasting odd-point configuration returns at the rate that infinite-width theory gives.",
    method="A wide network from the stable fixed point and, with the same random numbers, from a tighter cluster "
    "beside it: the difference of the cosines in the cluster, mean over networks, per layer.",
    criterion=Criterion(
        text="the whole {confidence:.1%} interval (bootstrap over networks) of the rate lies within {margin} of "
        "that of the infinite-width map from the same two batches",
        limits={"margin": 0.02},
        error_rate=0.01,
        error="calling it reproduced though the rate is further away",
        judge=_judge_rate,
    ),
    measure=_measure_rate,
    figure=_draw_rate,
    sizes=scales(
        {**_RATE, "width": 4096, "networks": 25},
        {**_RATE, "width": 16384, "networks": 200},
    ),
    seconds={"quick": 2, "full": 35, "paper": 35},
)
