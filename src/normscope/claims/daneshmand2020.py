"""Claims of "Batch Normalization Provably Avoids Rank Collapse for Randomly Initialised Deep Networks" (2003.01652)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch

from normscope import simulate
from normscope.claims.axes import MARKERS, number_ticks, whole_ticks
from normscope.claims.claim import Claim, Criterion, Paper
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most
from normscope.claims.statistics import mean, slope
from normscope.system import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER: Final = Paper(
    "Batch Normalization Provably Avoids Rank Collapse for Randomly Initialised Deep Networks",
    "2003.01652",
    "Daneshmand et al. 2020",
)


def _measure_rank(*, seed: int, widths: Sequence[int], multiple: int, networks: int) -> Measurement:
    """Tr(M)²/‖M‖_F² of n = d points, ``multiple`` · d layers deep, from orthogonal points: all of the rank."""
    tables = []
    for width in widths:
        depth = multiple * width
        for rescale in (False, True):
            found = simulate.random_network(
                torch.eye(width), width, depth, recenter=False, rescale=rescale, activation="linear",
                networks=networks, seed=seed + 2 * width + rescale, is_gram=True,
                depths=np.linspace(0, depth, 21, dtype=int), record="rank_collapse",
            )  # fmt: skip
            ranks = found.measures["rank_collapse"].numpy()  # shape: (networks, depths)
            network, at = np.divmod(np.arange(ranks.size), ranks.shape[1])
            rows = {"network": network, "depth": np.array(found.depths)[at], "rank": ranks.ravel()}
            tables.append(pd.DataFrame(rows).assign(width=width, rescale=rescale))
    return Measurement(pd.concat(tables))


def _judge_rank(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table = measurement.table
    last = table[table["depth"] == table.groupby("width")["depth"].transform("max")]
    with_it = last[last["rescale"]]
    widest = last[~last["rescale"] & (last["width"] == last["width"].max())]
    fitted = slope(np.log(with_it["width"]), np.log(with_it["rank"]), criterion.confidence)
    return [
        at_least("slope of log r on log d with rescaling", fitted, criterion.limits["slope"]),
        at_most("r without", mean(widest["rank"], criterion.confidence), criterion.limits["most"]),
    ]


def _draw_rank(measurement: Measurement, ax: Axes) -> None:
    means = measurement.table.groupby(["rescale", "width", "depth"])["rank"].mean()
    widths = sorted(measurement.table["width"].unique())
    for colour, marker, width in zip(CYCLE, MARKERS, widths, strict=False):
        for rescale, style in ((True, "-"), (False, ":")):
            path, label = means[rescale, width], f"d = {width}" if rescale else None
            ax.plot(path.index / width, path, style, color=colour, marker=marker, markersize=3, label=label)
        ax.axhline(np.sqrt(width), color=colour, linestyle="--", linewidth=0.8)
    for style, label in (("-", "with rescaling"), (":", "without"), ("--", "√d")):
        ax.plot([], [], style, color="k", linewidth=1, label=label)
    ax.set(xlabel="layer / d", ylabel="r = Tr(M)² / ‖M‖², n = d points (mean)", yscale="log")
    whole_ticks(ax)
    number_ticks(ax, y=[2**k for k in range(int(np.log2(max(widths))) + 1)])
    ax.legend(fontsize="small", ncols=2)


RANK: Final = Claim(
    id="daneshmand2020.rank-collapse",
    paper=PAPER,
    result="Theorem 2 and its figure",
    statement="Without norm all points lie on one line behind many linear layers; with rescaling they keep a rank of "
    "order √d, d the width.",
    method="r = Tr(M)²/‖M‖², a lower bound of the rank, of n = d points at the last layer of deep linear networks by "
    "exact law; least-squares line of log r on log d.",
    criterion=Criterion(
        text="the lower {confidence:.1%} limit of the slope is at least {slope}, and without rescaling the upper limit "
        "of the mean r at the largest width at most {most}",
        limits={"slope": 0.5, "most": 1.1},
        error_rate=0.01,
        error="calling it reproduced though one of the two is false",
        parts=2,
        judge=_judge_rank,
    ),
    measure=_measure_rank,
    figure=_draw_rank,
    sizes={
        "quick": {"widths": (8, 16, 32, 64), "multiple": 20, "networks": 30},
        "full": {"widths": (8, 16, 32, 64, 128), "multiple": 20, "networks": 30},
        "paper": {"widths": (8, 16, 32, 64, 128), "multiple": 20, "networks": 30},
    },
    seconds={"quick": 6, "full": 80, "paper": 80},
)

CLAIMS: Final = (RANK,)
