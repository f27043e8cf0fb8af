"""The cosines of a batch through depth: all alike at first, and then, with recentering and ReLU, a point apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from normscope import measure, simulate, theory
from normscope.claims.axes import panels
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.nachum2024.watching import NORMS, PAPER, batch_of, children, scales
from normscope.claims.parts import Part, at_least, at_most, within
from normscope.claims.statistics import mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ODD: Final = "RC+ReLU"  # the one that has an odd point


def _measure(*, seed: int, n: int, width: int, depths: Sequence[int], networks: int) -> Measurement:
    """Every cosine of every network at ``depths``, the first of them the input and the second the early one."""
    frames = []
    rows, columns = np.triu_indices(n, 1)
    for (name, (recenter, rescale)), child in zip(NORMS.items(), children(seed, len(NORMS)), strict=True):
        for network, of_network in enumerate(children(child, networks)):
            found = simulate.random_network(
                batch_of("gaussian", n, of_network), width, max(depths), seed=of_network, depths=depths, is_gram=False,
                recenter=recenter, rescale=rescale,
            )  # fmt: skip
            for depth, cosines in zip(found.depths, measure.cosine_matrix(found.gram[0]).numpy(), strict=True):
                of_pairs = {"first": rows, "second": columns, "cosine": cosines[rows, columns]}
                frames.append(pd.DataFrame(of_pairs).assign(norm=name, network=network, depth=depth))
    (symmetric,) = theory.GramMap(True, False, "relu").fixed_points(n, sizes=(n,))
    scalars = {"n": n, "early": sorted(depths)[1], "theory": float(symmetric.cosines[0, 0])}
    return Measurement(pd.concat(frames, ignore_index=True), scalars)


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    """One number a network: the mean of its cosines, or their standard deviation over pairs."""
    limits, confidence = criterion.limits, criterion.confidence
    of_network = measurement.table.groupby(["norm", "depth", "network"])["cosine"]
    means, spreads = of_network.mean(), of_network.std(ddof=0)
    early, last = int(measurement.scalars["early"]), int(measurement.table["depth"].max())
    expected, margin = float(measurement.scalars["theory"]), limits["margin"]
    others = [
        at_most(f"{name}: spread of cosines at the last layer", mean(spreads[name, last], confidence), limits["alike"])
        for name in NORMS
        if name != _ODD
    ]
    return [
        at_least(f"{_ODD}: spread at the last layer", mean(spreads[_ODD, last], confidence), limits["apart"]),
        at_most(f"{_ODD}: spread at layer {early}", mean(spreads[_ODD, early], confidence), limits["alike"]),
        within(
            f"{_ODD}: mean cosine at layer {early}",
            mean(means[_ODD, early], confidence),
            expected - margin,
            expected + margin,
        ),
        *others,
    ]


def _draw(measurement: Measurement, ax: Axes) -> None:
    """The cosine matrices of the first network of each kind, a column a depth."""
    table, n = measurement.table[measurement.table["network"] == 0], int(measurement.scalars["n"])
    depths = sorted(table["depth"].unique())
    grid = panels(ax, len(NORMS), len(depths))
    for row, name in zip(grid, NORMS, strict=True):
        row[0].set_ylabel(name, fontsize="small")
        for axis, depth in zip(row, depths, strict=True):
            pairs = table[(table["norm"] == name) & (table["depth"] == depth)]
            cosines = np.eye(n)
            cosines[pairs["first"], pairs["second"]] = cosines[pairs["second"], pairs["first"]] = pairs["cosine"]
            image = axis.imshow(cosines, vmin=-0.25, vmax=1, cmap="cividis", interpolation="nearest")
            axis.set(xticks=[], yticks=[])
    for axis, depth in zip(grid[-1], depths, strict=True):
        axis.set_xlabel(f"layer {depth}" if depth else "input", fontsize="small")
    every = [axis for row in grid for axis in row]
    every[0].figure.colorbar(image, ax=every, extend="min", label="cosine of two points", shrink=0.8)


TWO_STAGES: Final = Claim(
    id="nachum2024.two-stages",
    paper=PAPER,
    result="figures of the cosine matrix through depth",
    statement="With recentering and ReLU the cosines of a batch first become alike, and only then does a point break "
    "away; with rescaling, or without recentering, they stay alike.",
    method="Gaussian batches through random networks by exact law, one batch a network: all cosines at an early layer "
    "and at the last; their mean and their standard deviation over pairs (the spread), one number a network each.",
    criterion=Criterion(
        # 0.2: an odd point of cosine 0 to a cluster of cosine 0.87, at infinite width, gives 0.29 at n = 16
        text="the whole {confidence:.2%} intervals of the means over networks lie: for recentering with ReLU the "
        "spread below {alike} and the mean cosine within {margin} of the symmetric fixed point at the early layer, and "
        "the spread above {apart} at the last; the spread below {alike} at the last for the three others",
        limits={"alike": 0.1, "margin": 0.05, "apart": 0.2},
        error_rate=0.01,
        error="calling it reproduced though one of the six means is on the other side",
        parts=6,
        judge=_judge,
    ),
    measure=_measure,
    figure=_draw,
    figure_size=(6.8, 4.6),
    sizes=scales(
        {"n": 16, "width": 512, "depths": (0, 10, 30, 60, 100, 200), "networks": 20},
        {"n": 16, "width": 1024, "depths": (0, 10, 30, 60, 100, 200, 400), "networks": 50},
    ),
    seconds={"quick": 4, "full": 30, "paper": 30},
)
