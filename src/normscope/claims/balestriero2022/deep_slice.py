"""A slice of the partition of a wide and deep network, through three images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from normscope import spline
from normscope.claims.axes import CONFIDENCE, panels
from normscope.claims.balestriero2022.picture import edges_of
from normscope.claims.balestriero2022.setting import LABELS, PAPER, children, scales
from normscope.claims.balestriero2022.slices import View, cut_of, view
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least
from normscope.claims.statistics import mean
from normscope.system import VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OFFSETS: Final = ("zero", "random", "batch")
_SQUARES: Final = 40  # along a side of the map
_ZOOM: Final = 12  # of the second row of the figure, around the first image


def _measure(*, seed: int, images: int, size: int, width: int, depth: int, networks: int) -> Measurement:
    """Regions of each network in the slice, and in the triangle of the three images; what is drawn of the first."""
    tables = []
    for network, child in enumerate(children(seed, networks)):
        shown = view("digits", images, child, size)
        for offsets in _OFFSETS:
            cut = cut_of(shown, offsets, width, depth, child)
            row = pd.DataFrame({"regions": [len(cut)], "inside": [_inside(cut, shown)]})
            tables.append(row.assign(what="count", offsets=offsets, network=network))
            if not network:
                tables += [_map(cut).assign(offsets=offsets), _near(cut, shown).assign(offsets=offsets)]
        if not network:
            dots = pd.DataFrame(shown.points, columns=["x", "y"])
            tables.append(dots.assign(what="sample", offsets="none"))
            window = dict(zip(("left", "right", "bottom", "top"), shown.extent, strict=True))
    return Measurement(pd.concat(tables, ignore_index=True), {"depth": depth, **window})


def _inside(cut: spline.Partition, shown: View) -> int:
    """Regions with their centroid in the triangle."""
    a, b, c = shown.points
    coefficients = np.linalg.solve(np.stack([b - a, c - a], 1), (cut.centroids - a).T)
    return int(((coefficients >= 0).all(0) & (coefficients.sum(0) <= 1)).sum())


def _map(cut: spline.Partition) -> pd.DataFrame:
    """How many regions have their centroid in each square of the window."""
    left, right, bottom, top = cut.extent
    x, y = cut.centroids.T
    counts, across, up = np.histogram2d(x, y, _SQUARES, ((left, right), (bottom, top)))
    columns = {"x": np.repeat(across[:-1], _SQUARES), "y": np.tile(up[:-1], _SQUARES), "regions": counts.ravel()}
    return pd.DataFrame({"what": "square", **columns})


def _near(cut: spline.Partition, shown: View) -> pd.DataFrame:
    """The edges in a small window around the first image."""
    edges = edges_of(cut)
    reach = (cut.extent[1] - cut.extent[0]) / (2 * _ZOOM)
    inside = np.ones(len(edges), dtype=np.bool_)
    for axis, at in zip("xy", shown.points[0], strict=True):
        ends = edges[[axis, f"{axis}_end"]].to_numpy() - at
        inside &= (ends.min(1) < reach) & (ends.max(1) > -reach)
    return edges[inside]


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table = measurement.table[measurement.table["what"] == "count"]
    of_offsets = [table[table["offsets"] == offsets].sort_values("network") for offsets in _OFFSETS]
    # a network may have no region with its centroid in the triangle: counted as one
    counts = {
        name: [np.log(rows[name].clip(lower=1).to_numpy()) for rows in of_offsets] for name in ("regions", "inside")
    }
    parts = []
    for name, where in (("regions", "the slice"), ("inside", "the triangle of the images")):
        for other in (0, 1):
            gain = mean(counts[name][2] - counts[name][other], criterion.confidence)
            label = f"ln of regions in {where}, batch norm − {LABELS[_OFFSETS[other]]}"
            parts.append(at_least(label, gain, criterion.limits["more"]))
    return parts


def _draw(measurement: Measurement, ax: Axes) -> None:
    """The first network with each kind of offsets: the density of regions, and the edges around an image."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    above, below = panels(ax, 2, len(_OFFSETS), sharex=False, sharey=False)
    table, scalars = measurement.table, measurement.scalars
    left, right, bottom, top = (float(scalars[name]) for name in ("left", "right", "bottom", "top"))
    samples, squares = table[table["what"] == "sample"], table[table["what"] == "square"]
    depth, reach = int(scalars["depth"]), (right - left) / (2 * _ZOOM)
    colours = colormaps["cividis"](np.linspace(0.85, 0, depth))
    norm = LogNorm(1, squares["regions"].max())
    for upper, lower, offsets in zip(above, below, _OFFSETS, strict=True):
        counts = squares[squares["offsets"] == offsets]["regions"].to_numpy().reshape(_SQUARES, _SQUARES)
        image = upper.imshow(
            np.maximum(counts.T, 1), origin="lower", extent=(left, right, bottom, top), cmap="cividis", norm=norm
        )
        of_networks = table[(table["what"] == "count") & (table["offsets"] == offsets)]["regions"]
        logs = mean(np.log(of_networks), CONFIDENCE)
        low, high = (f"{float(f'{np.exp(end):.2g}'):,.0f}" for end in (logs.low, logs.high))
        told = f"{LABELS[offsets]}\n{counts.sum():,.0f} regions\n({len(of_networks)} networks: {low} – {high})"
        upper.set_title(told, fontsize="small")
        edges = table[(table["what"] == "edge") & (table["offsets"] == offsets)]
        for layer, rows in edges.groupby("layer"):
            ends = rows[["x", "x_end"]].T, rows[["y", "y_end"]].T
            lower.plot(*ends, color=colours[round(float(str(layer))) - 1], linewidth=0.6, rasterized=True)
        x, y = samples[["x", "y"]].iloc[0]
        lower.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach))
        for axis in (upper, lower):
            axis.plot(samples["x"], samples["y"], "o", color=VERMILLION, markeredgecolor="w", markersize=6)
            axis.set(xticks=[], yticks=[], aspect="equal")
    above[0].set_ylabel("regions in a square\n(dots: three images)", fontsize="small")
    below[0].set_ylabel(
        f"the first image, {_ZOOM} times larger:\nfolds of layers 1 (light) to {depth} (dark)", fontsize="small"
    )
    image.figure.colorbar(image, ax=list(above), shrink=0.8, label="regions")
    image.figure.supxlabel("in brackets: geometric mean over networks, 95% interval", fontsize="small")


