"""How many boundaries cross a small ball around training images, test images and random points, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from normscope import data, spline
from normscope.claims.axes import mean_and_bars, panels, whole_ticks
from normscope.claims.balestriero2022.setting import (
    COLOURS,
    KINDS,
    LABELS,
    LINES,
    MARKERS,
    PAPER,
    children,
    image_network,
    scales,
)
from normscope.claims.claim import Claim, Criterion, Observation, Scale
from normscope.claims.measurement import Measurement
from normscope.claims.parts import Part, at_least
from normscope.claims.statistics import mean
from normscope.system import CYCLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OFFSETS: Final = ("batch", "zero", "random")
_PLACES: Final = {"train": "training images", "test": "test images", "noise": "random points"}


def _observe(
    *, seed: int, images: int, size: int, widths: Sequence[int], depths: Sequence[int], points: int, units: int,
    radius: float, networks: int,
) -> pd.DataFrame:  # fmt: skip
    """One row a network, kind, offsets, place and layer.

    ``crossing``: the share of units whose boundary, as it continues from the point, is within the ball (mean over
    points); ``certain``: the share of points at which that is an exact count.
    """
    rows = []
    for network, child in enumerate(children(seed, networks)):
        shown = data.digits(size, count=images + points, seed=child).inputs
        batch, test = shown[:images], shown[images:]
        generator = torch.Generator().manual_seed(child)
        noise = batch.mean() + batch.std() * torch.randn(test.shape, generator=generator)
        places = torch.cat([batch[:points], test, noise])
        reach = radius * _spread(batch)
        for kind, width, depth in zip(KINDS, widths, depths, strict=True):
            for offsets in _OFFSETS:
                program = spline.read(image_network(kind, offsets, size, width, depth, child), batch[0], batch=batch)
                counted = spline.local_complexity(program, places, reach, units=units, seed=child)
                share = (counted.counts / counted.looked_at).reshape(len(_PLACES), points, -1).mean(1)
                certain = counted.exact.reshape(share.shape[0], points, -1).mean(1)
                for (place, layer), crossing in np.ndenumerate(share):
                    rows.append(
                        {"network": network, "kind": kind, "offsets": offsets, "place": list(_PLACES)[place],
                         "layer": layer + 1, "crossing": crossing, "certain": certain[place, layer]}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def _spread(batch: Tensor) -> float:
    """Root mean squared distance of the samples from their mean."""
    return float((batch - batch.mean(0)).flatten(1).square().sum(1).mean().sqrt())


def _measure(observed: pd.DataFrame) -> Measurement:
    certain = float(observed["certain"].mean())
    note = (
        f"{certain:.0%} of the counts are exact, those of the first fold; the others are of boundaries as they "
        "continue from the region of the point, which earlier folds bend"
    )
    return Measurement(observed, {"certain": certain}, (f"{note}.",))


def _of_networks(table: pd.DataFrame) -> pd.Series[float]:
    """One number a network: the share of units, mean over layers; indexed by kind, place, offsets and network."""
    return table.groupby(["kind", "place", "offsets", "network"])["crossing"].mean()


def _judge(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    share = _of_networks(measurement.table)
    return [
        at_least(
            f"{label}, {_PLACES[place]}: share of units with batch norm − with {other} biases",
            mean(share[kind, place, "batch"] - share[kind, place, other], criterion.confidence),
            criterion.limits["more"],
        )
        for kind, label in KINDS.items()
        for place in ("train", "test")
        for other in ("zero", "random")
    ]


def _judge_elsewhere(measurement: Measurement, criterion: Criterion) -> Sequence[Part]:
    share = _of_networks(measurement.table)
    return [
        at_least(
            f"{label}, batch norm: share of units at training images − at random points",
            mean(share[kind, "train", "batch"] - share[kind, "noise", "batch"], criterion.confidence),
            criterion.limits["more"],
        )
        for kind, label in KINDS.items()
    ]


def _draw(measurement: Measurement, ax: Axes) -> None:
    """Kinds of networks from left to right, places from top to bottom."""
    grid = panels(ax, len(_PLACES), len(KINDS))
    for row, place in zip(grid, _PLACES, strict=True):
        row[0].set_ylabel(_PLACES[place], fontsize="small")
        for axis, kind in zip(row, KINDS, strict=True):
            for offsets in _OFFSETS:
                path, bars = _path(measurement.table, kind, place, offsets)
                axis.errorbar(
                    path.index, path, bars, marker=MARKERS[offsets], markersize=3.5, color=COLOURS[offsets],
                    linestyle=LINES[offsets], label=LABELS[offsets],
                )  # fmt: skip
            axis.set_ylim(0, None)
    _finish(grid, "share of a layer's units whose boundary crosses a ball around")


def _draw_elsewhere(measurement: Measurement, ax: Axes) -> None:
    """Networks with batch norm alone: balls around images and around random points."""
    grid = panels(ax, 1, len(KINDS), sharex=False)
    for axis, kind in zip(grid[0], KINDS, strict=True):
        styles = zip(_PLACES.items(), CYCLE, "osv", ("-", "--", ":"), strict=False)
        for (place, label), colour, marker, line in styles:
            path, bars = _path(measurement.table, kind, place, "batch")
            axis.errorbar(
                path.index, path, bars, marker=marker, markersize=4, color=colour, linestyle=line, label=label
            )
        axis.set_ylim(0, None)
        whole_ticks(axis)
    _finish(grid, "share of a layer's units whose boundary\ncrosses a ball, with batch norm")


def _path(table: pd.DataFrame, kind: str, place: str, offsets: str) -> tuple[pd.Series[float], pd.Series[float]]:
    """Of every layer the mean share over networks, and half its interval."""
    rows = table[(table["kind"] == kind) & (table["place"] == place) & (table["offsets"] == offsets)]
    return mean_and_bars(rows.groupby("layer")["crossing"])


def _finish(grid: list[list[Axes]], title: str) -> None:
    for axis, label in zip(grid[0], KINDS.values(), strict=True):
        axis.set_title(label, fontsize="medium")
    for axis in grid[-1]:
        axis.set_xlabel("fold (hidden layer)", fontsize="small")
    figure, (handles, labels) = grid[0][0].figure, grid[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), fontsize="small",
        title="means over networks, 95% intervals", title_fontsize="small",
    )  # fmt: skip
    figure.supylabel(title, fontsize="small")


OBSERVATION: Final = Observation("balestriero2022.balls-of-networks", _observe)
_SIZES: Final = scales(
    {"images": 64, "size": 8, "widths": (64, 8, 4), "depths": (6, 6, 8), "points": 6, "units": 24, "radius": 0.05,
     "networks": 10},
    {"images": 256, "size": 8, "widths": (128, 16, 8), "depths": (8, 8, 14), "points": 8, "units": 48,
     "radius": 0.05, "networks": 12},
)  # fmt: skip
_SECONDS: Final[dict[Scale, float]] = {"quick": 11, "full": 42, "paper": 42}
_REVISED: Final = (
    "Quick scale: 6 points of a kind instead of 12, for time, and 10 networks instead of 8; the outcome of the first "
    "run was the same, for both claims."
)
_METHOD: Final = (
    "MLP, conv net and ResNet of He's weights on digits, at initialization; balls of radius 5% of the root mean "
    "squared distance of images to their mean; share of the units of a layer (some of each drawn) whose first-order "
    "distance is below it, mean over points and layers; one number a network"
)

BALLS: Final = Claim(
    id="balestriero2022.balls",
    paper=PAPER,
    result="figure of boundaries in ε-balls around images, per layer",
    statement="With batch norm more boundaries cross a small ball around a training image, or a test image, than with "
    "zero or random biases.",
    method=f"{_METHOD}; the difference of networks with the same weights.",
    criterion=Criterion(
        text="for three kinds of networks, training and test images, zero and random biases, the whole "
        "{confidence:.2%} interval of the mean difference over networks lies above {more:g}",
        limits={"more": 0.0},
        error_rate=0.01,
        error="calling it reproduced though one of the twelve differences is not positive",
        parts=12,
        judge=_judge,
    ),
    revised=_REVISED,
    measure=_measure,
    observation=OBSERVATION,
    figure=_draw,
    figure_size=(7.2, 5.2),
    sizes=_SIZES,
    seconds=_SECONDS,
)

BALLS_ELSEWHERE: Final = Claim(
    id="balestriero2022.balls-elsewhere",
    paper=PAPER,
    result="figure of boundaries in ε-balls around random points",
    statement="With batch norm more boundaries cross a small ball around a training image than around a random point.",
    method=f"{_METHOD}. Random points: independent normal pixels with the mean and deviation of those of the images.",
    criterion=Criterion(
        text="for three kinds of networks the whole {confidence:.2%} interval of the mean difference over networks "
        "lies above {more:g}",
        limits={"more": 0.0},
        error_rate=0.01,
        error="calling it reproduced though one of the three differences is not positive",
        parts=3,
        judge=_judge_elsewhere,
    ),
    revised=_REVISED,
    measure=_measure,
    observation=OBSERVATION,
    figure=_draw_elsewhere,
    figure_size=(7.2, 3.4),
    sizes=_SIZES,
    seconds=_SECONDS,
)
