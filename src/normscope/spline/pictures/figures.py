"""Figures of a partition, in matplotlib. Imported when the first is drawn: matplotlib is an optional extra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.spline.pictures.filling import By
from normscope.spline.pictures.merging import merged_regions
from normscope.spline.pictures.picture import count_of, layer_names, legend_below, line_width, picture_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from normscope.spline.cutting.partition import Partition

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
    mean: ArrayLike | None = None,
    decision: bool = False,
    legend: bool = True,
    linewidth: float | None = None,
    active_range: tuple[int, int] | None = None,
) -> Axes:
    """Draw a partition. All that is drawn many times is drawn as pixels (rasterized) where there is much of it.

    Args:
        partition: what to draw.
        ax: where; by default a new figure.
        by: ``"layer"``: folds, one colour a layer; with ``layer``, that layer's in colour and earlier ones grey.
            ``"active"``: regions, by their count of active units. ``"class"``: by the class of the largest output (of
            one output: its sign), exact also where a region holds several. ``"depth"``: by the layer that last cut
            the region. ``"layer-regions"``: regions, neighbours told apart. With ``layer``, active units, depth and
            regions are those by the layers up to it; a class is of the whole network.
        layer: name of a layer, or its number from 0 on; folds of later layers are not drawn.
        points: (m, 2), data in the coordinates of the plane.
        labels: (m,), their classes: whole numbers from 0 on.
        mean: (2,), the mean of the data, drawn as ×.
        decision: draw the exact decision boundary.
        legend: say what the colours and the dots are; of more than a dozen colours, some.
        linewidth: of folds, in points; by default thinner the more there are.
        active_range: of ``by="active"``, the fewest and the most active units that colours are for: several panels with
            one range can be compared. Counts outside have the colour of the nearest ("≥ 9 active"). By default those
            that occur.

    Returns:
        The Axes, with equal scales.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: an unknown ``by`` or layer; a layer before which the partition was stopped; points, labels or a mean
            of another shape or not finite; a range of counts that is none; classes of a model without logits.
        TypeError: points or a mean that are no real numbers, or a range of no whole numbers.
    """
    picture = picture_of(
        partition, by=by, layer=layer, points=points, labels=labels, mean=mean, decision=decision,
        linewidth=linewidth, active_range=active_range,
    )  # fmt: skip
    axis = _new_axes(1)[0] if ax is None else ax
    picture.draw(axis)
    handles = picture.handles() if legend else []
    if handles:
        axis.legend(handles=handles, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return axis


def plot_layers(
    partition: Partition,
    axes: NDArray[Any] | None = None,
    *,
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    decision: bool = False,
    legend: bool = True,
    linewidth: float | None = None,
) -> NDArray[Any]:
    """A panel for every layer: its folds in colour, those of earlier layers grey, data as dots.

    Args:
        partition: what to draw.
        axes: as many as there are layers that fold; by default those of a new figure.
        points: (m, 2), data in the coordinates of the plane.
        labels: (m,), their classes.
        mean: (2,), the mean of the data, drawn as ×.
        decision: draw the exact decision boundary, in the last panel.
        legend: say below the panels of a new figure what the dots are.
        linewidth: of folds, in points, in all panels; by default thinner the more there are in the last.

    Returns:
        The Axes, in the order of the layers.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: another number of axes, no layer that folds, or as `plot`.
    """
    count = partition.folds_done
    if not count:
        raise ValueError("no layer of this partition folds the window: there is no panel to draw")
    given = None if axes is None else list(np.ravel(np.asarray(axes, dtype=object)))
    if given is not None and len(given) != count:
        raise ValueError(f"{count} layer{'' if count == 1 else 's'} need as many axes, not {len(given)}")
    width = line_width([partition]) if linewidth is None else linewidth
    pictures = [
        picture_of(
            partition, layer=k, points=points, labels=labels, mean=mean, decision=decision and k == count - 1,
            linewidth=width,
        )
        for k in range(count)
    ]  # fmt: skip
    panels = list(_new_axes(count)) if given is None else given
    for k, (picture, axis, name) in enumerate(zip(pictures, panels, layer_names(partition), strict=False)):
        picture.draw(axis)
        axis.set_title(f"{name}\n{count_of(int(merged_regions(partition, k).max()) + 1)}", fontsize="small")
        axis.label_outer()
        if given is None and k >= count - _COLUMNS:  # below the last but one row there may be no panel
            axis.tick_params(labelbottom=True)
            axis.set_xlabel(pictures[-1].axis_names[0])
    if legend and given is None:
        legend_below(panels[0].figure, pictures[-1].data_handles())
    return np.array(panels, dtype=object)


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