SLICE: Final = Claim(
    id="balestriero2022.deep-slice",
    paper=PAPER,
    result="figure of a slice of a deep and wide network's partition",
    statement="In a plane through three images a deep and wide network with batch norm has more regions than with zero "
    "or random biases, also in the triangle between the images.",
    method="Perceptrons of He's weights at initialization, exact partition of a window twice as large as the "
    "triangle of three digits: the number of regions, and of those with their centroid in the triangle; one "
    "logarithm a network.",
    criterion=Criterion(
        text="for zero and for random biases, the window and the triangle, the whole {confidence:.2%} interval of the "
        "mean difference over networks of the same weights lies above {more:g}",
        limits={"more": 0.0},
        error_rate=0.01,
        error="calling it reproduced though one of the four differences is not positive",
        parts=4,
        judge=_judge,
    ),
    revised="Quick scale: 8 networks of width 32 and depth 5 instead of 6 of 48 and 6, for time; the outcome of the "
    "first run was the same.",
    measure=_measure,
    figure=_draw,
    figure_size=(7.6, 5.4),
    sizes=scales(
        {"images": 64, "size": 8, "width": 32, "depth": 5, "networks": 8},
        {"images": 256, "size": 16, "width": 48, "depth": 6, "networks": 10},
    ),
    seconds={"quick": 4, "full": 11, "paper": 11},
)
