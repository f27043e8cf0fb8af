"""A partition as it is to be drawn: everything asked for is checked and computed before the first line is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.loading import one_line
from normscope.spline.classes.decision import decision_boundary
from normscope.spline.cutting.whole import shortly
from normscope.spline.pictures.colours import layer_colours
from normscope.spline.pictures.drawing import (
    cross,
    cross_sample,
    dot_sample,
    dots,
    fill,
    line_sample,
    patch_sample,
    segments,
)
from normscope.spline.pictures.filling import By, Filling, filling_of
from normscope.spline.pictures.shown import Data, fold_number, read_active_range, read_data, read_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from normscope.spline.cutting.partition import Partition

_EARLIER = "#b4bbc2"
_INK = "#1b1f24"
_LAYER_NAME = 28
_ENTRY = 1.6  # inches that an entry of a legend takes, about
_TOLD = 12  # entries of a legend; of more some are told


@dataclass(frozen=True, eq=False)
class Picture:
    """What `picture_of` found.

    Attributes:
        partition: what is drawn.
        by: what regions and folds show.
        last: the last fold that is drawn, −1 for none.
        single: whether that one is in colour and the others are grey.
        filling: of the regions.
        data: data points and their mean.
        boundary: (S, 2, 2), the decision boundary.
        width: of folds, in points.
    """

    partition: Partition
    by: By
    last: int
    single: bool
    filling: Filling | None
    data: Data
    boundary: NDArray[np.float64]
    width: float

    def draw(self, axis: Axes) -> None:
        """Draw it."""
        x0, x1, y0, y1 = self.partition.extent
        axis.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal")
        axis.locator_params(nbins=5)
        if self.filling is not None:
            fill(axis, self.partition, self.filling.values, self.filling.colours, self.filling.labels)
        self._folds(axis)
        if len(self.boundary):
            segments(axis, self.boundary, "#ffffff", 3.0)
            segments(axis, self.boundary, "#000000", 1.6)
        if len(self.data.points):
            labels = np.zeros(len(self.data.points), np.int64) if self.data.labels is None else self.data.labels
            dots(axis, self.data.points, labels, self._classes)
        if self.data.mean is not None:
            cross(axis, self.data.mean)
        across, up = self.axis_names
        axis.set(xlabel=across, ylabel=up)

    @property
    def axis_names(self) -> tuple[str, str]:
        """What the coordinates are called."""
        return ("x", "y") if self.partition.plane.origin.numel() == 2 else ("along u", "along v")

    def handles(self) -> list[Any]:
        """Of a legend: what the colours are, and what `data_handles` gives."""
        found: list[Any] = []
        if self.filling is not None:
            names = zip(self.filling.names, self.filling.colours, strict=False)
            found = _some([patch_sample(colour, name) for name, colour in names if name])
        elif self.by == "layer" and self.last >= 0:
            colours, names_ = layer_colours(len(self.partition.folds)), layer_names(self.partition)
            shown = [self.last] if self.single else range(self.last + 1)
            found = _some([line_sample(colours[k], names_[k]) for k in shown])
            if self.single and self.last:
                found.append(line_sample(_EARLIER, "earlier layers"))
        return found + self.data_handles()

    def data_handles(self) -> list[Any]:
        """Of a legend: the decision boundary, the classes of data points, their mean."""
        found: list[Any] = []
        if len(self.boundary):
            found.append(line_sample("#000000", "decision boundary", 1.6))
        if self.data.labels is not None:
            present = np.unique(self.data.labels).tolist()
            found += _some([dot_sample(label, self._classes, f"data of class {label}") for label in present])
        elif len(self.data.points):
            found.append(dot_sample(0, self._classes, "data"))
        if self.data.mean is not None:
            found.append(cross_sample("mean of the data"))
        return found

    @property
    def _classes(self) -> Sequence[str] | None:
        """Colours of classes; among coloured folds a colour means a layer: there shape and shade tell classes."""
        return None if self.filling is None or self.data.labels is None else self.filling.classes

    def _folds(self, axis: Axes) -> None:
        edges = self.partition.edges
        fold = edges["fold"].to_numpy()
        ends = self.partition.vertices[edges[["start", "end"]].to_numpy()]
        colours = layer_colours(len(self.partition.folds))
        if self.by != "layer":
            segments(axis, ends[(fold >= 0) & (fold <= self.last)], _INK, self.width * 0.6, alpha=0.6)
        elif self.single:
            segments(axis, ends[(fold >= 0) & (fold < self.last)], _EARLIER, self.width * 0.6)
            segments(axis, ends[fold == self.last], colours[self.last], self.width)
        else:
            for k in range(self.last + 1):
                segments(axis, ends[fold == k], colours[k], self.width)


def picture_of(
    partition: Partition,
    *,
    by: By = "layer",
    layer: str | int | None = None,
    points: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    decision: bool = False,
    linewidth: float | None = None,
    active_range: tuple[int, int] | None = None,
) -> Picture:
    """The arguments of `normscope.spline.pictures.figures.plot`, checked; see there."""
    if by not in get_args(By):
        raise ValueError(f"by={shortly(by)}: not known; choose from {', '.join(get_args(By))}")
    last = partition.folds_done - 1 if layer is None else fold_number(partition, layer)
    data = read_data(points, labels, mean)
    width = line_width([partition]) if linewidth is None else read_width(linewidth)
    span = read_active_range(active_range)
    filling = filling_of(partition, by, last, layer_names(partition), span)
    boundary = decision_boundary(partition).segments if decision else np.empty((0, 2, 2))
    return Picture(partition, by, last, layer is not None, filling, data, boundary, width)


def line_width(partitions: Iterable[Partition]) -> float:
    """Of the folds in all panels of a figure, in points: thinner the more edges the fullest one has."""
    most = max((int((partition.edges["fold"] >= 0).sum()) for partition in partitions), default=1)
    return float(np.clip(55 / np.sqrt(max(1, most)), 0.15, 1.3))


def layer_names(partition: Partition) -> list[str]:
    """Names of the layers as text of a figure."""
    return [plain(item.layer, _LAYER_NAME) for item in partition.folds]


def plain(name: str, longest: int) -> str:
    """Text in which a dollar is a dollar; matplotlib keeps labels that start with an underscore to itself."""
    line = one_line(name, longest).replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line


def legend_below(figure: Figure, handles: list[Any]) -> None:
    """A legend below all panels, in as many columns as there is room for; none without handles."""
    columns = max(1, int(figure.get_figwidth() / _ENTRY))
    if handles:
        place: Any = {"loc": "outside lower center", "ncols": columns, "fontsize": "small", "frameon": False}
        figure.legend(handles=handles, **place)


def count_of(regions: int) -> str:
    """So many regions, in words."""
    return f"{regions:,} region{'' if regions == 1 else 's'}"


def _some(handles: list[Any]) -> list[Any]:
    """Of too many for a legend, some from the first to the last."""
    if len(handles) <= _TOLD:
        return handles
    return [handles[k] for k in np.linspace(0, len(handles) - 1, _TOLD - 4).round().astype(int).tolist()]
