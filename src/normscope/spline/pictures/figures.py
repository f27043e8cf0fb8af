"""Figures of a partition, in matplotlib. Imported when the first is drawn: matplotlib is an optional extra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.loading import one_line
from normscope.spline.classes.decision import decision_boundary
from normscope.spline.classes.labels import labelled
from normscope.spline.pictures.colours import class_colours, layer_colours, pale
from normscope.spline.pictures.drawing import dots, fill, legend_of, segments, values_of
from normscope.spline.pictures.merging import apart, merged_regions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from normscope.spline.cutting.partition import Partition

By = Literal["layer", "active", "class", "depth", "layer-regions"]

_EARLIER = "#b4bbc2"
_INK = "#1b1f24"
_LAYER_NAME = 28
_COLUMNS = 4  # panels in a row, at most
_SIZE = 3.4  # inches, of one panel


def plot(
    partition: Partition,
    ax: Axes | None = None,
    *,
    by: By = "layer",
    layer: str | int | None = None,
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    decision: bool = False,
    legend: bool = True,
    linewidth: float | None = None,
) -> Axes:
    """Draw a partition. All that is drawn many times is drawn as pixels (rasterized) where there is much of it.

    Args:
        partition: what to draw.
        ax: where; by default a new figure.
        by: ``"layer"``: folds, one colour a layer; with ``layer``, that layer's in colour and earlier ones grey.
            ``"active"``: regions, by their count of active units. ``"class"``: by the class of the largest output (of
            one output: its sign), exact also where a region holds several. ``"depth"``: by the layer that last cut
            the region. ``"layer-regions"``: the regions by the layers up to ``layer``, neighbours told apart.
        layer: name of a layer, or its number from 0 on; folds of later layers are not drawn.
        points: (m, 2), data in the coordinates of the plane.
        labels: (m,), their classes: whole numbers from 0 on.
        decision: draw the exact decision boundary.
        legend: say what the colours are.
        linewidth: of folds, in points; by default thinner the more there are.

    Returns:
        The Axes, with equal scales.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: an unknown ``by`` or layer, points or labels of another shape, or classes of a model without logits.
    """
    if by not in get_args(By):
        raise ValueError(f"by={by!r}: not known; choose from {', '.join(get_args(By))}")
    last = len(partition.folds) - 1 if layer is None else fold_number(partition, layer)
    shown = _points(points, labels)
    regions = _fill_values(partition, by, last)  # what raises must do so before a figure is made
    boundary = decision_boundary(partition).segments if decision else np.empty((0, 2, 2))
    axis = _new_axes(1)[0] if ax is None else ax
    x0, x1, y0, y1 = partition.extent
    axis.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal")
    handles: list[Any] = []
    if regions is not None:
        values, colours, names = regions
        parts = labelled(partition) if by == "class" else None
        fill(axis, partition, values, colours, parts)
        handles = legend_of(names, colours)
    edges = partition.edges
    fold = edges["fold"].to_numpy()
    ends = partition.vertices[edges[["start", "end"]].to_numpy()]
    width = linewidth or float(np.clip(40 / np.sqrt(max(1, (fold >= 0).sum())), 0.15, 1.2))
    layers = layer_colours(len(partition.folds))
    if by != "layer":
        segments(axis, ends[(fold >= 0) & (fold <= last)], _INK, width * 0.6, alpha=0.6)
    elif layer is not None:
        segments(axis, ends[(fold >= 0) & (fold < last)], _EARLIER, width)
        segments(axis, ends[fold == last], layers[last], 1.5 * width)
    else:
        for k in range(len(partition.folds)):
            segments(axis, ends[fold == k], layers[k], width)
        handles = legend_of([_name(item.layer) for item in partition.folds], layers)
    if len(boundary):
        segments(axis, boundary, "#ffffff", 3.0)
        segments(axis, boundary, "#000000", 1.6)
    if shown is not None:
        # among coloured folds a colour means a layer: there classes are told by shape and shade
        dots(axis, *shown, class_colours(int(shown[1].max(initial=0)) + 1) if by == "class" else None)
    if legend and 1 < len(handles) <= 12:
        axis.legend(handles=handles, fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    whole = partition.plane.origin.numel() == 2
    axis.set_xlabel("x" if whole else "along u")
    axis.set_ylabel("y" if whole else "along v")
    return axis


def plot_layers(
    partition: Partition,
    axes: NDArray[Any] | None = None,
    *,
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    decision: bool = False,
) -> NDArray[Any]:
    """A panel for every layer: its folds in colour, those of earlier layers grey, data as dots.

    Args:
        partition: what to draw.
        axes: as many as there are layers that fold; by default those of a new figure.
        points: (m, 2), data in the coordinates of the plane.
        labels: (m,), their classes.
        decision: draw the exact decision boundary, in the last panel.

    Returns:
        The Axes, in the order of the layers.

    Raises:
        ValueError: another number of axes, or as `plot`.
    """
    count = partition.folds_done
    if not count and axes is None:
        raise ValueError("no layer of this partition folds the window: there is no panel to draw")
    panels = list(_new_axes(count)) if axes is None else list(np.ravel(np.asarray(axes, dtype=object)))
    if len(panels) != count:
        raise ValueError(f"{count} layers need as many axes, not {len(panels)}")
    for k, axis in enumerate(panels):
        last = k == count - 1
        plot(partition, axis, layer=k, points=points, labels=labels, decision=decision and last, legend=False)
        through = int(merged_regions(partition, k).max()) + 1
        axis.set_title(
            f"{_name(partition.folds[k].layer)}: {through:,} region{'' if through == 1 else 's'}", fontsize="small"
        )
        axis.label_outer()
    return np.array(panels, dtype=object)


def fold_number(partition: Partition, layer: str | int) -> int:
    """The number of a fold by the name of its layer (the last one of that name), or by itself.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    names = [item.layer for item in partition.folds]
    if isinstance(layer, str):
        if layer in names:
            return len(names) - 1 - names[::-1].index(layer)
    elif 0 <= layer < len(names):
        return layer
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    raise ValueError(f"layer {layer!r}: not one of the {len(names)} that fold: {listed}")


