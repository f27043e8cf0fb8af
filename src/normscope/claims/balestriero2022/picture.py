"""The picture of the paper: four layers of six leaky ReLUs on the plane, with batch norm and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normscope import spline
from normscope.claims.axes import panels
from normscope.claims.balestriero2022.edges import near_and_elsewhere
from normscope.claims.balestriero2022.setting import LABELS, PAPER, children, scales
from normscope.claims.balestriero2022.slices import cut_of, view
from normscope.claims.claim import Claim, Criterion
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least, at_most
from normscope.claims.statistics import exact, mean
from normscope.system import BLUE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH: Final = 6
_DEPTH: Final = 4
_OFFSETS: Final = ("random", "batch")
_RADIUS: Final = 0.05  # of discs, in units of half the window's side


def _measure(*, seed: int, samples: int, networks: int, discs: int) -> Measurement:
    """Units that cross discs at the data and elsewhere; the edges and the data of the first network."""
    tables = []
    for network, child in enumerate(children(seed, networks)):
        shown = view("moons", samples, child)
        reach = (shown.extent[1] - shown.extent[0]) / 2
        radius = _RADIUS * reach
        for offsets in _OFFSETS:
            cut = cut_of(shown, offsets, _WIDTH, _DEPTH, child, "leaky_relu")
            generator = np.random.default_rng(child)
            rows = near_and_elsewhere(cut, shown.points, radius, discs, generator)
            from_mean = _from(cut, shown.points.mean(0)) / radius
            tables.append(rows.assign(what="count", offsets=offsets, network=network, from_mean=from_mean))
            if not network:
                tables.append(edges_of(cut).assign(offsets=offsets))
        if not network:
            dots = pd.DataFrame(shown.points, columns=["x", "y"])
            tables.append(dots.assign(what="sample", offsets="none"))
            window = reach
    return Measurement(pd.concat(tables, ignore_index=True), {"window": window})


def edges_of(cut: spline.Partition) -> pd.DataFrame:
    """The ends of all edges, and the layer (1, 2, …) of each."""
    edges = cut.edges[cut.edges["fold"] >= 0]
    ends = cut.vertices[edges[["start", "end"]].to_numpy()]
    columns = {"x": ends[:, 0, 0], "y": ends[:, 0, 1], "x_end": ends[:, 1, 0], "y_end": ends[:, 1, 1]}
    return pd.DataFrame({"what": "edge", "layer": edges["fold"].to_numpy() + 1, **columns})


def _from(cut: spline.Partition, point: NDArray[np.float64]) -> float:
    """The largest distance of a point from the lines of layer 1."""
    edges = edges_of(cut)
    first = edges[edges["layer"] == 1][["x", "y", "x_end", "y_end"]].to_numpy()
    along, away = first[:, 2:] - first[:, :2], point - first[:, :2]
    long = np.linalg.norm(along, axis=1) > 1e-3 * (cut.extent[1] - cut.extent[0])
    distance = np.abs(along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0]) / np.linalg.norm(along, axis=1)
    return float(distance[long].max())


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    table = measurement.table[measurement.table["what"] == "count"]
    batch = table[table["offsets"] == "batch"]
    parts = [
        at_most(
            "distance of the mean from lines of layer 1", exact(batch["from_mean"].max()), criterion.limits["through"]
        )
    ]
    gain = (table["near"] - table["elsewhere"]).groupby([table["offsets"], table["layer"], table["network"]]).sum()
    for layer in range(1, _DEPTH + 1):
        difference = gain.loc["batch", layer].to_numpy() - gain.loc["random", layer].to_numpy()
        name = f"layer {layer}: units at the data − elsewhere, batch norm − random offsets"
        parts.append(at_least(name, mean(difference, criterion.confidence), criterion.limits["more"]))
    return parts


def _draw(measurement: Measurement, ax: Axes) -> None:
    """One network with random offsets above, with batch norm below: from layer to layer."""
    table = measurement.table
    samples = table[table["what"] == "sample"]
    grid = panels(ax, len(_OFFSETS), _DEPTH)
    centre, reach = samples[["x", "y"]].mean(), float(measurement.scalars["window"])
    for row, offsets, colour in zip(grid, _OFFSETS, (VERMILLION, BLUE), strict=True):
        edges = table[(table["what"] == "edge") & (table["offsets"] == offsets)]
        row[0].set_ylabel(LABELS[offsets], fontsize="small")
        for layer, axis in enumerate(row, 1):
            for these, shade, width in ((edges["layer"] < layer, "0.7", 0.6), (edges["layer"] == layer, colour, 1.1)):
                ends = edges.loc[these, ["x", "x_end"]].T, edges.loc[these, ["y", "y_end"]].T
                axis.plot(*ends, color=shade, linewidth=width)
            axis.plot(samples["x"], samples["y"], ".", color="k", markersize=1.5)
            axis.set(xticks=[], yticks=[], aspect="equal")
            axis.set_xlim(centre["x"] - reach, centre["x"] + reach)
            axis.set_ylim(centre["y"] - reach, centre["y"] + reach)
    for layer, axis in enumerate(grid[0], 1):
        axis.set_title(f"layer {layer}", fontsize="medium")
    grid[0][0].figure.supxlabel(
        "folds of this layer in colour, of the layers before it grey; data black", fontsize="small"
    )


PICTURE: Final = Claim(
    id="balestriero2022.picture",
    paper=PAPER,
    result="figure of the partition of the plane, layer by layer: four layers of six leaky ReLUs",
    statement="With batch norm all folds of the first layer go through the mean of the data, and in every layer folds "
    "gather at the data more than with random offsets.",
    method="Random networks of four layers of six leaky ReLUs, He's weights, on two moons in a window of three root "
    "mean squared distances around their mean, exact partition: units that cross a disc (2.5% of the window's side) at "
    "a sample less those that cross one elsewhere; one number a network and layer.",
    criterion=Criterion(
        text="lines of the first layer pass the mean at no more than {through:g} radii of the discs; in each of the "
        "four layers the whole {confidence:.1%} interval of the difference between batch norm and random offsets, mean "
        "over networks of the same weights, lies above {more:g}",
        limits={"through": 1e-6, "more": 0.0},
        error_rate=0.01,
        error="calling it reproduced though in one layer the difference is not positive",
        parts=_DEPTH + 1,
        judge=_judge,
    ),
    measure=_measure,
    figure=_draw,
    figure_size=(7.6, 4.4),
    sizes=scales({"samples": 100, "networks": 30, "discs": 100}, {"samples": 100, "networks": 100, "discs": 100}),
    seconds={"quick": 5, "full": 10, "paper": 10},
)
