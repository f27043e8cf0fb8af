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
    from normscope.report.partition.study import Partitioned

FIGURES = (".png", ".svg", ".pdf")
FIGURE_KINDS = ("layers", "layer", "active", "class", "depth")
_ACROSS = 8  # layers side by side
_SIZE = 2.7  # inches of one panel
_DPI = 160


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
    """Write the figure: a row a network and a column a layer, or a panel a network.

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

    from normscope.spline.pictures.figures import plot, plot_layers

    panels = partitioned.panels
    deepest = max(panel.partition.folds_done for panel in panels)
    grid = by == "layers" and deepest <= _ACROSS
    columns, rows = (max(1, deepest), len(panels)) if grid else (len(panels), 1)
    size = _SIZE if grid else 1.6 * _SIZE
    with rc_context({"svg.hashsalt": "normscope", "axes.titlesize": "small"}):
        figure = Figure(figsize=(size * columns, size * rows + 0.6), layout="constrained", dpi=_DPI)
        axes = figure.subplots(rows, columns, squeeze=False)
        for k, panel in enumerate(panels):
            name = one_line(panel.name, 40).replace("$", r"\$")
            if grid:
                done = panel.partition.folds_done
                plot_layers(panel.partition, axes[k][:done], points=panel.points, labels=panel.labels)
                if not done:
                    plot(panel.partition, axes[k][0], legend=False, points=panel.points, labels=panel.labels)
                    axes[k][0].set_title("no fold", fontsize="small")
                for spare in axes[k][max(1, done) :]:
                    spare.remove()
                axes[k][0].set_ylabel(name if panel.partition.complete else f"{name} (not complete)", fontweight="bold")
                continue
            axis = axes[0][k]
            kind: Any = "layer" if by == "layers" else by  # `require_figures` checks it
            if kind == "class" and not panel.partition.complete:
                kind = "active"  # its outputs are not affine on the regions that are there
            last = k == len(panels) - 1
            plot(panel.partition, axis, by=kind, legend=last, points=panel.points, labels=panel.labels)
            axis.set_title(f"{name}: {len(panel.partition.area):,} regions")
            axis.label_outer()
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
        points=panels[0].points, labels=panels[0].labels,
    )  # fmt: skip
