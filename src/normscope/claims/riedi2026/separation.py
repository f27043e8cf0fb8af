"""Which points, and which clusters of points, the hyperplanes of a layer separate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from normscope import data, theory
from normscope.claims.axes import MARKERS, legend_above, mean_and_bars, number_ticks
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most, within
from normscope.claims.riedi2026.setting import PAPER, children, scales, sides
from normscope.claims.statistics import mean, proportion
from normscope.system import BLACK, CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PAIRS: Final = 6
_MARGIN: Final = 0.02
_TIMES: Final = (4, 8, 16)  # r/δ over K: where the bound says something


def _measure_angle(*, seed: int, images: int, units: int) -> Measurement:
    """How many of the units separate each pair of images, and two points on either side of the mean."""
    inputs = data.digits(count=images, seed=seed).inputs.flatten(1).double()
    g = inputs.mean(0)
    away = inputs[0] - g  # two more points with their midpoint at the mean leave the mean where it is
    points = torch.cat([inputs, (g + away)[None], (g - away)[None]])
    first, second = np.triu_indices(images, 1)
    first, second = np.append(first, images), np.append(second, images + 1)
    side = sides(points, units, seed)
    table = pd.DataFrame(
        {
            "theory": theory.separation_probability(points[first].numpy(), points[second].numpy(), g.numpy()),
            "separating": (side[:, first] != side[:, second]).sum(0),
            "opposite": np.arange(len(first)) == len(first) - 1,
        }
    )
    return Measurement(table.sort_values("theory", kind="stable"), {"units": units})


def _judge_angle(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    """Pairs at equal steps of their rank by angle: which they are is decided without looking at the outcome."""
    units, margin = int(measurement.scalars["units"]), criterion.limits["margin"]
    pairs = measurement.table[~measurement.table["opposite"]]
    chosen = pairs.iloc[np.linspace(0, len(pairs) - 1, _PAIRS).round().astype(int)]
    parts = [
        within(
            f"share of units that separate two images at {180 * row['theory']:.0f}°",
            proportion(int(row["separating"]), units, criterion.confidence),
            row["theory"] - margin,
            row["theory"] + margin,
        )
        for _, row in chosen.iterrows()
    ]
    through = int(measurement.table.loc[measurement.table["opposite"], "separating"].iloc[0])
    share = proportion(through, units, criterion.confidence)
    return [*parts, at_least("share that separate two points with their midpoint at the mean", share, 1 - margin)]


def _draw_angle(measurement: Measurement, ax: Axes) -> None:
    table = measurement.table
    share = table["separating"] / int(measurement.scalars["units"])
    ax.plot(180 * table["theory"], share, ".", color=CYCLE[0], alpha=0.5, label="pairs of images, one layer")
    rows = table[table["opposite"]]
    label = "two points with their\nmidpoint at the mean"
    ax.plot(180 * rows["theory"], share[table["opposite"]], "s", color=CYCLE[1], label=label)
    ax.plot([0, 180], [0, 1], "--", color=BLACK, linewidth=1, label="theory: angle / 180°")
    margins = np.array([[-_MARGIN], [_MARGIN]]) + np.array([0, 1])
    ax.fill_between([0, 180], *margins, color="0.88", zorder=0, label="margin of the criterion")
    ax.set(xlabel="angle of two points seen from the mean of the batch (degrees)", ylabel="share of units between them")
    number_ticks(ax, x=range(0, 181, 30))
    ax.legend()


ANGLE: Final = Claim(
    id="riedi2026.angle",
    paper=PAPER,
    result="P[u, v separated] = ∠(u − g, v − g)/π",
    statement="A unit of random weights behind batch norm separates two points with probability ∠/π, where ∠ is the "
    "angle between them seen from the mean of the batch; always, if the mean is their midpoint.",
    method="One wide layer of Gaussian weights and batch norm on a batch of digits: the share of its units that have "
    "two images on different sides, for six pairs from the smallest angle to the largest.",
    criterion=Criterion(
        text="each {confidence:.2%} interval of a share over units lies within {margin} of theory",
        limits={"margin": _MARGIN},
        error_rate=0.01,
        error="calling it reproduced though one of the seven shares is further away",
        parts=_PAIRS + 1,
        judge=_judge_angle,
    ),
    revised="Quick scale: 40,000 units instead of 20,000, whose intervals were half as wide as the margin "
    "allows; the first outcome was the same.",
    measure=_measure_angle,
    figure=_draw_angle,
    sizes=scales({"images": 32, "units": 40_000}, {"images": 32, "units": 100_000}),
    seconds={"quick": 1, "full": 1, "paper": 1},
)


def _measure_clusters(*, seed: int, points: Sequence[int], features: int, units: int, draws: int) -> Measurement:
    """The share of units that do not separate two clusters, with as many clusters as draws for each K and r/δ."""
    rows = []
    for draw, child in enumerate(children(seed, draws)):
        generator = np.random.default_rng(child)
        for k in points:
            for times in _TIMES:
                batch = _two_clusters(k, features, float(times * k), generator)
                side = sides(torch.from_numpy(batch), units, int(generator.integers(2**32)))
                one, two = side[:, :k], side[:, k:]
                apart = (one.all(1) & ~two.any(1)) | (~one.any(1) & two.all(1))
                rows.append({"draw": draw, "points": k, "ratio": times * k, "not_separated": 1 - apart.mean()})
    table = pd.DataFrame(rows)
    bounds = (theory.cluster_separation_bound, theory.sharper_cluster_separation_bound)
    for name, bound in zip(("published", "sharper"), bounds, strict=True):
        table[name] = [float(bound(k, r, 1)) for k, r in zip(table["points"], table["ratio"], strict=True)]
    return Measurement(table)


def _two_clusters(points: int, features: int, ratio: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """(2K, d): two clusters of K points around ±``ratio``; the centre is their mean, and the furthest is 1 away."""
    batch = generator.standard_normal((2, points, features))
    batch -= batch.mean(1, keepdims=True)
    batch /= np.linalg.norm(batch, axis=2).max(1)[:, None, None]
    centre = generator.standard_normal(features)
    centre *= ratio / np.linalg.norm(centre)
    batch += np.stack([centre, -centre])[:, None]
    return batch.reshape(2 * points, features)


def _judge_clusters(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    """One number a draw and K: the largest share over its bound, of three r/δ."""
    table = measurement.table
    parts = []
    for name in ("published", "sharper"):
        over = (table["not_separated"] / table[name]).groupby([table["points"], table["draw"]]).max()
        for k in sorted(table["points"].unique()):
            estimate = mean(over[k], criterion.confidence)
            parts.append(at_most(f"not separated over the {name} bound, K = {k}", estimate, criterion.limits["most"]))
    return parts


def _draw_clusters(measurement: Measurement, ax: Axes) -> None:
    for colour, marker, (k, rows) in zip(CYCLE, MARKERS, measurement.table.groupby("points"), strict=False):
        of_ratio = rows.groupby("ratio")[["not_separated", "published", "sharper"]].mean()
        share, half = mean_and_bars(rows.groupby("ratio")["not_separated"])
        label = f"K = {k}"
        ax.errorbar(share.index, share, half, fmt=marker, color=colour, capsize=3, label=label)
        ax.plot(of_ratio.index, of_ratio["published"], ":", color=colour)
        ax.plot(of_ratio.index, of_ratio["sharper"], "--", color=colour)
    ax.plot([], [], ":", color=BLACK, label="published bound")
    ax.plot([], [], "--", color=BLACK, label="(2K/π) arcsin(δ/r)")
    ax.set(
        xlabel="half distance r of the centres over the spread δ",
        ylabel="share of units that do not separate\n(mean over pairs of clusters, 95% interval)",
    )
    ax.set(xscale="log", yscale="log")
    number_ticks(ax, x=measurement.table["ratio"], y=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5))
    legend_above(ax, columns=3)


CLUSTERS: Final = Claim(
    id="riedi2026.clusters",
    paper=PAPER,
    result="P[not separated] ≤ (2/π)(2K − 1)/(r/δ − 1), r > 2δ",
    statement="Two clusters of K points, of spread δ and half distance r, are not separated by a unit of random "
    "weights behind batch norm with probability at most (2/π)(2K − 1)/(r/δ − 1), and at most (2K/π) arcsin(δ/r), a "
    "bound of ours.",
    method="Pairs of random clusters, their means the centres, the furthest point at δ; a wide layer of Gaussian "
    "weights and batch norm on all points: the share of units with a cluster on both sides or both on one, over the "
    "bound, at r/δ = 4K, 8K, 16K (the largest); one number a pair of clusters.",
    criterion=Criterion(
        text="for each of three K and both bounds the {confidence:.2%} interval of the mean over pairs of clusters "
        "lies below {most:g}",
        limits={"most": 1.0},
        error_rate=0.01,
        error="calling it reproduced though a mean is above its bound",
        parts=6,
        judge=_judge_clusters,
    ),
    measure=_measure_clusters,
    figure=_draw_clusters,
    sizes=scales(
        {"points": (2, 4, 8), "features": 16, "units": 4000, "draws": 12},
        {"points": (2, 4, 8), "features": 16, "units": 20_000, "draws": 40},
    ),
    seconds={"quick": 1, "full": 4, "paper": 4},
)
