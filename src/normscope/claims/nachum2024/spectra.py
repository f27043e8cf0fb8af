"""The eigenvalues of the Gram matrix through depth, over those of the infinite-width map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch

from normscope import measure, simulate, theory
from normscope.claims.axes import mean_and_bars, number_ticks, panels, round_numbers
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.nachum2024.watching import NORMS, PAPER, batch_of, children, scales
from normscope.claims.parts import Part, within
from normscope.claims.statistics import mean
from normscope.system import BLUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _measure(*, seed: int, n: int, width: int, depths: Sequence[int], networks: int) -> Measurement:
    """All eigenvalues, the largest first, of networks that share one batch."""
    of_batch, *of_norms = children(seed, 1 + len(NORMS))
    start = measure.gram(batch_of("gaussian", n, of_batch).double())
    frames = []
    for (name, (recenter, rescale)), child in zip(NORMS.items(), of_norms, strict=True):
        found = simulate.random_network(
            start, width, max(depths), networks=networks, seed=child, depths=depths, is_gram=True, dtype=torch.float64,
            recenter=recenter, rescale=rescale,
        )  # fmt: skip
        values = torch.linalg.eigvalsh(found.gram).flip(-1).numpy() / n  # shape: (networks, depths, n)
        path = theory.GramMap(recenter, rescale).iterate(start.numpy(), max(depths))[list(found.depths)]
        expected = np.linalg.eigvalsh(path)[:, ::-1] / n
        network, depth, order = np.unravel_index(np.arange(values.size), values.shape)
        rows = {"network": network, "depth": np.array(found.depths)[depth], "order": order + 1}
        rows |= {"eigenvalue": values.ravel(), "theory": expected[depth, order]}
        frames.append(pd.DataFrame(rows).assign(norm=name))
    return Measurement(pd.concat(frames, ignore_index=True), {"n": n})


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table, limits, n = measurement.table, criterion.limits, int(measurement.scalars["n"])
    last = table[table["depth"] == table["depth"].max()]
    parts = []
    for name, rows in last.groupby("norm", sort=False):
        for order, which, margin in ((1, "largest", limits["largest"]), (n, "smallest", limits["smallest"])):
            one = rows[rows["order"] == order]
            apart = np.log(one["eigenvalue"] / one["theory"])
            label = f"{name}: ln of the {which} eigenvalue over theory"
            parts.append(within(label, mean(apart, criterion.confidence), -margin, margin))
    return parts


def _draw(measurement: Measurement, ax: Axes) -> None:
    grid = panels(ax, 2, 2, sharey=False)
    for axis, name in zip([*grid[0], *grid[1]], NORMS, strict=True):
        mine = measurement.table[measurement.table["norm"] == name]
        for order, rows in mine.groupby("order"):
            of_depth = rows.groupby("depth")
            (middle, half), expected = mean_and_bars(of_depth["eigenvalue"]), of_depth["theory"].first()
            first = order == 1
            axis.plot(expected.index, expected, "-", color="0.45", linewidth=0.8, label="theory" if first else None)
            axis.errorbar(
                middle.index, middle, half, fmt="o", color=BLUE, markersize=2.5, zorder=3,
                label="networks" if first else None,
            )  # fmt: skip
        axis.set_title(name, fontsize="medium")
        axis.set_yscale("log")
        number_ticks(axis, y=round_numbers(*axis.get_ylim()))
    for row in grid:
        row[0].set_ylabel("eigenvalue / trace")
    for axis in grid[1]:
        axis.set_xlabel("depth (layers)")
    labels = ["infinite width", "networks (mean and 95% interval, mostly within the dot)"]
    handles = grid[0][0].get_legend_handles_labels()[0]
    grid[0][0].figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize="small")


SPECTRA: Final = Claim(
    id="nachum2024.spectra",
    paper=PAPER,
    result="beyond the paper: the spectrum of the batch through depth",
    statement="In wide networks the eigenvalues of the Gram matrix follow those of the infinite-width map layer by "
    "layer, with and without recentering and rescaling.",
    method="One Gaussian batch through wide random networks by exact law, for each of the four combinations with ReLU: "
    "eigenvalues over the trace at the last layer, one number a network each.",
    criterion=Criterion(
        # the smallest of n equal eigenvalues lies about 2 √(n/width) = 0.1 below them by chance, and more where
        # deviations of several layers add up
        text="for each of the four combinations the whole {confidence:.2%} interval of the mean of ln(eigenvalue / "
        "theory) at the last layer lies within {largest} of 0 for the largest eigenvalue and within {smallest} for the "
        "smallest",
        limits={"largest": 0.05, "smallest": 0.3},
        error_rate=0.01,
        error="calling it reproduced though one of the eight means is further away",
        parts=8,
        judge=_judge,
    ),
    measure=_measure,
    figure=_draw,
    figure_size=(6.8, 5.0),
    sizes=scales(
        {"n": 16, "width": 8192, "depths": (0, 1, 2, 3, 5, 8, 12, 16, 20), "networks": 10},
        {"n": 16, "width": 32768, "depths": (0, 1, 2, 3, 5, 8, 12, 16, 20, 30), "networks": 30},
    ),
    seconds={"quick": 4, "full": 60, "paper": 60},
)
