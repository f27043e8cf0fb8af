"""Many regions, many edges and some dots on matplotlib's Axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from normscope.spline.classes.labels import Labelled, labelled
from normscope.spline.pictures.colours import class_colours, layer_colours, pale, viridis

try:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Patch, PathPatch
    from matplotlib.path import Path
except ImportError as error:
    raise ImportError("figures need matplotlib: pip install 'normscope[plot]'", name="matplotlib") from error

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition

_MANY = 5000  # edges or regions from which on they are drawn as pixels
_SHADES = ("#1b1f24", "#ffffff", "#8a929a", "#d3d8dd", "#57606a")
_MARKERS = "os^DvPX*<>"


def values_of(
    partition: Partition, by: Literal["active", "class", "depth"], layers: Sequence[str]
) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Of each region a number; of each number its colour, and its name for a legend.

    Raises:
        ValueError: classes of a model whose output is no vector.
    """
    if by == "active":
        active = partition.regions["active"].to_numpy()
        fewest, most = int(active.min()), int(active.max())
        counts = np.arange(fewest, most + 1)
        colours = [pale(colour, 0.15) for colour in viridis(np.linspace(1, 0.12, len(counts)))]
        told = set(np.linspace(fewest, most, min(6, len(counts))).round().astype(int).tolist())
        return active - fewest, colours, [f"{k} active" if k in told else "" for k in counts.tolist()]
    if by == "depth":
        return (
            partition.regions["born"].to_numpy() + 1,
            ["#ffffff", *(pale(colour) for colour in layer_colours(len(layers)))],
            ["by none", *layers],
        )
    labels = labelled(partition)
    if not partition.complete:
        raise ValueError("by='class': the partition was stopped before its last layer, so that no region has one yet")
    if labels is None:
        shape = "×".join(map(str, partition.program.output_shape))
        raise ValueError(
            f"by='class': the model gives no logits; its output has shape {shape} instead of one number a class"
        )
    count = labels.count
    return labels.classes, [pale(colour) for colour in class_colours(count)], [f"class {k}" for k in range(count)]


def legend_of(names: Sequence[str], colours: Sequence[str]) -> list[Patch]:
    """Handles of a legend, for what has a name."""
    return [Patch(facecolor=colour, label=name) for name, colour in zip(names, colours, strict=False) if name]


def fill(
    axis: Axes, partition: Partition, values: NDArray[np.int64], colours: Sequence[str], labels: Labelled | None = None
) -> None:
    """Fill each region with the colour of its value: one path a colour, which is fast however many regions there are.

    Args:
        axis: where.
        partition: whose regions.
        values: (R,), one a region.
        colours: of each value.
        labels: classes: regions that hold several are divided.
    """
    whole = np.ones(len(values), bool) if labels is None else ~labels.mixed
    polygons = list(partition.polygons)
    for value in np.unique(values[whole]):
        chosen = np.flatnonzero(whole & (values == value))
        _patch(axis, [polygons[k] for k in chosen.tolist()], colours[value])
    if labels is None or whole.all():
        return
    mixed = np.flatnonzero(~whole)
    slopes = labels.affine(mixed)
    low, high = partition.vertices.min(axis=0), partition.vertices.max(axis=0)
    parts: dict[int, list[NDArray[np.float64]]] = {}
    for region, affine in zip(mixed.tolist(), slopes, strict=True):
        corners = polygons[region]
        logits = ((corners - low) / (high - low)) @ affine[:, :2].T + affine[:, 2]
        for k in range(labels.count):
            part = _cell(corners, logits, k)
            if len(part) >= 3:
                parts.setdefault(k, []).append(part)
    for k, found in sorted(parts.items()):
        _patch(axis, found, colours[k])


def segments(axis: Axes, ends: NDArray[np.float64], colour: str, width: float, alpha: float = 1.0) -> None:
    """Draw (S, 2, 2) segments."""
    lines = LineCollection(
        list(ends), colors=colour, linewidths=width, alpha=alpha, capstyle="round", rasterized=len(ends) > _MANY
    )
    axis.add_collection(lines, autolim=False)


def dots(axis: Axes, points: NDArray[np.float64], labels: NDArray[np.int64], colours: Sequence[str] | None) -> None:
    """Data: a marker a class, in these colours or in shades of grey."""
    size = 14 if len(points) <= 60 else 8 if len(points) <= 400 else 3
    for label in np.unique(labels).tolist():
        own = points[labels == label]
        shade = _SHADES[label % len(_SHADES)] if colours is None else colours[label]
        line = "#1b1f24" if colours is None else "#ffffff"
        style: dict[str, Any] = {"marker": _MARKERS[label % len(_MARKERS)], "linewidths": 0.6, "zorder": 5}
        axis.scatter(own[:, 0], own[:, 1], s=size, facecolors=shade, edgecolors=line, **style)


def _patch(axis: Axes, polygons: Sequence[NDArray[np.float64]], colour: str) -> None:
    if not polygons:
        return
    sizes = np.array([len(polygon) for polygon in polygons])
    closed = np.cumsum(sizes + 1) - 1  # a closing point behind each
    codes = np.full(int(closed[-1]) + 1, Path.LINETO, dtype=Path.code_type)
    codes[closed - sizes] = Path.MOVETO
    codes[closed] = Path.CLOSEPOLY
    vertices = np.zeros((len(codes), 2))
    vertices[codes != Path.CLOSEPOLY] = np.concatenate(polygons)
    many = len(polygons) > _MANY
    # without antialiasing no seams show between neighbours
    patch = PathPatch(Path(vertices, codes), facecolor=colour, linewidth=0, antialiased=False, rasterized=many)
    axis.add_artist(patch)  # add_patch would walk through all of it for the limits, which are set


def _cell(corners: NDArray[np.float64], logits: NDArray[np.float64], label: int) -> NDArray[np.float64]:
    """The part of a convex polygon in which one of its affine functions is the largest: cut by one after another."""
    held = np.concatenate([corners, logits], axis=1)
    for other in range(logits.shape[1]):
        if other == label or not len(held):
            continue
        lead = held[:, 2 + label] - held[:, 2 + other]
        following, next_lead = np.roll(held, -1, axis=0), np.roll(lead, -1)
        crossed = (lead >= 0) != (next_lead >= 0)
        share = np.divide(lead, lead - next_lead, out=np.zeros_like(lead), where=crossed)
        between = held + share[:, None] * (following - held)
        kept = np.stack([lead >= 0, crossed], axis=1).ravel()
        held = np.stack([held, between], axis=1).reshape(-1, held.shape[1])[kept]
    return held[:, :2]
