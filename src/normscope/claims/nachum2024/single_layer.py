"""What one random layer does: it raises the rank of a batch, and leaves some representations as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from normscope import measure, simulate
from normscope.claims.axes import number_ticks, round_numbers
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.nachum2024.watching import PAPER, children, scales
from normscope.claims.parts import Part, at_least, at_most, within
from normscope.claims.statistics import exact, mean, proportion
from normscope.system import BLUE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _measure_rank(*, seed: int, n: int, ranks: Sequence[int], width: int, draws: int) -> Measurement:
    rng, rows = np.random.default_rng(seed), []
    for rank in ranks:
        for draw in range(draws):
            points = rng.standard_normal((n, rank))  # no two are parallel, almost surely
            linear = points @ rng.standard_normal((rank, width))
            rows.append(
                {
                    "rank": rank,
                    "draw": draw,
                    "linear": int(np.linalg.matrix_rank(linear)),
                    "relu": int(np.linalg.matrix_rank(np.maximum(linear, 0))),
                }
            )
    return Measurement(pd.DataFrame(rows), {"n": n, "width": width})


def _judge_rank(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table, limits = measurement.table, criterion.limits
    raised = proportion(int((table["relu"] > table["rank"]).sum()), len(table), criterion.confidence)
    grew = int((table["linear"] > table["rank"]).sum())
    return [
        at_least("draws in which a ReLU layer raised the rank", raised, limits["share"]),
        at_most("draws in which a linear layer did", exact(grew), limits["linear"]),
    ]


def _draw_rank(measurement: Measurement, ax: Axes) -> None:
    of_rank = measurement.table.groupby("rank")
    before = np.array(list(of_rank.groups))
    ax.errorbar(
        before, of_rank["relu"].mean(),
        [of_rank["relu"].mean() - of_rank["relu"].min(), of_rank["relu"].max() - of_rank["relu"].mean()],
        fmt="o", color=BLUE, capsize=3, label="ReLU layer (mean, least and most)",
    )  # fmt: skip
    ax.plot(before, of_rank["linear"].mean(), "s", color=VERMILLION, label="linear layer")
    ax.plot(before, before, "k--", linewidth=0.8, label="unchanged")
    ax.axhline(float(measurement.scalars["n"]), color="0.5", linestyle=":", label="number of points")
    ax.set(xlabel="rank of the batch before the layer", ylabel="rank after it", xscale="log", yscale="log")
    number_ticks(ax, x=before, y=[*before, float(measurement.scalars["n"])])
    ax.legend(loc="lower right")


def two_groups(n: int, first: int) -> torch.Tensor:
    """(n, 2): ``first`` points coincide, and so do the others, orthogonal; norms as (n − first) to first."""
    points = torch.zeros(n, 2, dtype=torch.float64)
    points[:first, 0], points[first:, 1] = n - first, first
    return points


def _measure_invariance(*, seed: int, n: int, width: int, depth: int, networks: int) -> Measurement:
    frames = []
    for first, child in zip(range(1, n // 2 + 1), children(seed, n // 2), strict=True):
        found = simulate.random_network(
            two_groups(n, first), width, depth, recenter=True, rescale=False, networks=networks, seed=child,
            method="weights", dtype=torch.float64, is_gram=False,
        )  # fmt: skip
        gram = found.gram
        cosine = measure.cosine_matrix(gram)
        within_groups = torch.minimum(
            cosine[..., :first, :first].amin((-1, -2)), cosine[..., first:, first:].amin((-1, -2))
        )
        across = cosine[..., :first, first:].abs().amax((-1, -2))
        norms = gram.diagonal(dim1=-2, dim2=-1)
        log_ratio = 0.5 * (norms[..., 0] / norms[..., -1]).log() - np.log((n - first) / first)
        frames.append(
            pd.DataFrame(
                {
                    "first": first,
                    "network": np.repeat(np.arange(networks), depth + 1),
                    "depth": np.tile(np.arange(depth + 1), networks),
                    "within": within_groups.numpy().ravel(),
                    "across": across.numpy().ravel(),
                    "log_ratio": log_ratio.numpy().ravel(),
                }
            )
        )
    return Measurement(pd.concat(frames, ignore_index=True), {"n": n})


def _judge_invariance(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table, limits = measurement.table, criterion.limits
    last = table[table["depth"] == table["depth"].max()]
    # networks of all group sizes are independent of each other, and theory is the same for all: 0
    ratio = mean(last["log_ratio"], criterion.confidence)
    return [
        at_most("largest 1 − cosine within a group", exact(float((1 - table["within"]).max())), limits["rounding"]),
        at_most("largest |cosine| across", exact(float(table["across"].max())), limits["rounding"]),
        within("ln of the norm ratio over (n − k)/k", ratio, -limits["margin"], limits["margin"]),
    ]


def _draw_invariance(measurement: Measurement, ax: Axes) -> None:
    table, n = measurement.table, float(measurement.scalars["n"])
    last = table[table["depth"] == table["depth"].max()]
    for first, rows in last.groupby("first"):
        ratio = np.exp(rows["log_ratio"]) * (n - float(str(first))) / float(str(first))
        label = "networks, last layer" if first == 1 else None
        beside = float(str(first)) + 0.3 * (np.arange(len(rows)) / max(1, len(rows) - 1) - 0.5)
        ax.plot(beside, ratio, ".", color=BLUE, alpha=0.4, markersize=4, label=label)
    sizes = np.arange(1, int(n) // 2 + 1)
    ax.plot(sizes, (n - sizes) / sizes, "k--", label="theory: (n − k)/k")
    ax.set(xlabel=f"points in the smaller group, k of {n:g}", ylabel="norm ratio of the groups", yscale="log")
    number_ticks(ax, y=round_numbers(*ax.get_ylim()))
    ax.legend()


_RANK = {"n": 32, "ranks": (2, 4, 8, 16, 24), "width": 512}
RANK_GROWTH = Claim(
    id="nachum2024.rank-growth",
    paper=PAPER,
    result="theorem on the rank",
    statement="A random ReLU layer raises the rank of a batch of pairwise non-parallel points.",
    method="Gaussian points in a random subspace through one layer with drawn weights, in float64; numerical rank "
    "(numpy's matrix_rank), and that behind a linear layer for comparison.",
    criterion=Criterion(
        text="the whole {confidence:.1%} interval of the fraction of draws in which the rank rose lies above "
        "{share}; a linear layer raises it in at most {linear:.0f}",
        limits={"share": 0.98, "linear": 0.0},
        error_rate=0.01,
        error="calling it reproduced though it fails more often",
        parts=2,
        judge=_judge_rank,
    ),
    measure=_measure_rank,
    figure=_draw_rank,
    sizes={"quick": {**_RANK, "draws": 100}, "full": {**_RANK, "draws": 400}, "paper": {**_RANK, "draws": 400}},
    seconds={"quick": 1, "full": 2, "paper": 2},
)
_INVARIANCE = {"n": 16, "depth": 5}
INVARIANCE = Claim(
    id="nachum2024.invariance",
    paper=PAPER,
    result="invariant representations under RC + NL",
    statement="Two orthogonal groups of k and n − k coinciding points, norms as n − k to k, stay so in any random "
    "layer of recentering and ReLU, up to scale.",
    method="Such batches, for all k, through five layers with drawn weights, in float64: extremes over all layers; "
    "mean logarithm of the norm ratio at the last layer.",
    criterion=Criterion(
        text="at every layer 1 − cosine within the groups and |cosine| across are at most {rounding:g}; the whole "
        "{confidence:.2%} interval of the mean ln of the norm ratio lies within {margin} of ln((n − k)/k)",
        limits={"rounding": 1e-6, "margin": 0.02},
        error_rate=0.01,
        error="calling the norm ratio reproduced though it is further away",
        parts=3,
        judge=_judge_invariance,
    ),
    revised="More networks and five layers in place of ten: the first intervals were too wide for the margins.",
    measure=_measure_invariance,
    figure=_draw_invariance,
    sizes=scales(
        {**_INVARIANCE, "width": 512, "networks": 30},
        {**_INVARIANCE, "width": 512, "networks": 100},
    ),
    seconds={"quick": 5, "full": 16, "paper": 16},
)
