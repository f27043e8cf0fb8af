"""Numbers of a partition: regions and folds layer by layer, areas, what goes through the mean of the data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.loading import one_line
from normscope.report.partition.study import Panel, Partitioned
from normscope.spline import Partition
from normscope.spline.pictures.merging import regions_through

_NEAR = 1e-9  # of the window's longer side: a line this close to the mean goes through it


@dataclass(frozen=True)
class LayerFacts:
    """One layer that folds.

    Attributes:
        layer: its name.
        kind: its non-linearity.
        units: how many units it has.
        regions: regions by this layer and those before it.
        length: of all its folds together, in the plane's coordinates.
    """

    layer: str
    kind: str
    units: int
    regions: int
    length: float


@dataclass(frozen=True)
class Facts:
    """Numbers of one picture.

    Attributes:
        layers: one entry a layer that was done.
        regions: how many there are.
        area: of the window.
        median_area: half of the regions are smaller.
        half_area: half of the window lies in larger regions.
        data_area: half of the data points lie in larger regions; NaN without data points in the window.
        points: data points in the window.
        lines: lines of the first layer's units that cross the window; None where no layer was done, or the first one
            is max pooling, whose units have no lines.
        central: how many of these lines go through the mean of the data; None where the plane does not hold it.
        farthest: distance from the mean to the farthest of them; NaN where there is none.
        complete: whether all layers were done.
        seconds: what it took.
    """

    layers: tuple[LayerFacts, ...]
    regions: int
    area: float
    median_area: float
    half_area: float
    data_area: float
    points: int
    lines: int | None
    central: int | None
    farthest: float
    complete: bool
    seconds: float


def partition_facts(panel: Panel) -> Facts:
    """Numbers of one picture."""
    partition = panel.partition
    area = partition.area
    x0, x1, y0, y1 = partition.extent
    inside = panel.points[((panel.points > [x0, y0]) & (panel.points < [x1, y1])).all(axis=1)]
    at_data = area[partition.locate(inside)] if len(inside) else np.empty(0)
    distances = _first_lines(partition, panel.mean)
    lined = partition.folds_done > 0 and bool(partition.folds[0].kinks)
    near = int((distances <= _NEAR * max(x1 - x0, y1 - y0)).sum())
    through = near if lined and panel.mean is not None else None
    return Facts(
        layers=tuple(_layers(partition)),
        regions=len(area),
        area=float((x1 - x0) * (y1 - y0)),
        median_area=float(np.median(area)),
        half_area=_middle(area, area),
        data_area=_middle(at_data, np.ones(len(at_data))),
        points=len(inside),
        lines=len(distances) if lined else None,
        central=through,
        farthest=float(distances.max(initial=math.nan if not len(distances) else 0))
        if through is not None
        else math.nan,
        complete=bool(partition.complete),
        seconds=panel.seconds,
    )


def partition_numbers(partitioned: Partitioned, facts: list[Facts], command: str) -> dict[str, Any]:
    """Everything as plain data for JSON; what is undefined is null."""
    return {
        "command": command,
        "network": partitioned.network,
        "data": partitioned.data,
        "plane": partitioned.plane,
        "extent": [float(value) for value in partitioned.panels[0].partition.extent],
        "stopped": partitioned.stopped,
        "pictures": [
            {"name": panel.name, **_plain({k: v for k, v in asdict(told).items() if k != "seconds"})}
            for panel, told in zip(partitioned.panels, facts, strict=True)
        ],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _layers(partition: Partition) -> list[LayerFacts]:
    edges = partition.edges
    fold = edges["fold"].to_numpy()
    between = (edges["left"].to_numpy() >= 0) & (edges["right"].to_numpy() >= 0) & (fold >= 0)
    ends = partition.vertices[edges[["start", "end"]].to_numpy()]
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    count = len(partition.folds)
    lengths = np.bincount(fold[between], length[between], minlength=count)
    regions = regions_through(partition)
    return [
        LayerFacts(one_line(item.layer, 120), item.kind, int(item.units), int(regions[k]), float(lengths[k]))
        for k, item in enumerate(partition.folds[: partition.folds_done])
    ]


def _first_lines(partition: Partition, mean: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Distance from the mean (or from the origin) to the line of each unit of the first layer, and of each kink."""
    edges = partition.edges
    first = edges[edges["fold"].to_numpy() == 0]
    if first.empty:
        return np.empty(0)
    ends = partition.vertices[first[["start", "end"]].to_numpy()]
    step = ends[:, 1] - ends[:, 0]
    length = np.linalg.norm(step, axis=1)
    origin = np.zeros(2) if mean is None else mean
    offset = origin - ends[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(step[:, 0] * offset[:, 1] - step[:, 1] * offset[:, 0]) / length
    # the longest piece tells the line best
    told = first[["unit", "kink"]].assign(distance=distance, length=length).sort_values("length")
    found: NDArray[np.float64] = told.groupby(["unit", "kink"])["distance"].last().to_numpy()
    return found


def _middle(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The weighted median."""
    if not len(values):
        return math.nan
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
