"""Partitions as a figure in a file: the layers one after the other, or the regions by what they hold."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normscope.loading import one_line
from normscope.report.partition.settings import PartitionError
from normscope.system import written_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from normscope.report.partition.study import Panel, Partitioned

FIGURES = (".png", ".svg", ".pdf")
FIGURE_KINDS = ("layers", "layer", "active", "class", "depth")
_ACROSS = 8  # layers side by side
_SIZE = 2.3  # inches of one panel
_DPI = 200
_NAME = 40  # characters of a name


def require_figures(plot: str | None, by: str, animate: str | None) -> None:
    """Find out before long work whether the figures that are asked for can be made.

    Raises:
        PartitionError: a file ending or kind that is not known, or a library that is not installed.
    """
    if by not in FIGURE_KINDS:
        raise PartitionError(f"--by {one_line(by)}: not known; choose from {', '.join(FIGURE_KINDS)}")
    for option, path, endings, libraries in (
        ("--plot", plot, FIGURES, {"matplotlib": "plot"}),
        ("--animate", animate, (".gif",), {"matplotlib": "plot", "PIL": "images"}),
    ):
        if path is None:
            continue
        if Path(path).suffix.lower() not in endings:
            raise PartitionError(f"{option} {one_line(path)}: the file name ends in {' or '.join(endings)}")
        missing = [extra for library, extra in libraries.items() if importlib.util.find_spec(library) is None]
        if missing:
            raise PartitionError(f"{option} needs more libraries: pip install 'normscope[{','.join(missing)}]'")


def write_figure(partitioned: Partitioned, path: str | os.PathLike[str], by: str = "layers") -> None:
    """Write the figure: a row a network and a column a layer, or a panel a network. All have one line width and scale.

    Args:
        partitioned: what to draw.
        path: where to; the ending says which kind of file.
        by: ``"layers"`` (of up to 8 layers; of more as ``"layer"``), or as `Partition.plot`.

    Raises:
        ValueError: what is to be drawn is not there.
        OSError: the path cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = partitioned.panels
    deepest = max(panel.partition.folds_done for panel in panels)
    style: dict[Any, Any] = {"svg.hashsalt": "normscope", "font.size": 9, "axes.titlesize": "medium"}
    with rc_context(style):
        figure = Figure(layout="constrained", dpi=_DPI)
        if by == "layers" and deepest <= _ACROSS:
            _grid(figure, panels, max(1, deepest))
        else:
            _row(figure, panels, "layer" if by == "layers" else by)
        ending = Path(path).suffix.lower()[1:]
        with written_whole(path) as file:
            metadata = {"Date": None} if ending == "svg" else {"CreationDate": None} if ending == "pdf" else {}
            figure.savefig(file, format=ending, metadata=metadata, bbox_inches="tight")


def write_animation(partitioned: Partitioned, path: str | os.PathLike[str]) -> None:
    """Write the layers one after the other as an animated GIF.

    Raises:
        OSError: the path cannot be written.
    """
    from normscope.spline.pictures.animation import animate

    panels = partitioned.panels
    animate(
        [panel.partition for panel in panels], path, names=[panel.name for panel in panels],
        points=panels[0].points, labels=panels[0].labels, mean=panels[0].mean,
    )  # fmt: skip


def _grid(figure: Figure, panels: Sequence[Panel], columns: int) -> None:
    """A row a network, a column a layer."""
    from normscope.spline.pictures.figures import plot_layers
    from normscope.spline.pictures.picture import legend_below, line_width, picture_of, plain

    figure.set_size_inches(_SIZE * columns, (_SIZE + 0.4) * len(panels) + 0.3)
    axes = figure.subplots(len(panels), columns, squeeze=False)
    width = line_width(panel.partition for panel in panels)
    for panel, row in zip(panels, axes, strict=True):
        done = panel.partition.folds_done
        shown: dict[str, Any] = {"points": panel.points, "labels": panel.labels, "mean": panel.mean}
        picture = picture_of(panel.partition, linewidth=width, **shown)
        if done:
            plot_layers(panel.partition, row[:done], linewidth=width, **shown)
        else:
            picture.draw(row[0])
            row[0].set_title("no fold" if panel.partition.complete else "not cut yet", fontsize="small")
        for spare in row[max(1, done) :]:
            spare.remove()
        name = plain(panel.name, _NAME)
        told = name if panel.partition.complete else f"{name}\n(not complete)"
        row[0].set_ylabel(told, fontweight="bold")
    legend_below(figure, picture.data_handles())


def _row(figure: Figure, panels: Sequence[Panel], by: str) -> None:
    """A panel a network; four in two rows."""
    from normscope.spline.pictures.picture import count_of, line_width, picture_of, plain

    columns = len(panels) if len(panels) < 4 else 2
    rows = -(-len(panels) // columns)
    figure.set_size_inches(1.4 * _SIZE * columns + 1.2, (1.4 * _SIZE + 0.4) * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    width, between = line_width(panel.partition for panel in panels), _active_range(panels)
    handles: dict[str, Any] = {}
    for panel, axis in zip(panels, axes, strict=True):
        # of what is not complete the outputs are not affine on the regions that are there
        kind: Any = "active" if by == "class" and not panel.partition.complete else by
        picture = picture_of(
            panel.partition, by=kind, points=panel.points, labels=panel.labels, mean=panel.mean, linewidth=width,
            active_range=between,
        )  # fmt: skip
        picture.draw(axis)
        told = [plain(panel.name, _NAME), count_of(len(panel.partition))]
        if not panel.partition.complete:
            told.append("(not complete: active units, no classes yet)" if by == "class" else "(not complete)")
        axis.set_title("\n".join(told))
        axis.label_outer()
        handles |= {handle.get_label(): handle for handle in picture.handles()}
    if handles:
        figure.legend(handles=list(handles.values()), loc="outside right upper", fontsize="small", frameon=False)


def _active_range(panels: Sequence[Panel]) -> tuple[int, int]:
    counts = [panel.partition.regions["active"] for panel in panels]
    return min(int(count.min()) for count in counts), max(int(count.max()) for count in counts)