def _fill_values(partition: Partition, by: By, last: int) -> tuple[NDArray[np.int64], list[str], list[str]] | None:
    """Of each region a number, of each number a colour and a name; None where regions are not filled."""
    if by == "layer":
        return None
    if by == "layer-regions":
        colours = [pale(colour, 0.45) for colour in class_colours(10)]
        return apart(partition, merged_regions(partition, last), len(colours)), colours, []
    return values_of(partition, by, [_name(item.layer) for item in partition.folds])


def _points(points: ArrayLike | None, labels: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    if points is None:
        if labels is not None:
            raise ValueError("labels are of points: give points too")
        return None
    places = np.asarray(points, dtype=float)
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"points have shape (m, 2), in the coordinates of the plane, not {places.shape}")
    classes = np.zeros(len(places), int) if labels is None else np.asarray(labels)
    if classes.shape != (len(places),):
        raise ValueError(f"{len(places)} points need as many labels, not an array of shape {classes.shape}")
    if (classes != classes.astype(int)).any() or classes.min(initial=0) < 0:
        raise ValueError("labels are classes: whole numbers from 0 on")
    return places, classes.astype(int)


def _new_axes(count: int) -> NDArray[Any]:
    """Of a new figure, which pyplot knows: notebooks show it, and ``plt.savefig`` finds it."""
    from matplotlib import pyplot as plt

    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    size = (1.7 * _SIZE, 1.4 * _SIZE) if count == 1 else (_SIZE * columns, _SIZE * rows)
    _, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    flat: NDArray[Any] = axes.ravel()
    for spare in flat[count:]:
        spare.remove()
    return flat[:count]


def _name(layer: str) -> str:
    """A layer's name in which a dollar is a dollar; matplotlib keeps labels that start with an underscore to itself."""
    plain = one_line(layer, _LAYER_NAME).replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain
