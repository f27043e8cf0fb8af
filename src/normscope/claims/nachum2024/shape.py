"""The odd point's configurations, the paper's and the one that lasts, and the latter against infinite-width theory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from normscope import simulate, theory
from normscope.claims.axes import MARKERS, legend_above, mean_and_bars, number_ticks, panels, round_numbers
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.nachum2024.watching import PAPER, SCORE, children, described, has_odd_point, scales
from normscope.claims.parts import Part, within
from normscope.claims.statistics import mean
from normscope.system import CYCLE
from normscope.theory import FixedPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_EVERY = 5  # layers between two that are recorded
_MARGIN = 0.01  # of both cosines


def lasting_point(n: int) -> FixedPoint:
    """The odd-point configuration that attracts, with recentering and ReLU at infinite width; n >= 7.

    Raises:
        ValueError: there is none at this n.
    """
    for point in theory.GramMap(True, False, "relu").fixed_points(n, sizes=(1, n - 1)):
        if point.kind == "odd" and point.stable:
            return point
    raise ValueError(f"recentering and ReLU have no stable odd point in batches of {n}: use n >= 7")


def ideal_gram(n: int, deviation: float = 0.0) -> NDArray[np.float64]:
    """Point 0 of norm n − 1, orthogonal to n − 1 unit vectors with 1 − cosine = ``deviation`` to each other."""
    gram = np.full((n, n), 1 - deviation)
    gram[0, :] = gram[:, 0] = 0
    np.fill_diagonal(gram, 1)
    gram[0, 0] = (n - 1) ** 2
    return gram


def ideal_points(n: int, noise: float, seed: int) -> torch.Tensor:
    """(n, n): points of Gram matrix `ideal_gram`, each moved by ``noise`` times its norm in a random direction."""
    points = torch.zeros(n, n)
    points[0, 0], points[1:, 1] = n - 1, 1
    unit = torch.randn(n, n, generator=torch.Generator().manual_seed(seed)) / n**0.5
    norms: torch.Tensor = torch.linalg.vector_norm(points, dim=1, keepdim=True)
    moved: torch.Tensor = points + noise * norms * unit
    return moved


def _measure(*, seed: int, ns: Sequence[int], widths: Sequence[int], depth: int, networks: int) -> Measurement:
    frames, seeds = [], iter(children(seed, len(ns) * len(widths)))
    for n in ns:
        point, expected = lasting_point(n), theory.odd_point_configuration(n)
        assert expected is not None
        for width in widths:
            found = simulate.random_network(
                point.gram, width, depth, recenter=True, rescale=False, networks=networks, seed=next(seeds),
                depths=range(depth // 4, depth + 1, _EVERY), is_gram=True,
            )  # fmt: skip
            # over the last three quarters of the depth: by then the start is forgotten, and a mean varies less
            layers = described(found.gram.flatten(0, 1)).drop(columns="odd_index")
            rows = layers.groupby(np.repeat(np.arange(networks), len(found.depths))).mean().assign(n=n, width=width)
            rows["theory_cluster_cosine"] = expected.cluster_cosine
            rows["theory_odd_cosine"] = expected.odd_cosine
            rows["theory_norm_ratio"] = expected.norm_ratio
            frames.append(rows)
    table = pd.concat(frames, ignore_index=True)
    lost = int((~has_odd_point(table, SCORE)).sum())
    return Measurement(table, {"lost": lost}, (f"{lost} of {len(table)} networks did not keep an odd point.",))


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    limits, confidence = criterion.limits, criterion.confidence
    widest = measurement.table[measurement.table["width"] == measurement.table["width"].max()]
    parts = []
    for n, rows in widest[has_odd_point(widest, limits["score"])].groupby("n"):
        cluster = rows["cluster_cosine"] - rows["theory_cluster_cosine"]
        odd = rows["odd_cosine"] - rows["theory_odd_cosine"]
        ratio = rows["norm_ratio"] / rows["theory_norm_ratio"] - 1
        for name, values, margin in (
            ("cosine in the cluster − theory", cluster, limits["cosine"]),
            ("cosine of the odd point − theory", odd, limits["cosine"]),
            ("norm ratio / theory − 1", ratio, limits["ratio"]),
        ):
            parts.append(within(f"n = {n}: {name}", mean(values, confidence), -margin, margin))
    return parts


def _draw(measurement: Measurement, ax: Axes) -> None:
    """Left: the cosine in the cluster over theory. Right: how far from it, which the left cannot show."""
    table = measurement.table[has_odd_point(measurement.table, SCORE)]
    left, right = panels(ax, 1, 2, sharey=False)[0]
    ns = np.arange(7, int(table["n"].max()) + 9)
    curve = [theory.odd_point_configuration(int(n)) for n in ns]
    left.plot(ns, [1 - c.cluster_cosine for c in curve if c], "k--", label="theory, infinite width")
    groups = list(table.groupby("width"))
    shifts = 1.06 ** (np.arange(len(groups)) - (len(groups) - 1) / 2)  # side by side
    for (width, rows), shift, colour, marker in zip(groups, shifts, CYCLE, MARKERS, strict=False):
        loose = (1 - rows["cluster_cosine"]).groupby(rows["n"]).mean()
        left.plot(loose.index, loose, marker, color=colour, markerfacecolor="none", label=f"width {width}")
        apart = rows["cluster_cosine"] - rows["theory_cluster_cosine"]
        mid, half = mean_and_bars(apart.groupby(rows["n"]))
        right.errorbar(shift * mid.index, mid, half, color=colour, marker=marker, linestyle="", capsize=3)
    left.set(xlabel="batch size n", ylabel="1 − cosine in the cluster", xscale="log", yscale="log")
    right.axhline(0, color="k", linestyle="--")
    right.axhspan(-_MARGIN, _MARGIN, color="0.9", zorder=0, label="margin of the criterion, largest width")
    right.set(xlabel="batch size n", ylabel="cosine in the cluster − theory\n(mean over networks, 95% intervals)")
    number_ticks(left, x=table["n"], y=round_numbers(*left.get_ylim()))
    left.legend(fontsize="small")
    legend_above(right)


SHAPE_THEORY = Claim(
    id="nachum2024.shape-theory",
    paper=PAPER,
    result="beyond the paper: its configuration at infinite width",
    statement="In wide networks the lasting odd-point configuration is the stable fixed point of the Gram matrix map.",
    method="From the fixed point as input through a deep network by exact law: means over the last three quarters of "
    "the depth, one number a network, of those that keep an odd point, minus theory; judged at the largest width.",
    criterion=Criterion(
        text="at the largest width, for each of three batch sizes, among networks with a mean score of at least "
        "{score}, the whole {confidence:.2%} intervals of the means lie within {cosine} of theory for both cosines "
        "and within {ratio:.0%} for the norm ratio",
        limits={"score": SCORE, "cosine": _MARGIN, "ratio": 0.05},
        error_rate=0.01,
        error="calling it reproduced though one of the means is further away",
        parts=9,
        judge=_judge,
    ),
    revised=(
        "Means over the last three quarters of the depth in place of the last layer, and more networks: the "
        "first intervals were too wide for the margins."
    ),
    measure=_measure,
    figure=_draw,
    figure_size=(7.2, 3.8),
    sizes=scales(
        {"ns": (8, 16, 32), "widths": (256, 1024, 4096), "depth": 160, "networks": 25},
        {"ns": (8, 16, 32), "widths": (256, 1024, 4096, 8192), "depth": 300, "networks": 60},
    ),
    seconds={"quick": 5, "full": 60, "paper": 60},
)
