"""Many regions, many edges and some dots on matplotlib's Axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from normscope.spline.classes.labels import Labelled

try:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch, PathPatch
    from matplotlib.path import Path
except ImportError as error:
    raise ImportError("figures need matplotlib: pip install 'normscope[plot]'", name="matplotlib") from error

if TYPE_CHECKING:
    from normscope.spline.cutting.partition import Partition

_MANY = 5000  # edges or regions from which on they are drawn as pixels
_SHADES = ("#1b1f24", "#ffffff", "#8a929a", "#d3d8dd", "#57606a")
_MARKERS = "os^DvPX*<>"


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
    """Data: a marker a class, in these colours (white beyond them) or in shades of grey."""
    size = 26 if len(points) <= 10 else 14 if len(points) <= 60 else 8 if len(points) <= 400 else 3
    for label in np.unique(labels).tolist():
        own = points[labels == label]
        marker, shade, line = _look(label, colours)
        style: dict[str, Any] = {"marker": marker, "linewidths": 0.6, "zorder": 5}
        axis.scatter(own[:, 0], own[:, 1], s=size, facecolors=shade, edgecolors=line, **style)


def dot_sample(label: int, colours: Sequence[str] | None, name: str) -> Line2D:
    """A dot of a class, for a legend."""
    marker, shade, line = _look(label, colours)
    style: dict[str, Any] = {"marker": marker, "markersize": 5, "linestyle": "", "markeredgewidth": 0.6}
    return Line2D([], [], markerfacecolor=shade, markeredgecolor=line, label=name, **style)


def line_sample(colour: str, name: str, width: float = 2.0) -> Line2D:
    """A line, for a legend."""
    return Line2D([], [], color=colour, linewidth=width, label=name)


def patch_sample(colour: str, name: str) -> Patch:
    """What a region is filled with, for a legend."""
    return Patch(facecolor=colour, edgecolor="#8a929a", linewidth=0.5, label=name)


def cross(axis: Axes, point: NDArray[np.float64]) -> None:
    """A black × with a white rim."""
    for colour, width in (("#ffffff", 3.4), ("#000000", 1.5)):
        axis.scatter(point[:1], point[1:], marker="x", s=45, c=colour, linewidths=width, zorder=6)


def cross_sample(name: str) -> Line2D:
    """The ×, for a legend."""
    style: dict[str, Any] = {"marker": "x", "markersize": 6, "linestyle": "", "markeredgewidth": 1.5}
    return Line2D([], [], color="#000000", label=name, **style)


def _look(label: int, colours: Sequence[str] | None) -> tuple[str, str, str]:
    """Marker, colour and rim of a class."""
    marker = _MARKERS[label % len(_MARKERS)]
    if colours is None:
        return marker, _SHADES[label % len(_SHADES)], "#1b1f24"
    return (marker, colours[label], "#ffffff") if label < len(colours) else (marker, "#ffffff", "#1b1f24")


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
