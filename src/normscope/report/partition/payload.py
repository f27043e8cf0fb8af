"""What the script of a partition's page draws: vertices, edges and regions packed into bytes."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.loading import one_line
from normscope.report.partition.facts import Facts
from normscope.report.partition.study import Panel
from normscope.spline import Labelled, Partition, labelled
from normscope.spline.pictures.colours import class_colours, layer_colours, pale, viridis

_NAME = 120  # characters of a layer's name
_STEPS = 2**32 - 1  # a coordinate is a whole number of such parts of the window: zooms of 10⁶ stay sharp
RAMP = [pale(colour, 0.15) for colour in viridis(np.linspace(1, 0.12, 64))]
"""From the fewest active units (light) to the most (dark)."""
_DOTS = 5000  # more data points are not told apart
_COUNTS = 4_000_000  # regions times layers, of all pictures: of more, active units are told of all layers only


def partition_payload(panels: Sequence[Panel], facts: Sequence[Facts]) -> dict[str, Any]:
    """Everything the script draws, as plain JSON; arrays packed by `pack`."""
    x0, x1, y0, y1 = map(float, panels[0].partition.extent)
    found = [labelled(panel.partition) for panel in panels]
    classes = max((labels.count for labels in found if labels), default=0)
    folds = max(len(panel.partition.folds) for panel in panels)
    by_layer = sum(panel.partition.folds_done * len(panel.partition) for panel in panels) <= _COUNTS
    return {
        "window": [x0, x1, y0, y1],
        "layerColours": layer_colours(folds),
        "paleColours": [pale(colour) for colour in layer_colours(folds)],
        "classColours": class_colours(classes),
        "paleClassColours": [pale(colour) for colour in class_colours(classes)],
        "ramp": RAMP,
        "byLayer": by_layer,
        "panels": [
            _panel(panel, told, labels, by_layer) for panel, told, labels in zip(panels, facts, found, strict=True)
        ],
    }  # fmt: skip


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """An array of numbers as text: its bytes, first all lowest ones, then all second ones, …, deflated, in base64.

    Neighbouring numbers share their high bytes, which so stand together and shrink to nothing.
    """
    flat = np.ascontiguousarray(array).ravel()
    kind = flat.dtype.newbyteorder("<")
    planes = flat.astype(kind).view(np.uint8).reshape(flat.size, kind.itemsize).T
    data = zlib.compress(np.ascontiguousarray(planes).tobytes(), 6)
    return {"type": f"{kind.kind}{kind.itemsize}", "count": int(flat.size), "data": base64.b64encode(data).decode()}


def _panel(panel: Panel, facts: Facts, labels: Labelled | None, by_layer: bool) -> dict[str, Any]:
    partition = panel.partition
    edges, regions = partition.edges, partition.regions
    unit = edges["unit"].to_numpy()
    return {
        "name": panel.name,
        "folds": [one_line(fold.layer, _NAME) for fold in partition.folds],
        "units": [int(fold.units) if fold.kinks else 0 for fold in partition.folds],  # max pooling has none active
        "through": [int(row.regions) for row in facts.layers],
        "done": int(partition.folds_done),
        "vertices": pack(_whole(partition.vertices, partition.extent)),
        "start": pack(_packed(edges["start"].to_numpy())),
        "end": pack(_packed(edges["end"].to_numpy())),
        "left": pack(_packed(edges["left"].to_numpy() + 1)),  # 0: outside of the window
        "right": pack(_packed(edges["right"].to_numpy() + 1)),
        "fold": pack(_packed(edges["fold"].to_numpy() + 1)),  # 0: border of the window
        "unit": pack(_packed(np.maximum(unit, 0))),
        "share": pack((partition.area / partition.area.sum()).astype(np.float32)),
        "born": pack(_packed(regions["born"].to_numpy() + 1)),
        "active": None if by_layer else pack(_packed(regions["active"].to_numpy())),
        "activeOf": _active_of(partition) if by_layer else None,
        "classes": _classes(partition, labels),
        "boundary": pack(_whole(panel.boundary.reshape(-1, 2), partition.extent)),
        "dots": _dots(panel),
        "mean": None if panel.mean is None else [float(value) for value in panel.mean],
    }


def _active_of(partition: Partition) -> list[dict[str, Any]]:
    """Of each layer that was done, how many of its units are active in each region."""
    counts = partition.active_through()
    return [pack(_packed(own)) for own in np.diff(counts, axis=0, prepend=0)]


def _whole(points: NDArray[np.float64], extent: Sequence[float]) -> NDArray[np.uint32]:
    """Coordinates of (m, 2) points as parts of the window, all x first, then all y."""
    x0, x1, y0, y1 = extent
    parts = (points - [x0, y0]) / [x1 - x0, y1 - y0]
    whole: NDArray[np.uint32] = np.rint(np.clip(parts, 0, 1) * _STEPS).astype(np.uint32).T
    return whole


def _packed(values: NDArray[Any]) -> NDArray[Any]:
    """Non-negative whole numbers in the smallest type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _classes(partition: Partition, labels: Labelled | None) -> dict[str, Any] | None:
    """Class of each region, and of those that hold several the logits as affine functions of parts of the window."""
    if labels is None:
        return None
    mixed = np.flatnonzero(labels.mixed)
    return {
        "count": labels.count,
        "of": pack(_packed(labels.classes)),
        "mixed": pack(_packed(mixed)),
        "logits": pack(labels.affine(mixed).astype(np.float32)),
    }


def _dots(panel: Panel) -> dict[str, Any]:
    """Data points in the coordinates of the plane, at most `_DOTS`, each with its label (−1: none)."""
    every = max(1, math.ceil(len(panel.points) / _DOTS))
    shown = panel.points[::every]
    labels = np.full(len(shown), -1) if panel.labels is None else panel.labels[::every]
    return {"at": [[float(x), float(y)] for x, y in shown], "labels": [int(label) for label in labels]}
